//! Streams of bytes between clients and what is in sandboxes: asked for over the session, opened by the supervisor,
//! joined here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use navigator_proto::session::v1 as proto;
use navigator_proto::session::v1::relay::To;
use navigator_proto::session::v1::to_supervisor::Message;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio_util::sync::CancellationToken;

use crate::access::{new_token, token_hash};
use crate::clock::steady;
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::live::Live;
use crate::records::{Phase, Sandbox, SshSession};

/// How long a supervisor may take to open a relay, and both sides to become streams of bytes.
const OPEN: Duration = Duration::from_secs(10);
/// How long a supervisor may take to come back: longer than its longest pause between two calls.
const RETURN: Duration = Duration::from_secs(3);
/// Bytes that are read at once, in each direction: as much as a socket of this machine holds.
const CHUNK: usize = 128 * 1024;

type Opened = Result<OnUpgrade, String>;

/// Relays that a supervisor was asked for, by their unguessable ids.
#[derive(Default)]
pub(crate) struct Awaited(Mutex<HashMap<String, oneshot::Sender<Opened>>>);

impl Awaited {
    fn expect(&self, id: String) -> oneshot::Receiver<Opened> {
        let (sender, receiver) = oneshot::channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, sender);
        receiver
    }

    fn take(&self, id: &str) -> Option<oneshot::Sender<Opened>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id)
    }

    /// A supervisor has opened a relay; whether somebody waits for it.
    pub(crate) fn arrived(&self, id: &str, stream: OnUpgrade) -> bool {
        self.take(id).is_some_and(|client| client.send(Ok(stream)).is_ok())
    }

    /// A supervisor could not open a relay.
    pub(crate) fn refused(&self, id: &str, why: String) {
        if let Some(client) = self.take(id) {
            // Whoever asked may be gone.
            let _gone = client.send(Err(why));
        }
    }
}

/// Ends waiting for a relay when whoever waits is gone.
struct Wait<'a>(&'a Awaited, String);

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.0.take(&self.1);
    }
}

/// Connections that rights opened, so that they end with them.
#[derive(Default)]
pub(crate) struct Tunnels(Mutex<HashMap<[u8; 32], CancellationToken>>);

impl Tunnels {
    /// Cuts the connection that a right opened; whether there is one.
    pub(crate) fn cut(&self, token_hash: &[u8; 32]) -> bool {
        let tunnels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tunnels.get(token_hash).map(CancellationToken::cancel).is_some()
    }
}

/// A place among the tunnels.
struct Place {
    gateway: Arc<Gateway>,
    token_hash: [u8; 32],
    cut: CancellationToken,
    _room: OwnedSemaphorePermit,
}

impl Place {
    /// Takes a place; a right that is being used already has one.
    fn take(gateway: &Arc<Gateway>, live: &Live, token_hash: [u8; 32]) -> Result<Self, Failure> {
        let room = Arc::clone(&live.tunnels).try_acquire_owned().map_err(|_| {
            Failure::Exhausted("too many connections to this sandbox are open".into())
        })?;
        let cut = gateway.ending.child_token();
        let mut tunnels = gateway.tunnels.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tunnels.contains_key(&token_hash) {
            return Err(NO_RIGHT);
        }
        tunnels.insert(token_hash, cut.clone());
        drop(tunnels);
        Ok(Self { gateway: Arc::clone(gateway), token_hash, cut, _room: room })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut tunnels = self.gateway.tunnels.0.lock().unwrap_or_else(PoisonError::into_inner);
        tunnels.remove(&self.token_hash);
    }
}

/// What is said to who has no right; not why, because that is for who made it.
const NO_RIGHT: Failure = Failure::Denied("the token is not known, or no longer good");

/// A way into a sandbox that is open on the sandbox's side.
pub(crate) struct Tunnel {
    place: Place,
    inside: OnUpgrade,
}

impl Gateway {
    /// Opens a way into a sandbox. The right is used up when it is open, and not before.
    pub(crate) async fn open_tunnel(
        self: &Arc<Self>,
        sandbox_id: &str,
        token: &str,
        to: To,
    ) -> Result<Tunnel, Failure> {
        let sandbox = self.with_id(sandbox_id).await;
        let sandbox = sandbox.map_err(|failure| match failure {
            Failure::Invalid(_) => Failure::missing("sandbox", "with this id"),
            other => other,
        })?;
        let token_hash = token_hash(token);
        let session = self.store.ssh_session(&token_hash).await?;
        if !session.is_some_and(|session| is_good(&session, &sandbox)) {
            return Err(NO_RIGHT);
        }
        if !matches!(sandbox.phase, Phase::Ready | Phase::Unknown) {
            let phase = crate::wire::phase_word(sandbox.phase);
            return Err(Failure::Precondition(format!("the sandbox is {phase}, not ready")));
        }
        let live = self.live(sandbox.id);
        let place = Place::take(self, &live, token_hash)?;
        let inside = open_relay(&live, to).await?;
        match self.store.use_ssh_session(&token_hash, steady()).await? {
            true => Ok(Tunnel { place, inside }),
            false => Err(NO_RIGHT),
        }
    }

    /// Joins both sides until one ends or the right is taken back.
    pub(crate) fn join(&self, outside: OnUpgrade, tunnel: Tunnel) {
        self.tasks.spawn(async move {
            let Tunnel { place, inside } = tunnel;
            tokio::select! {
                () = place.cut.cancelled() => {}
                joined = copy(outside, inside) => if let Err(error) = joined {
                    tracing::debug!(%error, "a tunnel broke");
                },
            }
        });
    }
}

fn is_good(session: &SshSession, sandbox: &Sandbox) -> bool {
    let good = !session.revoked && !session.used && steady() < session.expires_at;
    good && session.sandbox_id == sandbox.id
}

/// Has the supervisor open a relay.
async fn open_relay(live: &Live, to: To) -> Result<OnUpgrade, Failure> {
    // A supervisor that the gateway has just found again is on its way.
    let session = live.session.wait(RETURN).await;
    let away = "the sandbox's supervisor is not connected";
    let session = session.ok_or_else(|| Failure::Unavailable(away.into()))?;
    let (id, _) = new_token();
    let _wait = Wait(&live.relays, id.to_string());
    let opened = live.relays.expect(id.to_string());
    let relay = proto::Relay { relay_id: id.to_string(), to: Some(to) };
    if !session.send(Message::Relay(relay)) {
        return Err(Failure::Unavailable("the sandbox's supervisor takes no requests".into()));
    }
    match tokio::time::timeout(OPEN, opened).await {
        Ok(Ok(opened)) => opened.map_err(Failure::Unavailable),
        Ok(Err(_)) | Err(_) => {
            Err(Failure::Unavailable("the sandbox's supervisor did not answer".into()))
        }
    }
}

async fn copy(outside: OnUpgrade, inside: OnUpgrade) -> std::io::Result<()> {
    let both = async { tokio::try_join!(outside, inside).map_err(std::io::Error::other) };
    let (outside, inside) =
        tokio::time::timeout(OPEN, both).await.map_err(|_| std::io::ErrorKind::TimedOut)??;
    let (mut outside, mut inside) = (TokioIo::new(outside), TokioIo::new(inside));
    tokio::io::copy_bidirectional_with_sizes(&mut outside, &mut inside, CHUNK, CHUNK).await?;
    Ok(())
}
