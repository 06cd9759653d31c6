//! A gateway for tests of clients: it keeps sandboxes in memory, runs their commands without a sandbox, and can
//! misbehave in ways that a real one must not.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use navigator_proto::datamodel::v1::{Sandbox, SandboxPhase};
use navigator_proto::sandbox::v1 as policy;
use navigator_proto::v1::exec_interactive_request::Payload as Input;
use navigator_proto::v1::exec_sandbox_event::Payload as Output;
use navigator_proto::v1::navigator_server::{Navigator, NavigatorServer};
use navigator_proto::v1::sandbox_stream_event::Payload as Seen;
use navigator_proto::v1::*;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status, Streaming};

/// What the gateway does wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Its streams end, or break, in the middle.
    CutsStreams,
    /// What it is given never becomes ready.
    NeverReady,
    /// What it is given ends in error.
    Fails,
}

/// What the gateway keeps, for tests to fill and to look at.
#[derive(Default)]
pub struct State {
    /// What it does wrong.
    pub fault: Fault,
    /// Its sandboxes.
    pub sandboxes: Vec<Sandbox>,
    /// What was asked for.
    pub created: Vec<CreateSandboxRequest>,
    /// The log of every sandbox.
    pub logs: Vec<SandboxLogLine>,
    /// The events of every sandbox.
    pub events: Vec<PlatformEvent>,
    /// What was asked for.
    pub asked_for_logs: Vec<GetSandboxLogsRequest>,
    /// The policies of every sandbox.
    pub revisions: Vec<SandboxPolicyRevision>,
    /// What was run.
    pub execs: Vec<ExecStart>,
    /// Sizes that terminals were given later, as rows and columns.
    pub resizes: Vec<(u32, u32)>,
}

/// A gateway that serves until it is dropped.
pub struct Service {
    /// What it keeps.
    pub state: Arc<Mutex<State>>,
    /// The directory of its socket.
    pub dir: tempfile::TempDir,
    _runtime: tokio::runtime::Runtime,
}

impl Service {
    /// Serves on a unix socket in a directory of its own.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = Arc::new(Mutex::new(State { fault, ..State::default() }));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        serve(&runtime, &dir.path().join("gateway.sock"), Gateway(state.clone()));
        Self { state, dir, _runtime: runtime }
    }

    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("gateway.sock")
    }

    /// A sandbox that is there already.
    #[must_use]
    pub fn with(self, name: &str, phase: SandboxPhase) -> Self {
        self.state.lock().unwrap().sandboxes.push(sandbox(name, phase));
        self
    }
}

/// A sandbox of a name.
#[must_use]
pub fn sandbox(name: &str, phase: SandboxPhase) -> Sandbox {
    Sandbox {
        id: format!("id-of-{name}"),
        name: name.into(),
        phase: phase.into(),
        created_at_ms: 1_769_860_800_000,
        current_policy_version: 1,
        ..Sandbox::default()
    }
}

fn serve(runtime: &tokio::runtime::Runtime, socket: &Path, gateway: Gateway) {
    let (accepted, incoming) = mpsc::channel(1);
    let _context = runtime.enter();
    let listener = tokio::net::UnixListener::bind(socket).unwrap();
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if accepted.send(Ok(stream)).await.is_err() {
                return;
            }
        }
    });
    runtime.spawn(until_closed(gateway, incoming));
}

async fn until_closed<S>(gateway: Gateway, incoming: mpsc::Receiver<std::io::Result<S>>)
where
    S: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let server = tonic::transport::Server::builder().add_service(NavigatorServer::new(gateway));
    server.serve_with_incoming(ReceiverStream::new(incoming)).await.unwrap();
}

/// Serves connections that somebody else accepts, such as those with TLS.
pub async fn serve_accepted<S>(incoming: mpsc::Receiver<std::io::Result<S>>)
where
    S: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    until_closed(Gateway(Arc::default()), incoming).await;
}

struct Gateway(Arc<Mutex<State>>);

impl Gateway {
    fn change(&self, name: &str, phase: SandboxPhase) -> Result<Response<SandboxResponse>, Status> {
        let mut state = self.0.lock().unwrap();
        let found = state.sandboxes.iter_mut().find(|sandbox| sandbox.name == name);
        let found = found.ok_or_else(|| missing(name))?;
        if phase != SandboxPhase::Unspecified {
            found.phase = phase.into();
        }
        Ok(Response::new(SandboxResponse { sandbox: Some(found.clone()) }))
    }
}

