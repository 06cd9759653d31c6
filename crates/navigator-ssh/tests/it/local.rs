//! A sandbox that is none: ordinary processes of this machine.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use navigator_ssh::{
    BoxFuture, Command, Control, Ending, Process, Sandbox, StartFailure, Streams, Wanted,
};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal};
use rustix::pty::OpenptFlags;
use tokio::net::{TcpListener, TcpStream};

/// Starts processes in one directory and counts those that were not ended by themselves.
pub struct Local {
    pub home: tempfile::TempDir,
    pub killed: Arc<AtomicUsize>,
}

impl Local {
    pub fn new() -> Arc<Self> {
        let home = tempfile::tempdir().unwrap();
        Arc::new(Self { home, killed: Arc::default() })
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.home.path().join(name)
    }

    fn command(&self, wanted: &Wanted) -> tokio::process::Command {
        // A session of its own, so that all of it can be killed.
        let mut command = tokio::process::Command::new("setsid");
        if wanted.terminal.is_some() {
            command.arg("--ctty");
        }
        match &wanted.command {
            Command::Shell => command.args(["bash", "--norc", "--noprofile"]),
            Command::Line(line) => command.args(["bash", "-c", line]),
            Command::Sftp => command.arg("/usr/lib/openssh/sftp-server"),
        };
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.home.path());
        command.envs(&wanted.environment).current_dir(self.home.path());
        if let Some(terminal) = &wanted.terminal {
            command.env("TERM", &terminal.kind);
        }
        command
    }
}

/// Both sides of a new terminal.
pub fn terminal() -> (OwnedFd, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let controlling = rustix::pty::openpt(flags).unwrap();
    rustix::pty::grantpt(&controlling).unwrap();
    rustix::pty::unlockpt(&controlling).unwrap();
    let name = rustix::pty::ptsname(&controlling, vec![]).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let side = rustix::fs::open(Path::new(name.to_str().unwrap()), flags, Mode::empty()).unwrap();
    (controlling, side)
}

impl Sandbox for Local {
    async fn start(&self, wanted: Wanted) -> Result<Process, StartFailure> {
        if wanted.command == Command::Line("not-there".into()) {
            return Err(StartFailure {
                exit_code: 127,
                message: "there is no such program".into(),
            });
        }
        assert_ne!(wanted.command, Command::Line("panic".into()), "a panic that was asked for");
        let mut command = self.command(&wanted);
        let streams = if let Some(wanted) = wanted.terminal {
            let (controlling, side) = terminal();
            wanted.set_up(&controlling).unwrap();
            command.stdin(side.try_clone().unwrap()).stdout(side.try_clone().unwrap()).stderr(side);
            Streams::Terminal(controlling)
        } else {
            let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
            let ((reads, stdin), (stdout, writes), (stderr, warns)) = (pipe(), pipe(), pipe());
            command.stdin(reads).stdout(Stdio::from(writes)).stderr(Stdio::from(warns));
            Streams::Pipes { stdin, stdout, stderr }
        };
        let mut child = command.spawn().unwrap();
        drop(command);
        let pid = Pid::from_raw(child.id().unwrap().cast_signed()).unwrap();
        let (control, ended) = Session::new(pid, Arc::clone(&self.killed));
        let ending = async move {
            let status = child.wait().await.unwrap();
            ended.store(1, Ordering::SeqCst);
            match status.signal() {
                Some(number) => Ending::Signal(number),
                None => Ending::Code(status.code().unwrap()),
            }
        };
        Ok(Process { streams, ending: Box::pin(ending), control: Box::new(control) })
    }

    async fn dial(&self, to: SocketAddr) -> io::Result<TcpStream> {
        assert!(to.ip().is_loopback());
        TcpStream::connect(to).await
    }

    async fn listen(&self, at: SocketAddr) -> io::Result<TcpListener> {
        assert!(at.ip().is_loopback());
        TcpListener::bind(at).await
    }
}

struct Session {
    pid: Pid,
    ended: Arc<AtomicUsize>,
    killed: Arc<AtomicUsize>,
}

impl Session {
    fn new(pid: Pid, killed: Arc<AtomicUsize>) -> (Self, Arc<AtomicUsize>) {
        let ended = Arc::<AtomicUsize>::default();
        (Self { pid, ended: Arc::clone(&ended), killed }, ended)
    }
}

impl Control for Session {
    fn signal(&self, signal: Signal) -> BoxFuture<'_, io::Result<()>> {
        let sent = rustix::process::kill_process_group(self.pid, signal);
        Box::pin(async move { sent.map_err(Into::into) })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.ended.load(Ordering::SeqCst) == 0 {
            rustix::process::kill_process_group(self.pid, Signal::KILL).unwrap();
            self.killed.fetch_add(1, Ordering::SeqCst);
        }
    }
}
