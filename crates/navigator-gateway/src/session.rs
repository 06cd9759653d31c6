//! The gateway's side of the sessions with supervisors.

use std::pin::Pin;
use std::sync::Arc;

use navigator_policy::Policy;
use navigator_proto::session::v1 as proto;
use navigator_proto::session::v1::from_supervisor::Message;
use navigator_proto::session::v1::hello::State;
use navigator_proto::session::v1::session_server::Session;
use navigator_proto::session::v1::to_supervisor;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::access::{Principal, still_good};
use crate::failure::Failure;
use crate::gateway::{Gateway, now};
use crate::lifecycle::{first_revision, ready, set};
use crate::live::{Attached, HostKey, Live};
use crate::records::{Desired, Layer, Phase, RevisionStatus, Sandbox, Severity};
use crate::{reconcile, wire};

/// Most layers that a supervisor reports: it has five.
const LAYERS: usize = 32;
/// Most paths that it passed over: as many as a policy may list.
const SKIPPED: usize = 1024;
/// Longest text of such a report, in bytes: a path (PATH_MAX).
const REPORT_BYTES: usize = 4096;

/// Serves supervisors.
pub(crate) struct Sessions(pub(crate) Arc<Gateway>);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Session for Sessions {
    type JoinStream = Answers<proto::ToSupervisor>;
    type ExecStream = Answers<proto::ToProcess>;

    async fn join(
        &self,
        request: Request<Streaming<proto::FromSupervisor>>,
    ) -> Result<Response<Self::JoinStream>, Status> {
        let (live, principal) = self.0.caller(&request)?;
        let messages = request.into_inner();
        let (answer, answered) = oneshot::channel();
        // A supervisor may be gone at any moment; what its hello changes is changed whole.
        let gateway = Arc::clone(&self.0);
        self.0.tasks.spawn(async move { gateway.hold(live, principal, messages, answer).await });
        let ending = |_| Status::unavailable("the gateway is ending");
        let answers = answered.await.map_err(ending)??;
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }

    async fn exec(
        &self,
        request: Request<Streaming<proto::FromProcess>>,
    ) -> Result<Response<Self::ExecStream>, Status> {
        let (live, _) = self.0.caller(&request)?;
        let input = live.waiting.joined(request.into_inner()).await?;
        Ok(Response::new(Box::pin(input)))
    }
}

type Messages = mpsc::Receiver<Result<proto::ToSupervisor, Status>>;
type Answered = (Attached, Messages);

impl Gateway {
    /// The sandbox whose supervisor calls.
    fn caller<T>(&self, request: &Request<T>) -> Result<(Arc<Live>, Arc<Principal>), Status> {
        let principal = request.extensions().get::<Arc<Principal>>().map(Arc::clone);
        match principal.as_deref() {
            Some(Principal::Sandbox { id, .. }) => {
                let live = self.live(*id);
                principal.map(|principal| (live, principal))
            }
            Some(Principal::Owner | Principal::User(_)) | None => None,
        }
        .ok_or_else(|| Status::permission_denied("not a sandbox"))
    }

    /// Holds a session from its hello to its end.
    async fn hold(
        self: Arc<Self>,
        live: Arc<Live>,
        principal: Arc<Principal>,
        mut messages: Streaming<proto::FromSupervisor>,
        answer: oneshot::Sender<Result<Messages, Status>>,
    ) {
        match self.greet(&live, &principal, &mut messages).await {
            Ok((attached, answers)) => {
                // When the supervisor is gone, its messages end as well.
                let _gone = answer.send(Ok(answers));
                self.follow(live, &principal, attached, messages).await;
            }
            Err(status) => drop(answer.send(Err(status))),
        }
    }