fn missing(name: &str) -> Status {
    Status::not_found(format!("there is no sandbox `{name}`"))
}

fn seen(payload: Seen) -> Result<SandboxStreamEvent, Status> {
    Ok(SandboxStreamEvent { payload: Some(payload) })
}

macro_rules! refused {
    ($($name:ident($request:ty) -> $response:ty;)*) => {
        $(fn $name<'a: 'b, 'b>(&'a self, _: Request<$request>)
            -> std::pin::Pin<Box<dyn Future<Output = Result<Response<$response>, Status>> + Send + 'b>>
        where Self: 'b {
            Box::pin(async { Err(Status::permission_denied("not here")) })
        })*
    };
}

#[tonic::async_trait]
impl Navigator for Gateway {
    type WatchSandboxStream = ReceiverStream<Result<SandboxStreamEvent, Status>>;
    type ExecSandboxStream = ReceiverStream<Result<ExecSandboxEvent, Status>>;
    type ExecInteractiveStream = ReceiverStream<Result<ExecSandboxEvent, Status>>;
    type ListSandboxChangesStream = ReceiverStream<Result<ListSandboxChangesResponse, Status>>;
    type ReadRecordingStream = ReceiverStream<Result<ExecSandboxEvent, Status>>;

    async fn health(&self, _: Request<HealthRequest>) -> Result<Response<HealthResponse>, Status> {
        let status = ServiceStatus::Healthy.into();
        Ok(Response::new(HealthResponse { status, version: "9.9\x1b[31m".into() }))
    }

    async fn create_sandbox(
        &self,
        request: Request<CreateSandboxRequest>,
    ) -> Result<Response<SandboxResponse>, Status> {
        let request = request.into_inner();
        let name = if request.name.is_empty() { "calm-otter" } else { &request.name };
        let mut state = self.0.lock().unwrap();
        if state.sandboxes.iter().any(|sandbox| sandbox.name == name) {
            return Err(Status::already_exists(format!("there is a sandbox `{name}` already")));
        }
        if request.spec.as_ref().is_some_and(|spec| !spec.providers.is_empty()) {
            return Err(Status::failed_precondition("there is no provider of that name"));
        }
        let phase = match state.fault {
            Fault::NeverReady => SandboxPhase::Provisioning,
            Fault::Fails => SandboxPhase::Deleting,
            Fault::None | Fault::CutsStreams => SandboxPhase::Ready,
        };
        let made = sandbox(name, phase);
        state.sandboxes.push(made.clone());
        state.created.push(request);
        Ok(Response::new(SandboxResponse { sandbox: Some(made) }))
    }

    async fn get_sandbox(
        &self,
        request: Request<GetSandboxRequest>,
    ) -> Result<Response<SandboxResponse>, Status> {
        self.change(&request.into_inner().name, SandboxPhase::Unspecified)
    }

    async fn list_sandboxes(
        &self,
        request: Request<ListSandboxesRequest>,
    ) -> Result<Response<ListSandboxesResponse>, Status> {
        let ListSandboxesRequest { limit, offset } = request.into_inner();
        let state = self.0.lock().unwrap();
        let page = state.sandboxes.iter().skip(offset as usize).take(limit as usize);
        Ok(Response::new(ListSandboxesResponse { sandboxes: page.cloned().collect() }))
    }

    async fn delete_sandbox(
        &self,
        request: Request<DeleteSandboxRequest>,
    ) -> Result<Response<DeleteSandboxResponse>, Status> {
        let name = request.into_inner().name;
        self.change(&name, SandboxPhase::Unspecified)?;
        self.0.lock().unwrap().sandboxes.retain(|sandbox| sandbox.name != name);
        Ok(Response::new(DeleteSandboxResponse { deleted: true }))
    }

    async fn stop_sandbox(
        &self,
        request: Request<StopSandboxRequest>,
    ) -> Result<Response<SandboxResponse>, Status> {
        self.change(&request.into_inner().name, SandboxPhase::Stopped)
    }

    async fn start_sandbox(
        &self,
        request: Request<StartSandboxRequest>,
    ) -> Result<Response<SandboxResponse>, Status> {
        self.change(&request.into_inner().name, SandboxPhase::Ready)
    }

