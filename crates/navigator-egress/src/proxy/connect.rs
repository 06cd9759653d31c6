//! `CONNECT`: decide, dial, answer `200`, and carry bytes.

use std::io;
use std::sync::PoisonError;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::target;
use super::{Client, Opening};
use crate::intent::Adapter;
use crate::reach::{Beyond, NotReached, reach};
use crate::refuse::{UpstreamFailure, bad_request};

/// A connection that was answered with `200` and begins when the answer is on its way.
pub(super) struct Tunnel {
    client: OnUpgrade,
    beyond: Beyond,
}

/// Answers a `CONNECT`; an allowed one leaves its tunnel in `open`.
pub(super) async fn answer(
    client: &Client,
    mut request: Request<Incoming>,
    open: &Opening,
) -> Response<Full<Bytes>> {
    let target = match target::of_connect(request.uri(), request.headers()) {
        Ok(target) => target,
        Err(error) => return bad_request(&error.to_string()),
    };
    let intent = client.intent(target, Adapter::Connect);
    let beyond = match reach(&client.judge, &intent, &client.caller).await {
        Ok(beyond) => beyond,
        Err(NotReached::Refused(refusal)) => return refusal.response(),
        Err(NotReached::Unresolved(failure)) => return failure.response(),
        Err(NotReached::Undialled(error)) => return UpstreamFailure::unreached(&error).response(),
    };
    let tunnel = Tunnel { client: hyper::upgrade::on(&mut request), beyond };
    if let Some(open) = open.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // The receiver waits for the connection's end, so it is still there.
        let _ = open.send(tunnel);
    }
    Response::new(Full::default())
}

/// Carries a tunnel to its end.
pub(super) async fn carry_on(tunnel: Tunnel, client: &Client) -> io::Result<()> {
    let upgraded = tunnel.client.await.map_err(io::Error::other)?;
    let parts = upgraded
        .downcast::<TokioIo<TcpStream>>()
        .map_err(|_| io::Error::other("the client's connection is of another kind"))?;
    tunnel.beyond.carry(parts.io.into_inner(), parts.read_buf, &client.judge, &client.place).await
}
