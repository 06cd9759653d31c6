//! `CONNECT`: decide, dial, answer `200`, and carry bytes.

use std::io;
use std::sync::PoisonError;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use navigator_policy::Host;
use tokio::net::TcpStream;

use super::target;
use super::{Client, Opening};
use crate::authorise::{Judge, Verdict};
use crate::dial;
use crate::intent::{Adapter, EgressIntent};
use crate::limits::TUNNEL_IDLE;
use crate::refuse::{UpstreamFailure, bad_request};
use crate::registry::Registration;
use crate::tunnel::{Carriage, carry};

/// A tunnel that was answered with `200` and begins when the answer is on its way.
pub(super) struct Tunnel {
    client: OnUpgrade,
    upstream: TcpStream,
    registration: Registration,
    host: Host,
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
    let permit = match client.judge.authorise(&intent, &client.caller).await {
        Verdict::Connect(permit) => permit,
        Verdict::Refuse(refusal) => return refusal.response(),
        Verdict::Unreachable(failure) => return failure.response(),
    };
    let registration = client.judge.register(&permit);
    let right = &permit.right;
    let upstream = match dial::connect(&right.host, right.port, &right.addresses).await {
        Ok(upstream) => upstream,
        Err(error) => return UpstreamFailure::unreached(&error).response(),
    };
    let tunnel = Tunnel {
        client: hyper::upgrade::on(&mut request),
        upstream,
        registration,
        host: intent.host,
    };
    if let Some(open) = open.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // The receiver waits for the connection's end, so it is still there.
        let _ = open.send(tunnel);
    }
    Response::new(Full::default())
}

/// Carries a tunnel to its end.
pub(super) async fn carry_on(mut tunnel: Tunnel, judge: &Judge) -> io::Result<()> {
    let upgraded = tunnel.client.await.map_err(io::Error::other)?;
    let parts = upgraded
        .downcast::<TokioIo<TcpStream>>()
        .map_err(|_| io::Error::other("the client's connection is of another kind"))?;
    let client = parts.io.into_inner();
    let carriage = Carriage {
        pipes: &judge.context().pipes,
        idle: TUNNEL_IDLE,
        ended: tunnel.registration.ended(),
    };
    match carry(&client, &mut tunnel.upstream, &parts.read_buf, &carriage).await {
        Ok(bytes) => tracing::trace!(host = %tunnel.host, bytes, "tunnel closed"),
        Err(error) => tracing::debug!(host = %tunnel.host, %error, "tunnel ended"),
    }
    Ok(())
}

impl Client {
    /// The wish that a target expresses; a synthetic address stands for its name here as well.
    pub(super) fn intent(
        &self,
        target: navigator_policy::Authority,
        adapter: Adapter,
    ) -> EgressIntent {
        let host = match target.host {
            Host::Address(address) => self.judge.context().host_of(address),
            Host::Name(name) => Host::Name(name),
        };
        EgressIntent { socket: self.socket, host, port: target.port, adapter }
    }
}
