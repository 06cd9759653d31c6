//! Serves a sandbox that lives: does what the gateway asks for until it is to end.

mod attach;
mod ending;
mod environment;
mod exec;
mod input;
mod network;
mod output;
mod processes;
mod relay;
mod ssh;
mod standing;
mod start;
mod terminals;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use navigator_proto::session::v1::{ExecRefused, RelayRefused, from_supervisor, to_supervisor};
use navigator_ssh::HostKey;
use navigator_tunnel::PipePool;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::session::{Connection, Heard, Session};
pub(crate) use environment::Environment;
use exec::Exec;
pub(crate) use processes::Processes;
use relay::Relaying;
use ssh::Inside;
pub(crate) use standing::{Standing, VERSION};
use terminals::Terminals;

/// Processes at once that the gateway may have asked for: far above what people and tools do, and each takes six
/// descriptors.
pub(crate) const EXECS: usize = 512;
/// Streams at once that the gateway may have asked for; it allows as many for a sandbox.
const RELAYS: usize = 256;
/// Messages of the gateway that wait while one is served.
pub(crate) const HEARD: usize = 16;
/// How long processes may take to end when this process is asked to.
const GRACE: Duration = Duration::from_secs(2);

/// How the service of a sandbox ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// As was asked for.
    Asked,
    /// The gateway does not know the sandbox any more.
    Refused,
    /// Its init is gone.
    Lost,
}

/// A sandbox that is served.
pub(crate) struct Serving {
    processes: Arc<Processes>,
    standing: Arc<Standing>,
    environment: Environment,
    heard: mpsc::Receiver<Heard>,
    closing: CancellationToken,
    places: Arc<Semaphore>,
    relays: Arc<Semaphore>,
    pipes: Arc<PipePool>,
    host_key: HostKey,
    /// Everything that is served.
    execs: TaskTracker,
    /// Cancelled when the sandbox is to end.
    leaving: CancellationToken,
    terminals: Arc<Terminals>,
    /// Cancelled when processes are no longer waited for.
    abandon: CancellationToken,
}

impl Serving {
    pub(crate) fn new(
        processes: Processes,
        standing: Arc<Standing>,
        environment: Environment,
        host_key: HostKey,
        heard: mpsc::Receiver<Heard>,
        closing: CancellationToken,
        recordings: PathBuf,
    ) -> Self {
        let (execs, abandon) = (TaskTracker::new(), CancellationToken::new());
        let terminals = Terminals::new(recordings, execs.clone(), abandon.clone());
        Self {
            processes: Arc::new(processes),
            standing,
            environment,
            heard,
            closing,
            places: Arc::new(Semaphore::new(EXECS)),
            relays: Arc::new(Semaphore::new(RELAYS)),
            pipes: Arc::default(),
            host_key,
            leaving: CancellationToken::new(),
            execs,
            terminals: Arc::new(terminals),
            abandon,
        }
    }

    /// Serves until the end, and ends everything in the sandbox.
    pub(crate) async fn run(mut self, session: Session) -> std::io::Result<Over> {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let processes = Arc::clone(&self.processes);
        let mut events = tokio::spawn(async move { processes.follow().await });
        let mut session = tokio::spawn(session.hold());
        let grace = tokio::select! {
            _ended = &mut events => return Ok(Over::Lost),
            parted = &mut session => {
                tracing::warn!(?parted, "the gateway does not know this sandbox; it ends");
                self.end(Duration::ZERO, events).await;
                return Ok(Over::Refused);
            }
            grace = self.answer() => grace,
            () = asked(&mut terminate, &mut interrupt) => GRACE,
        };
        tracing::info!("the sandbox is ending");
        self.end(grace, events).await;
        // Ended, or gave up on a gateway that is away.
        let _either = tokio::time::timeout(ending::FAREWELL, session).await;
        Ok(Over::Asked)
    }

    /// Does what the gateway asks for until that is to stop; then the time that processes may take.
    async fn answer(&mut self) -> Duration {
        while let Some((message, connection)) = self.heard.recv().await {
            match message {
                to_supervisor::Message::Welcome(welcome) => self.standing.number(&welcome),
                to_supervisor::Message::Policy(revision) => {
                    let result = self.standing.put_into_force(&revision);
                    connection.answer(from_supervisor::Message::Policy(result));
                }
                to_supervisor::Message::ProviderEnvironment(provider) => {
                    match crate::launch::check_environment(&provider.environment) {
                        Ok(()) => self.environment.provider = provider.environment,
                        Err(error) => tracing::error!(%error, "kept the provider environment"),
                    }
                }
                to_supervisor::Message::Exec(request) => {
                    let exec_id = request.exec_id.clone();
                    if let Err(message) = self.exec(request, &connection) {
                        let refused = ExecRefused { exec_id, message };
                        connection.answer(from_supervisor::Message::ExecRefused(refused));
                    }
                }
                to_supervisor::Message::Relay(relay) => self.relay(relay, &connection),
                to_supervisor::Message::Stop(stop) => {
                    return Duration::from_millis(stop.grace_ms.into());
                }
            }
            // The answers are sent by others, who need their turn.
            tokio::task::yield_now().await;
        }
        // The session ends only when it is told to, or is refused, which is heard elsewhere.
        std::future::pending().await
    }

    fn exec(
        &self,
        request: navigator_proto::session::v1::ExecRequest,
        connection: &Connection,
    ) -> Result<(), String> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| format!("{EXECS} processes run already"))?;
        let exec = Exec {
            processes: Arc::clone(&self.processes),
            environment: self.environment.clone(),
            terminals: Arc::clone(&self.terminals),
            connection: connection.clone(),
            abandon: self.abandon.clone(),
        };
        self.execs.spawn(async move {
            exec.run(request).await;
            drop(place);
        });
        Ok(())
    }
}

impl Serving {
    fn relay(&self, relay: navigator_proto::session::v1::Relay, connection: &Connection) {
        let Ok(place) = Arc::clone(&self.relays).try_acquire_owned() else {
            let message = format!("{RELAYS} connections are open already");
            let refused = RelayRefused { relay_id: relay.relay_id, message };
            return connection.answer(from_supervisor::Message::RelayRefused(refused));
        };
        let inside = Inside {
            processes: Arc::clone(&self.processes),
            environment: self.environment.clone(),
        };
        let relaying = Relaying {
            inside: Arc::new(inside),
            host_key: self.host_key.clone(),
            connection: connection.clone(),
            pipes: Arc::clone(&self.pipes),
            leaving: self.leaving.child_token(),
        };
        let leaving = self.leaving.clone();
        self.execs.spawn(async move {
            tokio::select! {
                () = relaying.run(relay) => {}
                () = leaving.cancelled() => {}
            }
            drop(place);
        });
    }
}

/// Waits for somebody to end this process.
async fn asked(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _signal = terminate.recv() => {}
        _signal = interrupt.recv() => {}
    }
}
