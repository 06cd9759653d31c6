//! A server at a socket in a private directory, and OpenSSH's client for it.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use navigator_ssh::{HostKey, Options, ServeError, serve};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::local::Local;

/// Connects and hands the socket to `ssh`, which then has nobody between it and the server.
const CONNECT: &str = "import socket,sys\n\
s=socket.socket(socket.AF_UNIX)\n\
s.connect(sys.argv[1])\n\
socket.send_fds(socket.socket(fileno=1),[b'x'],[s.fileno()])";

pub struct Server {
    pub local: Arc<Local>,
    pub cancel: CancellationToken,
    pub ended: mpsc::UnboundedReceiver<Result<(), ServeError>>,
    home: tempfile::TempDir,
}

impl Server {
    pub fn new() -> Self {
        Self::with(Options::default())
    }

    pub fn with(options: Options) -> Self {
        let home = tempfile::tempdir().unwrap();
        let local = Local::new();
        let key = HostKey::kept_at(&home.path().join("key")).unwrap();
        let known = format!("sandbox {}\n", key.public_line().unwrap());
        std::fs::write(home.path().join("known"), known).unwrap();
        std::fs::write(home.path().join("connect.py"), CONNECT).unwrap();
        let listener = UnixListener::bind(home.path().join("socket")).unwrap();
        let (sender, ended) = mpsc::unbounded_channel();
        let (cancel, sandbox) = (CancellationToken::new(), Arc::clone(&local));
        let stop = cancel.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (key, sandbox, options) = (key.clone(), Arc::clone(&sandbox), options.clone());
                let (sender, stop) = (sender.clone(), stop.clone());
                tokio::spawn(async move {
                    let _gone = sender.send(serve(stream, &key, sandbox, options, stop).await);
                });
            }
        });
        Self { local, cancel, ended, home }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub async fn connect(&self) -> UnixStream {
        UnixStream::connect(self.path("socket")).await.unwrap()
    }

    /// OpenSSH's client for this server, with its options and without the host's name.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.args(self.options()).kill_on_drop(true).env_remove("LC_ALL");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn options(&self) -> Vec<String> {
        let path = |name| self.path(name).display().to_string();
        let proxy = format!("python3 -ES {} {}", path("connect.py"), path("socket"));
        let options = [
            "BatchMode=yes".into(),
            "StrictHostKeyChecking=yes".into(),
            "HostKeyAlias=sandbox".into(),
            "User=sandbox".into(),
            "ProxyUseFdpass=yes".into(),
            format!("ProxyCommand={proxy}"),
            format!("UserKnownHostsFile={}", path("known")),
        ];
        let options = options.into_iter().flat_map(|option| ["-o".into(), option]);
        ["-F".to_owned(), "none".into()].into_iter().chain(options).collect()
    }

    /// Runs `ssh OPTIONS host LINE` to its end.
    pub async fn ssh(&self, options: &[&str], line: &str) -> Output {
        let mut command = self.program("ssh");
        command.args(options).arg("host").arg(line);
        run(command).await
    }
}

#[derive(Debug)]
pub struct Output {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs to the end; a client that hangs is a failure.
pub async fn run(mut command: Command) -> Output {
    let child = command.spawn().unwrap();
    let output = tokio::time::timeout(Duration::from_secs(120), child.wait_with_output()).await;
    let output = output.expect("the client hangs").unwrap();
    Output {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Asks until it is so; what never is so is a failure.
pub async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let asking = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asking).await.expect(what);
}