    async fn watch_sandbox(
        &self,
        request: Request<WatchSandboxRequest>,
    ) -> Result<Response<Self::WatchSandboxStream>, Status> {
        let request = request.into_inner();
        let state = self.0.clone();
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            let (mut events, cut) = {
                let state = state.lock().unwrap();
                let sandboxes = state.sandboxes.iter().filter(|sandbox| sandbox.id == request.id);
                let mut events: Vec<_> = sandboxes.cloned().map(Seen::Sandbox).collect();
                if request.follow_logs {
                    events.extend(state.logs.iter().cloned().map(Seen::Log));
                }
                if request.follow_events {
                    events.extend(state.events.iter().cloned().map(Seen::Event));
                }
                (events, state.fault == Fault::CutsStreams)
            };
            for event in events.drain(..) {
                if sender.send(seen(event)).await.is_err() {
                    return;
                }
            }
            if cut {
                let broken = Err(Status::data_loss("the stream\x1b[2J broke"));
                sender.send(broken).await.unwrap_or_default();
            } else if !request.stop_after_tail {
                sender.closed().await;
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn exec_interactive(
        &self,
        request: Request<Streaming<ExecInteractiveRequest>>,
    ) -> Result<Response<Self::ExecInteractiveStream>, Status> {
        let mut input = request.into_inner();
        let first = input.message().await?.and_then(|message| message.payload);
        let Some(Input::Start(start)) = first else {
            return Err(Status::invalid_argument("the first message starts the command"));
        };
        let cut = {
            let mut state = self.0.lock().unwrap();
            state.execs.push(start.clone());
            state.fault == Fault::CutsStreams
        };
        let (sender, receiver) = mpsc::channel(1);
        if cut {
            sender.send(out(Output::Stdout(ExecSandboxStdout { data: b"half".into() }))).await.ok();
        } else {
            tokio::spawn(run(self.0.clone(), start, input, sender));
        }
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn update_sandbox_policy(
        &self,
        request: Request<UpdateSandboxPolicyRequest>,
    ) -> Result<Response<UpdateSandboxPolicyResponse>, Status> {
        let UpdateSandboxPolicyRequest { name, policy, expected_version } = request.into_inner();
        self.change(&name, SandboxPhase::Unspecified)?;
        let mut state = self.0.lock().unwrap();
        let version = u32::try_from(state.revisions.len()).unwrap() + 1;
        if expected_version != 0 && expected_version + 1 != version {
            return Err(Status::aborted("it was changed by somebody else at the same time"));
        }
        // What inspects requests fails to load here, so that both ends can be seen.
        let fails = policy.as_ref().is_some_and(|policy| policy.inference.is_some());
        let status = if fails { PolicyStatus::Failed } else { PolicyStatus::Loaded };
        if !fails {
            state.sandboxes.iter_mut().for_each(|one| one.current_policy_version = version);
        }
        state.revisions.push(SandboxPolicyRevision {
            version,
            policy,
            status: status.into(),
            load_error: if fails { "no room\x1b[2J".into() } else { String::new() },
            created_at_ms: 1_769_860_800_000,
            ..SandboxPolicyRevision::default()
        });
        Ok(Response::new(UpdateSandboxPolicyResponse { version, policy_hash: String::new() }))
    }

    async fn get_sandbox_policy_status(
        &self,
        request: Request<GetSandboxPolicyStatusRequest>,
    ) -> Result<Response<GetSandboxPolicyStatusResponse>, Status> {
        let GetSandboxPolicyStatusRequest { version, .. } = request.into_inner();
        let state = self.0.lock().unwrap();
        let found = match version {
            0 => state.revisions.last(),
            version => state.revisions.iter().find(|revision| revision.version == version),
        };
        let revision = Some(found.ok_or_else(|| Status::not_found("no such version"))?.clone());
        let active_version = state.sandboxes.first().map_or(0, |one| one.current_policy_version);
        Ok(Response::new(GetSandboxPolicyStatusResponse { revision, active_version }))
    }

    async fn list_sandbox_policies(
        &self,
        request: Request<ListSandboxPoliciesRequest>,
    ) -> Result<Response<ListSandboxPoliciesResponse>, Status> {
        let ListSandboxPoliciesRequest { limit, offset, .. } = request.into_inner();
        let state = self.0.lock().unwrap();
        let page = state.revisions.iter().rev().skip(offset as usize).take(limit as usize);
        Ok(Response::new(ListSandboxPoliciesResponse { revisions: page.cloned().collect() }))
    }

    async fn get_sandbox_logs(
        &self,
        request: Request<GetSandboxLogsRequest>,
    ) -> Result<Response<GetSandboxLogsResponse>, Status> {
        let mut state = self.0.lock().unwrap();
        state.asked_for_logs.push(request.into_inner());
        let logs = state.logs.clone();
        Ok(Response::new(GetSandboxLogsResponse { logs, buffer_total: 0 }))
    }

    refused! {
        list_sandbox_changes(ListSandboxChangesRequest) -> Self::ListSandboxChangesStream;
        snapshot_sandbox(SnapshotSandboxRequest) -> SnapshotSandboxResponse;
        fork_sandbox(ForkSandboxRequest) -> SandboxResponse;
        create_ssh_session(CreateSshSessionRequest) -> CreateSshSessionResponse;
        revoke_ssh_session(RevokeSshSessionRequest) -> RevokeSshSessionResponse;
        exec_sandbox(ExecSandboxRequest) -> Self::ExecSandboxStream;
        list_terminals(ListTerminalsRequest) -> ListTerminalsResponse;
        end_terminal(EndTerminalRequest) -> EndTerminalResponse;
        list_recordings(ListRecordingsRequest) -> ListRecordingsResponse;
        read_recording(ReadRecordingRequest) -> Self::ReadRecordingStream;
        create_provider(CreateProviderRequest) -> ProviderResponse;
        update_provider(UpdateProviderRequest) -> ProviderResponse;
        get_provider(GetProviderRequest) -> ProviderResponse;
        delete_provider(DeleteProviderRequest) -> DeleteProviderResponse;
        list_providers(ListProvidersRequest) -> ListProvidersResponse;
        get_sandbox_policy(policy::GetSandboxPolicyRequest) -> policy::GetSandboxPolicyResponse;
        report_policy_status(ReportPolicyStatusRequest) -> ReportPolicyStatusResponse;
        get_sandbox_provider_environment(GetSandboxProviderEnvironmentRequest)
            -> GetSandboxProviderEnvironmentResponse;
        push_sandbox_logs(Streaming<PushSandboxLogsRequest>) -> PushSandboxLogsResponse;
    }
}

fn out(payload: Output) -> Result<ExecSandboxEvent, Status> {
    Ok(ExecSandboxEvent { payload: Some(payload) })
}

/// Runs a command here, without a sandbox, and kills it when the client leaves.
async fn run(
    state: Arc<Mutex<State>>,
    start: ExecStart,
    mut input: Streaming<ExecInteractiveRequest>,
    sender: mpsc::Sender<Result<ExecSandboxEvent, Status>>,
) {
    let mut child = tokio::process::Command::new(&start.command[0])
        .args(&start.command[1..])
        .envs(start.environment)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let pid = rustix::process::Pid::from_raw(child.id().unwrap().cast_signed()).unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take(), child.stdout.take().unwrap());
    let mut stderr = child.stderr.take().unwrap();
    let (errors, fed) = (
        sender.clone(),
        tokio::spawn(async move {
            while let Ok(Some(message)) = input.message().await {
                match message.payload {
                    Some(Input::Stdin(bytes)) => {
                        if let Some(pipe) = &mut stdin {
                            pipe.write_all(&bytes).await.unwrap_or_default();
                        }
                    }
                    Some(Input::StdinEnd(_)) => stdin = None,
                    Some(Input::Signal(number)) => {
                        let signal = rustix::process::Signal::from_named_raw(number).unwrap();
                        rustix::process::kill_process(pid, signal).unwrap_or_default();
                    }
                    Some(Input::Resize(size)) => {
                        state.lock().unwrap().resizes.push((size.rows, size.columns));
                    }
                    Some(Input::Start(_)) | None => {}
                }
            }
        }),
    );
    let both = tokio::spawn(async move {
        let mut chunk = vec![0; 8192];
        while let Ok(length @ 1..) = stderr.read(&mut chunk).await {
            let data = chunk[..length].to_vec();
            errors.send(out(Output::Stderr(ExecSandboxStderr { data }))).await.unwrap_or_default();
        }
    });
    let mut chunk = vec![0; 8192];
    while let Ok(length @ 1..) = stdout.read(&mut chunk).await {
        let data = chunk[..length].to_vec();
        if sender.send(out(Output::Stdout(ExecSandboxStdout { data }))).await.is_err() {
            return;
        }
    }
    both.await.unwrap();
    let status = tokio::select! {
        status = child.wait() => status.unwrap(),
        () = sender.closed() => return,
    };
    fed.abort();
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    let exit_code = status.code().unwrap_or_else(|| 128 + signal.unwrap());
    sender.send(out(Output::Exit(ExecSandboxExit { exit_code }))).await.unwrap_or_default();
}
