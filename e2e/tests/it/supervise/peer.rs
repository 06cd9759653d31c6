//! The other side of a supervisor's session: a gateway of the real protocol that does what the test says.

use std::collections::HashMap;
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use navigator_proto::session::v1::session_server::{Session, SessionServer};
use navigator_proto::session::v1::{
    ExecRequest, FromProcess, FromSupervisor, Hello, LogBatch, PolicyResult, ToProcess,
    ToSupervisor, from_process, from_supervisor, to_supervisor,
};
use navigator_proto::v1::ExecStart;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::{Request, Response, Status, Streaming};

/// The credential of the sandbox.
pub(super) const TOKEN: &str = "credential-d41d8cd98f00b204";
/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway. Dropping it ends it at once, with every connection.
pub(super) struct Peer {
    runtime: Option<Runtime>,
    joined: Mutex<mpsc::UnboundedReceiver<Joined>>,
    waiting: Arc<Waiting>,
}

/// Processes that were asked for and have not called yet.
type Waiting = Mutex<HashMap<String, oneshot::Sender<Call>>>;

/// What gateway it is.
struct Service {
    joined: mpsc::UnboundedSender<Joined>,
    waiting: Arc<Waiting>,
    refusal: Option<tonic::Code>,
}

/// A session that a supervisor opened.
pub(super) struct Joined {
    pub(super) hello: Hello,
    pub(super) to: mpsc::Sender<Result<ToSupervisor, Status>>,
    pub(super) from: Streaming<FromSupervisor>,
    waiting: Arc<Waiting>,
}

/// The stream of a process.
pub(super) struct Call {
    pub(super) to: mpsc::Sender<Result<ToProcess, Status>>,
    pub(super) from: Streaming<FromProcess>,
}

/// What became of a process.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct End {
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) failure: String,
}

impl Peer {
    /// A gateway that welcomes the sandbox.
    pub(super) fn start(socket: &Path) -> Self {
        Self::answering(socket, None)
    }

    /// A gateway that refuses it.
    pub(super) fn refusing(socket: &Path, code: tonic::Code) -> Self {
        Self::answering(socket, Some(code))
    }

    fn answering(socket: &Path, refusal: Option<tonic::Code>) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.unwrap();
        let _old = std::fs::remove_file(socket);
        let listener = {
            let _inside = runtime.enter();
            tokio::net::UnixListener::bind(socket).unwrap()
        };
        std::fs::set_permissions(socket, PermissionsExt::from_mode(0o777)).unwrap();
        let (sender, joined) = mpsc::unbounded_channel();
        let waiting = Arc::<Waiting>::default();
        let service = Service { joined: sender, waiting: Arc::clone(&waiting), refusal };
        let server = tonic::transport::Server::builder()
            .max_concurrent_streams(Some(1024))
            .initial_connection_window_size(Some(64 << 20))
            .add_service(SessionServer::new(service));
        runtime.spawn(server.serve_with_incoming(UnixListenerStream::new(listener)));
        Self { runtime: Some(runtime), joined: Mutex::new(joined), waiting }
    }

    /// Does something, in the time that a test has.
    pub(super) fn block_on<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        let runtime = self.runtime.as_ref().unwrap();
        let limited = runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await });
        limited.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
    }

    /// The next session that is opened.
    pub(super) fn joined(&self) -> Joined {
        let mut joined = self.joined.lock().unwrap();
        self.block_on("a supervisor joins", joined.recv()).unwrap()
    }

    /// Processes that never called.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.lock().unwrap().len()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn bearer<T>(request: &Request<T>) -> Option<&str> {
    request.metadata().get("authorization")?.to_str().ok()?.strip_prefix("Bearer ")
}

#[tonic::async_trait]
impl Session for Service {
    type JoinStream = ReceiverStream<Result<ToSupervisor, Status>>;
    type ExecStream = ReceiverStream<Result<ToProcess, Status>>;

    async fn join(
        &self,
        request: Request<Streaming<FromSupervisor>>,
    ) -> Result<Response<Self::JoinStream>, Status> {
        if bearer(&request) != Some(TOKEN) {
            return Err(Status::unauthenticated("no such sandbox"));
        }
        if let Some(code) = self.refusal {
            return Err(Status::new(code, "no such sandbox"));
        }
        let mut from = request.into_inner();
        let first = from.message().await?.and_then(|first| first.message);
        let Some(from_supervisor::Message::Hello(hello)) = first else {
            return Err(Status::invalid_argument("hello comes first"));
        };
        let (to, messages) = mpsc::channel(16);
        let version = if hello.policy_version == 0 { 1 } else { hello.policy_version };
        let welcome = navigator_proto::session::v1::Welcome { policy_version: version };
        let _room = to.try_send(Ok(ordered(to_supervisor::Message::Welcome(welcome))));
        let waiting = Arc::clone(&self.waiting);
        let _over = self.joined.send(Joined { hello, to, from, waiting });
        Ok(Response::new(ReceiverStream::new(messages)))
    }