    async fn greet(
        self: &Arc<Self>,
        live: &Live,
        principal: &Principal,
        messages: &mut Streaming<proto::FromSupervisor>,
    ) -> Result<Answered, Status> {
        let first = tokio::select! {
            () = self.ending.cancelled() => return Err(Status::unavailable("the gateway is ending")),
            first = messages.message() => first?,
        };
        // Who waits with the first word may have been shut out meanwhile.
        still_good(&self.store, principal).await?;
        match first.and_then(|first| first.message) {
            Some(Message::Hello(hello)) => Ok(self.hello(live, hello).await?),
            Some(_) | None => Err(Status::invalid_argument("the first message must be a hello")),
        }
    }

    /// Takes a supervisor's hello: what it says is what is.
    async fn hello(
        self: &Arc<Self>,
        live: &Live,
        hello: proto::Hello,
    ) -> Result<Answered, Failure> {
        let _held = live.lifecycle.lock().await;
        let found = self.store.sandbox(live.id).await?;
        let found = found.filter(|sandbox| sandbox.desired == Desired::Running);
        let mut sandbox = found.ok_or_else(|| Failure::missing("sandbox", live.id))?;
        match hello.state {
            Some(State::Running(running)) => {
                let host_key = take_running(&mut sandbox, running);
                let version = match hello.discovered_policy {
                    Some(policy) => self.discovered(live, &mut sandbox, &policy).await?,
                    None => self.known_version(live, hello.policy_version).await?,
                };
                self.hello_running(live, sandbox, version, host_key).await
            }
            Some(State::Failure(failure)) => self.hello_failed(live, sandbox, failure).await,
            None => Err(Failure::Invalid("a hello must say how the sandbox is".into())),
        }
    }

    /// The version that a supervisor says is in force; one that never was is none.
    async fn known_version(&self, live: &Live, version: u32) -> Result<u32, Failure> {
        match self.store.revision(live.id, version).await? {
            Some(_) => Ok(version),
            None => Err(Failure::Invalid(format!("there is no policy version {version}"))),
        }
    }

    async fn hello_running(
        self: &Arc<Self>,
        live: &Live,
        mut sandbox: Sandbox,
        version: u32,
        host_key: HostKey,
    ) -> Result<Answered, Failure> {
        let news = sandbox.phase != Phase::Ready;
        sandbox.phase = Phase::Ready;
        sandbox.policy_in_force = version;
        let message = "it runs, and every layer was tested from inside";
        set(&mut sandbox.conditions, ready("True", "Running", message));
        self.store.settle_revision(live.id, version, &RevisionStatus::Loaded, now()).await?;
        // Who sees that it is ready may ask for a process at once: the session is there before.
        let (attached, answers) = live.session.attach(host_key);
        attached.send(to_supervisor::Message::Welcome(proto::Welcome { policy_version: version }));
        if let Err(error) = self.bring_up_to_date(live, &attached, &mut sandbox).await {
            live.session.detach(&attached);
            return Err(error);
        }
        if news {
            self.note(live, Severity::Normal, "Ready", message).await;
        }
        Ok((attached, answers))
    }

    /// Gives a supervisor what it missed, and shows that it is there.
    async fn bring_up_to_date(
        &self,
        live: &Live,
        attached: &Attached,
        sandbox: &mut Sandbox,
    ) -> Result<(), Failure> {
        self.push_newest_policy(live, attached, sandbox.policy_in_force).await?;
        self.push_environment_to(attached, sandbox).await?;
        self.save(live, sandbox).await
    }

    async fn hello_failed(
        &self,
        live: &Live,
        mut sandbox: Sandbox,
        failure: proto::Failure,
    ) -> Result<Answered, Failure> {
        let failure = wire::bounded_failure(failure);
        sandbox.phase = Phase::Error;
        set(&mut sandbox.conditions, ready("False", &failure.reason, &failure.message));
        self.save(live, &mut sandbox).await?;
        self.note(live, Severity::Warning, &failure.reason, &failure.message).await;
        // It says nothing more and hears nothing more.
        let (attached, answers) = live.session.attach(HostKey::default());
        live.session.detach(&attached);
        Ok((attached, answers))
    }

