//! The gateway as a server: what it needs to start, its listeners, its orderly end.

mod connection;
mod http;
mod lock;
mod tunnel;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use navigator_drivers::ComputeDriver;
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::activation;
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::live::Hub;
use crate::metrics::Metrics;
use crate::reconcile;
use crate::relays::Tunnels;
use crate::store::Store;
pub use connection::Remote;
use connection::Serving;
pub use lock::{LockError, StateLock};

/// How long calls may take to end when the gateway does.
const DRAIN: Duration = Duration::from_secs(10);

/// What a gateway is made of.
pub struct Parts {
    /// Held as long as the gateway runs.
    pub lock: StateLock,
    /// What is kept.
    pub store: Store,
    /// Where sandboxes run.
    pub driver: Arc<dyn ComputeDriver>,
    /// Path of the unix socket.
    pub socket: PathBuf,
    /// The unix socket itself, when somebody else listens on it already and hands it over.
    pub handed: Option<std::os::unix::net::UnixListener>,
    /// Where users of other machines connect, if they may.
    pub remote: Option<Remote>,
    /// Places of this machine that no sandbox may have: the gateway's own.
    pub own_places: Vec<PathBuf>,
    /// Most sandboxes.
    pub most_sandboxes: u32,
    /// Cancelled to end the gateway.
    pub ending: CancellationToken,
}

/// A gateway that could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Its socket.
    #[error("failed to listen on {path}")]
    Listen {
        /// The socket's path.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// What there is could not be looked through.
    #[error("failed to look at the sandboxes that there are")]
    Start(#[source] Failure),
    /// Whoever started it cannot be told that it is ready.
    #[error("failed to say that the gateway is ready")]
    Ready(#[source] std::io::Error),
    /// The driver was used before.
    #[error("failed to watch supervisors: the driver is in use already")]
    Driver,
}

/// Serves until it is told to end, then lets calls that run come to their end.
///
/// # Errors
/// [`ServeError`] when it cannot start; nothing was changed then.
pub async fn serve(parts: Parts) -> Result<(), ServeError> {
    let ours = parts.handed.is_none();
    let listener = parts.handed.map_or_else(|| listen(&parts.socket), take_over);
    let listener =
        listener.map_err(|source| ServeError::Listen { path: parts.socket.clone(), source })?;
    let gone = parts.driver.gone().ok_or(ServeError::Driver)?;
    let (astray, strays) = mpsc::unbounded_channel();
    let ending = parts.ending.clone();
    let gateway = Arc::new(Gateway {
        store: parts.store,
        hub: Hub::default(),
        tunnels: Tunnels::default(),
        driver: parts.driver,
        socket: parts.socket,
        address: parts.remote.as_ref().and_then(|remote| remote.listener.local_addr().ok()),
        own_places: parts.own_places.iter().map(|place| real(place)).collect(),
        most_sandboxes: parts.most_sandboxes,
        metrics: Arc::new(Metrics::new()),
        astray,
        tasks: TaskTracker::new(),
        ending: ending.clone(),
    });
    let reconciling = tokio::spawn(reconcile::run(Arc::clone(&gateway), strays, gone));
    reconcile::at_start(&gateway).await.map_err(ServeError::Start)?;
    let serving = Serving::new(&gateway);
    tracing::info!(socket = %gateway.socket.display(), "ready");
    activation::ready().map_err(ServeError::Ready)?;
    let remote = async {
        if let Some(remote) = parts.remote {
            serving.remote(remote, &ending).await;
        }
    };
    tokio::join!(serving.unix(listener, &ending), remote);
    drain(&gateway, serving).await;
    reconciling.abort();
    if ours {
        // A socket of nobody would only puzzle; whoever starts next removes it otherwise.
        let _gone_already = std::fs::remove_file(&gateway.socket);
    }
    drop(parts.lock);
    Ok(())
}

/// A path without links, as far as it exists, so that no link leads around it.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

async fn drain(gateway: &Gateway, serving: Serving) {
    tracing::info!("ending");
    gateway.tasks.close();
    let over = async {
        serving.over().await;
        gateway.tasks.wait().await;
    };
    if tokio::time::timeout(DRAIN, over).await.is_err() {
        tracing::warn!("some calls were still running and are cut off");
    }
}

/// Takes a socket that somebody else listens on; who may reach it is up to them, who gets in is not.
fn take_over(listener: std::os::unix::net::UnixListener) -> std::io::Result<UnixListener> {
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// Listens on a socket that only this user can reach. A socket that is there is nobody's, unless somebody answers: the
/// gateway of another state directory, whose clients must not come here.
fn listen(path: &Path) -> std::io::Result<UnixListener> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    if let Some(directory) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        let taken = std::io::ErrorKind::AddrInUse;
        return Err(std::io::Error::new(taken, "a gateway answers there already"));
    }
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

#[cfg(test)]
#[path = "server/tests.rs"]
mod tests;
