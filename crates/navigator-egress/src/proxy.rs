//! The explicit proxy on port 3128: `CONNECT`, absolute-form HTTP, and SOCKS5.
//!
//! A request is parsed once and what is forwarded is written anew, so two parsers never disagree
//! about the same bytes. Each request is identified and decided on its own, also on a connection
//! that is kept alive.

mod connect;
mod forward;
pub(crate) mod socks;
pub(crate) mod target;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http::{Method, Request};
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use navigator_policy::{Authority, Host};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::authorise::{Identified, Judge, Permit};
use crate::intent::{Adapter, ClientSocket, EgressIntent};
use crate::limits::{HEAD_DEADLINE, MAX_TEXT_FRAME, TUNNEL_IDLE};
use crate::places::Place;
use crate::registry::Registration;
use crate::relay::{self, Answer, Switching, websocket};

/// One client connection of the proxy.
struct Client {
    judge: Arc<Judge>,
    socket: ClientSocket,
    caller: Identified,
    place: Arc<Place>,
    switching: Switching,
    /// By what right the last absolute-form request went out, and what ends this connection with it.
    held: Mutex<Option<Registration>>,
    ended: CancellationToken,
}

/// Serves one client of the proxy to its end, including a tunnel that it turns into.
pub(crate) async fn serve(
    stream: TcpStream,
    from: SocketAddr,
    judge: Arc<Judge>,
    place: Arc<Place>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = ClientSocket { client: from, wanted: stream.local_addr()? };
    let caller = judge.identify(&socket).await;
    let client = Client {
        judge,
        socket,
        caller,
        place,
        switching: Switching::default(),
        held: Mutex::default(),
        ended: CancellationToken::new(),
    };
    let mut first = [0];
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    match timeout(HEAD_DEADLINE, stream.peek(&mut first)).await.map_err(late)?? {
        0 => Ok(()),
        _ if first[0] == socks::VERSION => socks::serve(&client, stream).await,
        _ => serve_http(&client, stream).await,
    }
}

async fn serve_http(client: &Client, stream: TcpStream) -> io::Result<()> {
    let (open, opened) = oneshot::channel();
    let open = Mutex::new(Some(open));
    let service = service_fn(|request| client.answer(request, &open));
    let connection =
        relay::http1_server().serve_connection(TokioIo::new(stream), service).with_upgrades();
    let Some(served) = client.ended.run_until_cancelled(connection).await else { return Ok(()) };
    served.map_err(io::Error::other)?;
    drop(open);
    if let Ok(tunnel) = opened.await {
        return connect::carry_on(tunnel, client).await;
    }
    let Some(switched) = client.switching.take() else { return Ok(()) };
    let carried = websocket::carry(switched, MAX_TEXT_FRAME, TUNNEL_IDLE);
    match client.ended.run_until_cancelled(carried).await {
        Some(carried) => carried.map_err(io::Error::other),
        None => Ok(()),
    }
}

/// Where a `CONNECT` that was answered leaves its tunnel; taken by the first one, the last
/// request that a connection can carry.
type Opening = Mutex<Option<oneshot::Sender<connect::Tunnel>>>;

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

    /// The wish that a target expresses; a synthetic address stands for its name here as well.
    fn intent(&self, target: Authority, adapter: Adapter) -> EgressIntent {
        let host = match target.host {
            Host::Address(address) => self.judge.context().host_of(address),
            Host::Name(name) => Host::Name(name),
        };
        EgressIntent { socket: self.socket, host, port: target.port, adapter }
    }

    /// Ends this connection when the right to its newest request ends.
    fn hold(&self, permit: &Permit) {
        let registration = self.judge.register_until(permit, self.ended.clone());
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(registration);
    }
}