    /// The policy that a supervisor found becomes version 1, after the same checks as any other. A sandbox whose policy
    /// cannot be taken must not go on running.
    async fn discovered(
        &self,
        live: &Live,
        sandbox: &mut Sandbox,
        message: &navigator_proto::sandbox::v1::SandboxPolicy,
    ) -> Result<u32, Failure> {
        let known = self.store.revision(live.id, 1).await?;
        let refused = match (Policy::try_from(message), known) {
            (Ok(policy), None) => {
                self.store.add_revision(live.id, &first_revision(policy), 0).await?;
                return Ok(1);
            }
            // It said so before, and the answer did not arrive.
            (Ok(policy), Some(known)) if known.policy == policy => return Ok(1),
            (Ok(_), Some(_)) => "it has another first policy already".to_owned(),
            (Err(error), _) => error.to_string(),
        };
        let message = format!("the policy of its root filesystem is refused: {refused}");
        sandbox.phase = Phase::Error;
        set(&mut sandbox.conditions, ready("False", "InvalidPolicy", &message));
        self.save(live, sandbox).await?;
        self.note(live, Severity::Warning, "InvalidPolicy", &message).await;
        Err(Failure::Denied("the policy of its root filesystem is refused"))
    }

    /// Follows a session to its end.
    async fn follow(
        self: Arc<Self>,
        live: Arc<Live>,
        principal: &Principal,
        attached: Attached,
        mut messages: Streaming<proto::FromSupervisor>,
    ) {
        loop {
            let message = tokio::select! {
                () = self.ending.cancelled() => break,
                message = messages.message() => message,
            };
            let handled = match message {
                Ok(Some(proto::FromSupervisor { message: Some(message) })) => {
                    // Its sandbox may have been stopped or deleted since it joined.
                    if let Err(error) = still_good(&self.store, principal).await {
                        tracing::debug!(sandbox = %live.id, %error, "a session is over");
                        break;
                    }
                    self.handle(&live, message).await
                }
                Ok(Some(proto::FromSupervisor { message: None })) => Ok(()),
                Ok(None) => break,
                Err(status) => {
                    tracing::debug!(sandbox = %live.id, %status, "a session broke");
                    break;
                }
            };
            if let Err(error) = handled {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(sandbox = %live.id, error, "a supervisor's message was not taken");
            }
        }
        if live.session.detach(&attached) {
            reconcile::expect_session(&self, live.id);
        }
    }

    async fn handle(self: &Arc<Self>, live: &Live, message: Message) -> Result<(), Failure> {
        match message {
            Message::Hello(_) => Err(Failure::Invalid("a second hello".into())),
            Message::Policy(result) => {
                self.policy_result(live, result.version, result.load_error).await
            }
            Message::Logs(batch) => {
                self.take_logs(live, batch.lines, batch.lost).await;
                Ok(())
            }
            Message::ExecRefused(refused) => {
                live.waiting.refused(&refused.exec_id, refused.message);
                Ok(())
            }
            Message::RelayRefused(refused) => {
                live.relays.refused(&refused.relay_id, refused.message);
                Ok(())
            }
            // The driver sees its end.
            Message::Ended(_) => Ok(()),
        }
    }
}

/// Takes what a supervisor says of its sandbox; the key of its SSH server is left.
fn take_running(sandbox: &mut Sandbox, running: proto::Running) -> HostKey {
    let cut = |mut text: String| {
        text.truncate(text.floor_char_boundary(REPORT_BYTES));
        text
    };
    let some = |text: String| if text.is_empty() { None } else { Some(cut(text)) };
    sandbox.layers = running
        .layers
        .into_iter()
        .take(LAYERS)
        .map(|layer| Layer {
            name: cut(layer.name),
            degraded: some(layer.degraded),
            detail: cut(layer.detail),
        })
        .collect();
    sandbox.skipped = running
        .skipped_paths
        .into_iter()
        .take(SKIPPED)
        .map(|skipped| (cut(skipped.path), cut(skipped.reason)))
        .collect();
    HostKey { line: cut(running.ssh_host_key), fingerprint: cut(running.ssh_host_key_fingerprint) }
}
