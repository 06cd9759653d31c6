//! Streams of bytes between clients and what is in sandboxes: asked for over the session, opened by the supervisor,
//! joined here.

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, Cursor};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::{Parts, downcast};
use navigator_proto::session::v1 as proto;
use navigator_proto::session::v1::relay::To;
use navigator_proto::session::v1::to_supervisor::Message;
use navigator_tunnel::{Carriage, End, PipePool, TunnelError, carry};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::UnixStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use crate::access::token_hash;
use crate::clock::steady;
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::live::Live;
use crate::records::{Phase, Sandbox, SshSession};

/// How long both sides may take to become streams of bytes.
const OPEN: Duration = Duration::from_secs(10);
/// Bytes that are read at once, in each direction: as much as a socket of this machine holds.
const CHUNK: usize = 128 * 1024;

/// Connections that rights opened, so that they end with them.
#[derive(Default)]
pub(crate) struct Tunnels {
    open: Mutex<HashMap<[u8; 32], CancellationToken>>,
    pipes: PipePool,
}

impl Tunnels {
    /// Cuts the connection that a right opened; whether there is one.
    pub(crate) fn cut(&self, token_hash: &[u8; 32]) -> bool {
        let tunnels = self.open.lock().unwrap_or_else(PoisonError::into_inner);
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
        let mut tunnels = gateway.tunnels.open.lock().unwrap_or_else(PoisonError::into_inner);
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
        let mut tunnels = self.gateway.tunnels.open.lock().unwrap_or_else(PoisonError::into_inner);
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
        let session = live.session.reached().await?;
        let relay = |relay_id| Message::Relay(proto::Relay { relay_id, to: Some(to) });
        let inside = live.relays.ask(&session, relay).await?;
        match self.store.use_ssh_session(&token_hash, steady()).await? {
            true => Ok(Tunnel { place, inside }),
            false => Err(NO_RIGHT),
        }
    }

    /// Joins both sides until one ends or the right is taken back.
    pub(crate) fn join(&self, outside: OnUpgrade, tunnel: Tunnel) {
        self.tasks.spawn(async move {
            let Tunnel { place, inside } = tunnel;
            if let Err(error) =
                join(outside, inside, &place.gateway.tunnels.pipes, &place.cut).await
            {
                tracing::debug!(error = &error as &dyn Error, "a tunnel broke");
            }
        });
    }
}

fn is_good(session: &SshSession, sandbox: &Sandbox) -> bool {
    let good = !session.revoked && !session.used && steady() < session.expires_at;
    good && session.sandbox_id == sandbox.id
}

/// Why two streams were not joined to their ends.
#[derive(Debug, thiserror::Error)]
enum JoinError {
    #[error("failed to become a stream of bytes")]
    Upgrade(#[source] hyper::Error),
    #[error("failed to become a stream of bytes in time")]
    Late,
    #[error(transparent)]
    Carry(#[from] TunnelError),
    #[error("failed to copy")]
    Copy(#[source] io::Error),
}

async fn join(
    outside: OnUpgrade,
    inside: OnUpgrade,
    pipes: &PipePool,
    cut: &CancellationToken,
) -> Result<(), JoinError> {
    let both = async { tokio::try_join!(outside, inside).map_err(JoinError::Upgrade) };
    let (outside, inside) =
        tokio::time::timeout(OPEN, both).await.map_err(|_| JoinError::Late)??;
    // Between two sockets of this machine the kernel moves the bytes.
    let outside = match downcast::<Plain>(outside) {
        Ok(outside) => outside,
        Err(outside) => return copy(TokioIo::new(outside), TokioIo::new(inside), cut).await,
    };
    match downcast::<Plain>(inside) {
        Ok(inside) => {
            let (outside, inside) = (&outside, &inside);
            let carriage = Carriage { pipes, idle: None, ended: cut };
            carry(end(outside), end(inside), &carriage).await?;
            Ok(())
        }
        Err(inside) => copy(whole(outside), TokioIo::new(inside), cut).await,
    }
}

/// A client or supervisor of this machine, whose bytes nobody encrypts.
type Plain = TokioIo<UnixStream>;

fn end(parts: &Parts<Plain>) -> End<'_, UnixStream> {
    End { socket: parts.io.inner(), early: &parts.read_buf }
}

/// A stream from its first byte.
fn whole(parts: Parts<Plain>) -> impl AsyncRead + AsyncWrite + Unpin {
    let (from, to) = parts.io.into_inner().into_split();
    tokio::io::join(Cursor::new(parts.read_buf).chain(from), to)
}

async fn copy(
    mut outside: impl AsyncRead + AsyncWrite + Unpin,
    mut inside: impl AsyncRead + AsyncWrite + Unpin,
    cut: &CancellationToken,
) -> Result<(), JoinError> {
    let copied = tokio::io::copy_bidirectional_with_sizes(&mut outside, &mut inside, CHUNK, CHUNK);
    tokio::select! {
        () = cut.cancelled() => Err(TunnelError::Revoked.into()),
        copied = copied => copied.map(|_| ()).map_err(JoinError::Copy),
    }
}
