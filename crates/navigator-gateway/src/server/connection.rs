//! Connections: who is at the other end, and the calls that come over them.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderMap, Request};
use axum::Router;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use navigator_proto::inference::v1::inference_server::InferenceServer;
use navigator_proto::session::v1::session_server::SessionServer;
use navigator_proto::v1::navigator_server::NavigatorServer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::http;
use crate::access::{Peer, guard};
use crate::api::{InferenceApi, NavigatorApi};
use crate::certificates;
use crate::gateway::Gateway;
use crate::metrics::measure;
use crate::session::Sessions;

/// Connections at once: one for each of a thousand supervisors, and as many clients again.
const CONNECTIONS: usize = 4096;
/// Calls at once over one connection: a client may watch every sandbox that there may be.
const STREAMS: u32 = 2048;
/// Bytes of one call that may be on their way, in each direction. A connection has room for all its calls, so that streams whose readers are
/// slow never hold up the others.
const STREAM_WINDOW: u32 = 128 * 1024;
/// How long a client may take to send the head of an HTTP/1 request.
const HEAD: Duration = Duration::from_secs(10);
/// How often another machine is asked whether it is still there.
const PINGS: Duration = Duration::from_secs(30);
/// Pause after the system refused a connection, such as for want of descriptors.
const REFUSED: Duration = Duration::from_millis(50);

/// Handshakes at once: each takes a millisecond of a processor, and may take ten seconds of patience.
const HANDSHAKES: usize = 256;

/// Where users of other machines connect.
pub struct Remote {
    /// Where they connect.
    pub listener: TcpListener,
    /// Who gets in; see [`certificates::acceptor`].
    pub acceptor: TlsAcceptor,
}

/// Serves connections.
pub(crate) struct Serving {
    /// gRPC.
    calls: Router,
    /// Everything else.
    pages: Router,
    room: Arc<Semaphore>,
    graceful: GracefulShutdown,
}

impl Serving {
    /// Everything that can be called.
    pub(crate) fn new(gateway: &Arc<Gateway>) -> Self {
        let calls =
            tonic::service::Routes::new(NavigatorServer::new(NavigatorApi(Arc::clone(gateway))))
                .add_service(InferenceServer::new(InferenceApi(Arc::clone(gateway))))
                .add_service(SessionServer::new(Sessions(Arc::clone(gateway))))
                .into_axum_router()
                .layer(axum::middleware::from_fn_with_state(gateway.store.clone(), guard))
                .layer(axum::middleware::from_fn_with_state(Arc::clone(&gateway.metrics), measure));
        Self {
            calls,
            pages: http::routes(Arc::clone(gateway)),
            room: Arc::new(Semaphore::new(CONNECTIONS)),
            graceful: GracefulShutdown::new(),
        }
    }

    /// Takes connections from a unix socket until the gateway ends.
    pub(crate) async fn unix(&self, listener: UnixListener, ending: &CancellationToken) {
        loop {
            let accepted = tokio::select! {
                () = ending.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) if is_owner(&stream) => self.connection(stream, Peer::Owner),
                // Closed without a word.
                Ok((stream, _)) => drop(stream),
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(REFUSED).await;
                }
            }
        }
    }

    /// Takes connections of users with a certificate over TLS until the gateway ends.
    pub(crate) async fn remote(&self, remote: Remote, ending: &CancellationToken) {
        let (mut handshakes, mut waiting) = (JoinSet::new(), VecDeque::new());
        loop {
            tokio::select! {
                () = ending.cancelled() => return,
                Some(done) = handshakes.join_next() => {
                    if let Ok(Some((stream, peer))) = done {
                        self.connection(stream, peer);
                    }
                }
                accepted = remote.listener.accept() => {
                    match accepted {
                        Ok((stream, from)) => {
                            let shaking = handshake(remote.acceptor.clone(), stream, from);
                            waiting.push_back(handshakes.spawn(shaking));
                            make_room(&mut waiting);
                        }
                        Err(error) => {
                            tracing::warn!(%error, "failed to accept a connection");
                            tokio::time::sleep(REFUSED).await;
                        }
                    }
                }
            }
        }
    }

    fn connection<S>(&self, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Ok(place) = Arc::clone(&self.room).try_acquire_owned() else {
            tracing::warn!("too many connections; one was closed");
            return;
        };
        let (calls, pages) = (self.calls.clone(), self.pages.clone());
        // A process of this machine cannot vanish unnoticed; another machine can.
        let pings = match peer {
            Peer::Owner => None,
            Peer::Certificate(_) => Some(PINGS),
        };
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer.clone());
            let router = if is_call(request.headers()) { &calls } else { &pages };
            router.clone().oneshot(request)
        });
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
        builder
            .http2()
            .timer(TokioTimer::new())
            // Tunnels over HTTP/2: RFC 8441.
            .enable_connect_protocol()
            .max_concurrent_streams(STREAMS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(STREAM_WINDOW * STREAMS)
            .max_send_buf_size(STREAM_WINDOW as usize)
            .keep_alive_interval(pings);
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let watched = self.graceful.watch(connection.into_owned());
        tokio::spawn(async move {
            if let Err(error) = watched.await {
                tracing::debug!(%error, "a connection broke");
            }
            drop(place);
        });
    }

    /// Waits until every connection has come to its end.
    pub(crate) async fn over(self) {
        self.graceful.shutdown().await;
    }
}

/// Ends the oldest handshake when there are too many: strangers who say nothing must not keep out those who do.
fn make_room(waiting: &mut VecDeque<AbortHandle>) {
    waiting.retain(|handshake| !handshake.is_finished());
    if waiting.len() > HANDSHAKES
        && let Some(oldest) = waiting.pop_front()
    {
        oldest.abort();
    }
}

/// Whether a request is gRPC; what comes after that word is an encoding.
fn is_call(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/grpc"))
}

/// A connection and the user at its other end, once they have proved who they are.
async fn handshake(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    from: SocketAddr,
) -> Option<(TlsStream<TcpStream>, Peer)> {
    // Small messages go back and forth; whoever cannot have that only waits longer.
    let _delay = stream.set_nodelay(true);
    let stream = match tokio::time::timeout(HEAD, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return refused(from, &error),
        Err(error) => return refused(from, &error),
    };
    match certificates::peer(stream.get_ref().1.peer_certificates().unwrap_or_default()) {
        Ok(name) => Some((stream, Peer::Certificate(name.to_string()))),
        Err(error) => refused(from, &error),
    }
}

fn refused<T>(from: SocketAddr, error: &(dyn std::error::Error + 'static)) -> Option<T> {
    tracing::info!(%from, error, "a connection was refused");
    None
}

/// Whether the process at the other end belongs to the user that this one runs as.
fn is_owner(stream: &UnixStream) -> bool {
    match stream.peer_cred() {
        Ok(peer) if peer.uid() == rustix::process::getuid().as_raw() => true,
        Ok(peer) => {
            tracing::warn!(uid = peer.uid(), "a connection of another user was refused");
            false
        }
        Err(error) => {
            tracing::warn!(%error, "a connection of nobody known was refused");
            false
        }
    }
}
