//! One HTTP/2 connection to the gateway's unix socket.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;

use super::{ANSWER, Client, SessionError};
use crate::serve::EXECS;

/// Bytes that the gateway may send ahead on one stream: what is typed, not what is uploaded.
const STREAM_WINDOW: u32 = 64 * 1024;
/// Bytes that it may send ahead on all streams together: so many that processes which do not read their input cannot
/// hold up the session. It is a permission, not memory.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * (EXECS as u32 + 1);
/// Bytes that wait on one stream to be sent, so that a slow reader soon stops the process that writes.
const SEND_BUFFER: usize = 64 * 1024;

/// The connection, for any number of calls at once.
#[derive(Clone)]
pub(crate) struct Link {
    sender: SendRequest<Body>,
    authorization: HeaderValue,
}

/// Connects. `over` is cancelled when the connection breaks, and cancelling it ends the connection.
pub(super) async fn dial(
    socket: &Path,
    authorization: &HeaderValue,
    over: CancellationToken,
) -> Result<Client, SessionError> {
    let stream = connect(socket).await?;
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER);
    let shake = tokio::time::timeout(ANSWER, builder.handshake(TokioIo::new(stream)));
    let (sender, connection) =
        shake.await.map_err(|_| SessionError::Silent)?.map_err(SessionError::Handshake)?;
    tokio::spawn(async move {
        tokio::select! {
            ended = connection => if let Err(error) = ended {
                tracing::debug!(%error, "the connection to the gateway broke");
            },
            () = over.cancelled() => {}
        }
        over.cancel();
    });
    let link = Link { sender, authorization: authorization.clone() };
    Ok(Client::with_origin(link, Uri::from_static("http://gateway")))
}

/// Connects to a gateway that is trusted.
pub(super) async fn connect(socket: &Path) -> Result<UnixStream, SessionError> {
    let failed = |source| SessionError::Connect { socket: socket.to_owned(), source };
    let stream = UnixStream::connect(socket).await.map_err(failed)?;
    // Asked of the connection itself: the place of a gateway that is away may be anybody's to listen on.
    let uid = stream.peer_cred().map_err(failed)?.uid();
    if !trusted(uid, rustix::process::geteuid().as_raw()) {
        return Err(SessionError::Stranger { socket: socket.to_owned(), uid });
    }
    Ok(stream)
}

/// Only this user and root may be the gateway of this user's sandboxes.
fn trusted(listener: u32, own: u32) -> bool {
    listener == own || listener == 0
}

impl tower::Service<Request<Body>> for Link {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.sender.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        request.headers_mut().insert(AUTHORIZATION, self.authorization.clone());
        Box::pin(self.sender.send_request(request))
    }
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
