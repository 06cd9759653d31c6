//! The explicit proxy on port 3128: `CONNECT` and absolute-form HTTP.
//!
//! A request is parsed once and what is forwarded is written anew, so two parsers never disagree
//! about the same bytes. Each request is identified and decided on its own, also on a connection
//! that is kept alive.

mod connect;
mod forward;
mod target;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::authorise::{Identified, Judge};
use crate::intent::ClientSocket;
use crate::limits::{HEAD_DEADLINE, MAX_HEAD, MAX_HEADERS};

/// What goes back to the client: our own words, or the upstream's stream.
type Answer = Response<Either<Full<Bytes>, Incoming>>;

/// One client connection of the proxy.
struct Client {
    judge: Arc<Judge>,
    socket: ClientSocket,
    caller: Identified,
    upstream: forward::Kept,
}

/// Serves one client of the proxy to its end, including a tunnel that it turns into.
pub(crate) async fn serve(
    stream: TcpStream,
    from: SocketAddr,
    judge: Arc<Judge>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = ClientSocket { client: from, wanted: stream.local_addr()? };
    let caller = judge.identify(&socket).await;
    let client = Client { judge, socket, caller, upstream: forward::Kept::default() };
    let (open, opened) = oneshot::channel();
    let open = std::sync::Mutex::new(Some(open));
    let service = service_fn(|request| client.answer(request, &open));
    let mut builder = http1::Builder::new();
    builder
        // A client may close its sending side and still wait for the answer.
        .half_close(true)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .auto_date_header(false);
    builder
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await
        .map_err(io::Error::other)?;
    drop(open);
    match opened.await {
        Ok(tunnel) => connect::carry_on(tunnel, &client.judge).await,
        Err(_) => Ok(()),
    }
}

/// Where a `CONNECT` that was answered leaves its tunnel; taken by the first one, the last
/// request that a connection can carry.
type Opening = std::sync::Mutex<Option<oneshot::Sender<connect::Tunnel>>>;

impl Client {
    async fn answer(
        &self,
        request: Request<Incoming>,
        open: &Opening,
    ) -> Result<Answer, Infallible> {
        if request.method() == Method::CONNECT {
            return Ok(connect::answer(self, request, open).await.map(Either::Left));
        }
        Ok(forward::answer(self, request).await)
    }
}