    async fn exec(
        &self,
        request: Request<Streaming<FromProcess>>,
    ) -> Result<Response<Self::ExecStream>, Status> {
        if bearer(&request) != Some(TOKEN) {
            return Err(Status::unauthenticated("no such sandbox"));
        }
        let mut from = request.into_inner();
        let first = from.message().await?.and_then(|first| first.message);
        let Some(from_process::Message::ExecId(id)) = first else {
            return Err(Status::invalid_argument("the id comes first"));
        };
        let waiting = self.waiting.lock().unwrap().remove(&id);
        let waiting = waiting.ok_or_else(|| Status::not_found("no such process"))?;
        let (to, messages) = mpsc::channel(4);
        let _over = waiting.send(Call { to, from });
        Ok(Response::new(ReceiverStream::new(messages)))
    }
}

fn ordered(message: to_supervisor::Message) -> ToSupervisor {
    ToSupervisor { message: Some(message) }
}

/// A command without anything special.
pub(super) fn command(words: &[&str]) -> ExecStart {
    let command = words.iter().map(|word| (*word).to_owned()).collect();
    ExecStart { command, ..ExecStart::default() }
}

/// A shell that runs a script.
pub(super) fn shell(script: &str) -> ExecStart {
    command(&["sh", "-c", script])
}

impl Joined {
    /// Tells the supervisor something.
    pub(super) async fn tell(&self, message: to_supervisor::Message) {
        self.to.send(Ok(ordered(message))).await.unwrap();
    }

    /// Asks for a process and waits until it calls.
    pub(super) async fn exec(&self, start: ExecStart) -> Call {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let exec_id = format!("exec-{number}");
        let (sender, call) = oneshot::channel();
        self.waiting.lock().unwrap().insert(exec_id.clone(), sender);
        let request = ExecRequest { exec_id, start: Some(start), terminals: None };
        self.tell(to_supervisor::Message::Exec(request)).await;
        call.await.unwrap()
    }

    /// Runs a process that reads nothing to its end.
    pub(super) async fn run(&self, start: ExecStart) -> End {
        self.exec(start).await.end().await
    }

    /// The next message that is no line of the log.
    pub(super) async fn message(&mut self) -> from_supervisor::Message {
        loop {
            match self.next().await.expect("the session goes on") {
                from_supervisor::Message::Logs(_) => {}
                message => return message,
            }
        }
    }

    /// The next message; none when the supervisor has ended the session or it broke.
    pub(super) async fn next(&mut self) -> Option<from_supervisor::Message> {
        self.from.message().await.ok().flatten().map(|message| message.message.unwrap())
    }

    /// The next lines of the log.
    pub(super) async fn logs(&mut self) -> LogBatch {
        loop {
            if let from_supervisor::Message::Logs(batch) = self.next().await.unwrap() {
                return batch;
            }
        }
    }

    /// What became of a policy revision.
    pub(super) async fn policy_result(&mut self) -> PolicyResult {
        match self.message().await {
            from_supervisor::Message::Policy(result) => result,
            other => panic!("{other:?}"),
        }
    }
}

impl Call {
    /// Sends something to the process.
    pub(super) async fn send(&self, message: navigator_proto::session::v1::to_process::Message) {
        self.to.send(Ok(ToProcess { message: Some(message) })).await.unwrap();
    }

    /// Types or pipes something in.
    pub(super) async fn stdin(&self, bytes: &[u8]) {
        self.send(navigator_proto::session::v1::to_process::Message::Stdin(bytes.into())).await;
    }

    /// Reads output until it has some text.
    pub(super) async fn until(&mut self, text: &str) -> String {
        let mut seen = String::new();
        while !seen.contains(text) {
            match self.from.message().await.unwrap().and_then(|message| message.message) {
                Some(from_process::Message::Stdout(bytes)) => {
                    seen.push_str(&String::from_utf8_lossy(&bytes));
                }
                _ => panic!("no {text:?}, but {seen:?}"),
            }
        }
        seen
    }

    /// Reads everything until the process ends.
    pub(super) async fn end(mut self) -> End {
        let (mut end, mut over) = (End::default(), false);
        let (mut stdout, mut stderr) = (vec![], vec![]);
        while let Some(message) = self.from.message().await.unwrap() {
            assert!(!over, "something came after the end: {message:?}");
            match message.message.unwrap() {
                from_process::Message::Stdout(bytes) => stdout.extend(bytes),
                from_process::Message::Stderr(bytes) => stderr.extend(bytes),
                from_process::Message::ExitCode(code) => (end.code, over) = (code, true),
                from_process::Message::Failure(failure) => {
                    (end.code, end.failure, over) = (failure.exit_code, failure.message, true);
                }
                from_process::Message::ExecId(id) => panic!("a second id: {id}"),
                from_process::Message::Terminals(_)
                | from_process::Message::TerminalEnded(_)
                | from_process::Message::Recordings(_) => panic!("an answer nobody asked for"),
            }
        }
        assert!(over, "the stream ended before the process did");
        end.stdout = String::from_utf8_lossy(&stdout).into_owned();
        end.stderr = String::from_utf8_lossy(&stderr).into_owned();
        end
    }
}
