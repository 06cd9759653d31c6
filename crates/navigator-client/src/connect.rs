//! One connection to a gateway, over a unix socket of this user or with mutual TLS.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use navigator_proto::v1::HealthRequest;
use navigator_proto::v1::navigator_client::NavigatorClient;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tonic::transport::{Channel, Endpoint, Uri};

use crate::gateways::{Credentials, Gateway, Reach};
use crate::tls::{self, CredentialsError};

/// The gateway's API.
pub type Api = NavigatorClient<Channel>;

/// How long a gateway may take to accept a connection and to say that it is there.
pub(crate) const CONNECT: Duration = Duration::from_secs(5);
/// How long it may take to begin an answer: the slowest, ending everything in a sandbox, takes seconds.
const ANSWER: Duration = Duration::from_secs(60);
/// How often a connection is tried for life, and how long its sign may take. A laptop that slept, or a gateway that
/// hangs, is noticed within the sum.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Largest answer, in bytes: a hundred sandboxes with the largest policies.
const ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// A gateway that cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens on the socket.
    #[error("failed to reach the gateway: nobody listens on {}", path.display())]
    NotRunning {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The socket cannot be used.
    #[error("failed to reach the gateway on {}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Somebody else listens on it, who would be told what this user sends.
    #[error("failed to trust the gateway on {}: it is run by user {uid}", path.display())]
    Owner {
        /// The socket.
        path: PathBuf,
        /// Who listens.
        uid: u32,
    },
    /// The credentials cannot be used.
    #[error("failed to use the credentials of the gateway")]
    Credentials(#[from] CredentialsError),
    /// No connection, or no trust.
    #[error("failed to {action} {host} on port {port}")]
    Network {
        /// What was tried.
        action: &'static str,
        /// The gateway's host.
        host: String,
        /// Its port.
        port: u16,
        /// The reason.
        source: io::Error,
    },
    /// It accepts connections and says nothing.
    #[error("failed to get an answer from the gateway `{name}` within {} s", CONNECT.as_secs())]
    Silent {
        /// The gateway.
        name: String,
    },
    /// It says something else.
    #[error("failed to talk with the gateway `{name}`")]
    Talk {
        /// The gateway.
        name: String,
        /// What it said, or what became of the connection.
        source: Box<tonic::Status>,
    },
}

/// Connects and makes sure that a gateway answers.
///
/// # Errors
/// [`ConnectError`] when it cannot be reached, is somebody else's, or does not answer.
pub async fn connect(gateway: &Gateway) -> Result<Api, ConnectError> {
    let way = Way::to(gateway)?;
    let silent = |_elapsed| ConnectError::Silent { name: gateway.name.clone() };
    let first = tokio::time::timeout(CONNECT, way.dial()).await.map_err(silent)??;
    let channel = channel(way, first);
    let mut api = NavigatorClient::new(channel).max_decoding_message_size(ANSWER_BYTES);
    match tokio::time::timeout(CONNECT, api.health(HealthRequest {})).await.map_err(silent)? {
        Ok(_healthy) => Ok(api),
        Err(status) => {
            Err(ConnectError::Talk { name: gateway.name.clone(), source: Box::new(status) })
        }
    }
}

/// The channel uses the first connection, and makes new ones the same way when it breaks.
fn channel(way: Way, first: Connection) -> Channel {
    let (way, first) = (Arc::new(way), Arc::new(Mutex::new(Some(first))));
    let connector = tower::service_fn(move |_: Uri| {
        let (way, first) = (way.clone(), first.clone());
        async move {
            let ready = first.lock().unwrap_or_else(PoisonError::into_inner).take();
            match ready {
                Some(connection) => Ok::<_, ConnectError>(TokioIo::new(connection)),
                None => way.dial().await.map(TokioIo::new),
            }
        }
    });
    // The connector decides where it goes; the name is what the gateway sees as authority.
    Endpoint::from_static("http://navigator.invalid")
        .connect_timeout(CONNECT)
        .timeout(ANSWER)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .connect_with_connector_lazy(connector)
}

/// A connection of any kind.
pub(crate) type Connection = Box<dyn Bytes>;

pub(crate) trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

/// The way to a gateway, ready to be gone.
pub(crate) enum Way {
    Unix(PathBuf),
    Tls { host: String, port: u16, tls: Arc<ClientConfig> },
}

impl Way {
    pub(crate) fn to(gateway: &Gateway) -> Result<Self, ConnectError> {
        Ok(match &gateway.reach {
            Reach::Local(path) | Reach::Unix(path) => Self::Unix(path.clone()),
            Reach::Tls { host, port, credentials } => Self::tls(host, *port, credentials)?,
        })
    }

    fn tls(host: &str, port: u16, credentials: &Credentials) -> Result<Self, ConnectError> {
        let tls = tls::configuration(credentials)?;
        Ok(Self::Tls { host: host.to_owned(), port, tls })
    }

    /// The same way for connections that carry one stream: HTTP/1.1, which leaves nothing around the bytes.
    pub(crate) fn for_tunnels(self) -> Self {
        match self {
            Self::Unix(path) => Self::Unix(path),
            Self::Tls { host, port, tls } => {
                let mut tls = ClientConfig::clone(&tls);
                tls.alpn_protocols = vec![b"http/1.1".to_vec()];
                Self::Tls { host, port, tls: Arc::new(tls) }
            }
        }
    }

    pub(crate) async fn dial(&self) -> Result<Connection, ConnectError> {
        match self {
            Self::Unix(path) => dial_unix(path).await,
            Self::Tls { host, port, tls } => dial_tls(host, *port, tls.clone()).await,
        }
    }
}

/// Who listens is asked of the connection itself: a file's owner may be another one a moment later.
async fn dial_unix(path: &Path) -> Result<Connection, ConnectError> {
    let path = path.to_owned();
    let stream = match UnixStream::connect(&path).await {
        Ok(stream) => stream,
        Err(source) => {
            let nobody =
                matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused);
            return Err(match nobody {
                true => ConnectError::NotRunning { path, source },
                false => ConnectError::Socket { path, source },
            });
        }
    };
    let peer = match stream.peer_cred() {
        Ok(peer) => peer.uid(),
        Err(source) => return Err(ConnectError::Socket { path, source }),
    };
    if !trusted(peer, rustix::process::geteuid().as_raw()) {
        return Err(ConnectError::Owner { path, uid: peer });
    }
    Ok(Box::new(stream))
}

/// Only this user and root may be the gateway of this user.
fn trusted(peer: u32, me: u32) -> bool {
    peer == me || peer == 0
}

async fn dial_tls(
    host: &str,
    port: u16,
    tls: Arc<ClientConfig>,
) -> Result<Connection, ConnectError> {
    let failed = |action: &'static str| {
        move |source| ConnectError::Network { action, host: host.to_owned(), port, source }
    };
    let stream = TcpStream::connect((host, port)).await.map_err(failed("connect to"))?;
    stream.set_nodelay(true).map_err(failed("connect to"))?;
    let name = ServerName::try_from(host.to_owned())
        .map_err(|error| failed("name")(io::Error::other(error)))?;
    let stream = tokio_rustls::TlsConnector::from(tls).connect(name, stream).await;
    Ok(Box::new(stream.map_err(failed("make a trusted connection to"))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_user_and_root_are_trusted() {
        assert!(trusted(1000, 1000) && trusted(0, 1000) && trusted(0, 0));
        assert!(!trusted(1001, 1000) && !trusted(1000, 0));
    }
}
