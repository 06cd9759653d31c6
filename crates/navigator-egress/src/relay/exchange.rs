//! One request to a server and its response, over a kept connection or a new one.

use std::net::IpAddr;
use std::pin::pin;

use http::header::{HOST, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use navigator_policy::RequestKind;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout};

use super::reading::{Forwarded, default_port};
use super::upstreams::{Key, Versions};
use crate::authorise::{Right, Wire};
use crate::context::EgressContext;
use crate::dial;
use crate::head;
use crate::limits::{
    CONNECTION_WINDOW, HEAD_DEADLINE, MAX_HEAD, MAX_HEADERS, PING_DEADLINE, PING_INTERVAL,
    RESPONSE_HEAD_DEADLINE, STREAM_WINDOW,
};
use crate::refuse::UpstreamFailure;
use crate::tls::Alpn;

/// A server that a request may go to.
pub(super) struct Origin<'a> {
    pub(super) context: &'a EgressContext,
    pub(super) right: &'a Right,
    pub(super) wire: Wire,
}

/// A new connection, ready for requests.
enum Opened {
    Http1(http1::SendRequest<Incoming>),
    Http2(http2::SendRequest<Incoming>),
}

/// A request that got no response.
enum Unsent {
    /// No byte of it was sent, so it can be sent elsewhere.
    HandedBack(Box<Request<Incoming>>),
    Lost(UpstreamFailure),
}

impl Origin<'_> {
    /// Sends over a kept connection, else over a new one. A request that a kept connection handed back unsent is
    /// sent once more.
    pub(super) async fn send(
        &self,
        mut request: Request<Incoming>,
        asked: &Forwarded,
        client: Version,
    ) -> Result<Response<Incoming>, UpstreamFailure> {
        let versions = self.versions(asked, client);
        let upstreams = &self.context.upstreams;
        let (host, port) = (self.right.host.clone(), self.right.port);
        let key = Key { host, port, wire: self.wire, versions };
        if versions != Versions::Http1
            && let Some(mut shared) = upstreams.shared(&key, self.right)
        {
            let sent = shared.try_send_request(self.http2(request, asked)?);
            match outcome(sent).await {
                Ok(response) => return Ok(response),
                Err(Unsent::Lost(failure)) => return Err(failure),
                Err(Unsent::HandedBack(unsent)) => request = *unsent,
            }
            upstreams.forget_shared(&key);
        }
        while versions != Versions::Http2
            && let Some((peer, mut kept)) = upstreams.take(&key, self.right)
        {
            let sent = kept.try_send_request(self.http1(request, asked)?);
            match outcome(sent).await {
                Ok(response) => {
                    upstreams.keep(key, peer, kept);
                    return Ok(response);
                }
                Err(Unsent::Lost(failure)) => return Err(failure),
                Err(Unsent::HandedBack(unsent)) => request = *unsent,
            }
        }
        let (peer, opened) = self.open(versions).await?;
        let sent = match opened {
            Opened::Http1(mut sender) => {
                let sent = sender.try_send_request(self.http1(request, asked)?);
                let sent = outcome(sent).await;
                if sent.is_ok() && asked.kind == RequestKind::Plain {
                    upstreams.keep(key, peer, sender);
                }
                sent
            }
            Opened::Http2(mut sender) => {
                upstreams.share(key, peer, sender.clone());
                outcome(sender.try_send_request(self.http2(request, asked)?)).await
            }
        };
        sent.map_err(|unsent| match unsent {
            Unsent::Lost(failure) => failure,
            Unsent::HandedBack(_) => {
                UpstreamFailure::failed("the server closed the connection at once".to_owned())
            }
        })
    }

    /// What a client speaks is spoken to the server where both know it. A WebSocket needs HTTP/1.1.
    fn versions(&self, asked: &Forwarded, client: Version) -> Versions {
        match (asked.kind, client, self.wire) {
            (RequestKind::WebSocket, _, _) => Versions::Http1,
            (RequestKind::Plain, Version::HTTP_2, Wire::Tls) => Versions::Either,
            (RequestKind::Plain, Version::HTTP_2, Wire::Plain) => Versions::Http2,
            (RequestKind::Plain, _, _) => Versions::Http1,
        }
    }

    async fn open(&self, versions: Versions) -> Result<(IpAddr, Opened), UpstreamFailure> {
        let Right { host, port, addresses, .. } = self.right;
        let stream = dial::connect(host, *port, addresses)
            .await
            .map_err(|error| UpstreamFailure::unreached(&error))?;
        let peer = stream
            .peer_addr()
            .map_err(|error| UpstreamFailure::failed(format!("failed to connect: {error}")))?
            .ip()
            .to_canonical();
        let opened = match (self.wire, versions) {
            (Wire::Plain, Versions::Http2) => speak_http2(stream).await?,
            (Wire::Plain, Versions::Http1 | Versions::Either) => speak_http1(stream).await?,
            (Wire::Tls, versions) => self.handshake(stream, versions).await?,
        };
        Ok((peer, opened))
    }

    async fn handshake(
        &self,
        stream: TcpStream,
        versions: Versions,
    ) -> Result<Opened, UpstreamFailure> {
        let alpn = match versions {
            Versions::Http1 => Alpn::Http1,
            Versions::Http2 | Versions::Either => Alpn::Http2OrHttp1,
        };
        let tls = self.context.upstream_tls.connect(stream, &self.right.host, alpn).await?;
        if tls.http2 { speak_http2(tls.stream).await } else { speak_http1(tls.stream).await }
    }

    /// Origin form with one `Host` (RFC 9112 section 3.2).
    fn http1(
        &self,
        mut request: Request<Incoming>,
        asked: &Forwarded,
    ) -> Result<Request<Incoming>, UpstreamFailure> {
        let host = HeaderValue::from_str(&self.name()).map_err(unwritable)?;
        request.headers_mut().insert(HOST, host);
        *request.uri_mut() = Uri::from(target(asked)?);
        *request.version_mut() = Version::HTTP_11;
        Ok(request)
    }

    /// Scheme and authority instead of `Host` (RFC 9113 section 8.3.1).
    fn http2(
        &self,
        mut request: Request<Incoming>,
        asked: &Forwarded,
    ) -> Result<Request<Incoming>, UpstreamFailure> {
        request.headers_mut().remove(HOST);
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(match self.wire {
            Wire::Plain => Scheme::HTTP,
            Wire::Tls => Scheme::HTTPS,
        });
        parts.authority = Some(self.name().parse::<Authority>().map_err(unwritable)?);
        parts.path_and_query = Some(target(asked)?);
        *request.uri_mut() = Uri::from_parts(parts).map_err(unwritable)?;
        *request.version_mut() = Version::HTTP_2;
        Ok(request)
    }

    fn name(&self) -> String {
        head::host_header(&self.right.host, self.right.port, default_port(self.wire))
    }
}

/// What is not ASCII is percent-encoded (RFC 3986 section 2.1): servers read it in different ways.
fn target(asked: &Forwarded) -> Result<PathAndQuery, UpstreamFailure> {
    let mut target = String::with_capacity(asked.target.len());
    for byte in asked.target.bytes() {
        if byte.is_ascii() {
            target.push(char::from(byte));
        } else {
            target.push_str(&format!("%{byte:02X}"));
        }
    }
    target.parse().map_err(unwritable)
}

fn unwritable(error: impl std::fmt::Display) -> UpstreamFailure {
    UpstreamFailure::failed(format!("failed to write the request: {error}"))
}

/// Waits for a response in steps of the one other deadline on this path. Deadlines of one length end in the order in
/// which they begin, so that none is ever the earliest when it is set: that would wake the runtime through the kernel
/// for each request.
async fn in_time<T>(sent: impl Future<Output = T>) -> Result<T, Elapsed> {
    let mut sent = pin!(sent);
    let end = Instant::now() + RESPONSE_HEAD_DEADLINE;
    loop {
        match timeout(HEAD_DEADLINE, &mut sent).await {
            Err(_) if Instant::now() < end => {}
            ended => return ended,
        }
    }
}

async fn outcome(
    sent: impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Incoming>>>>,
) -> Result<Response<Incoming>, Unsent> {
    match in_time(sent).await {
        Ok(Ok(response)) => match head::check_framing(response.headers()) {
            Ok(()) => Ok(response),
            // Nobody knows where it ends, so its connection ends with it.
            Err(_) => Err(Unsent::Lost(UpstreamFailure::failed(
                "the server's response gives its length in more than one way".to_owned(),
            ))),
        },
        Ok(Err(mut error)) => Err(match error.take_message() {
            Some(request) => Unsent::HandedBack(Box::new(request)),
            None => Unsent::Lost(UpstreamFailure::failed(format!(
                "failed to exchange a request with the server: {}",
                error.error()
            ))),
        }),
        Err(_) => {
            let seconds = RESPONSE_HEAD_DEADLINE.as_secs();
            Err(Unsent::Lost(UpstreamFailure::deadline(format!("no response within {seconds} s"))))
        }
    }
}

async fn speak_http1<S>(stream: S) -> Result<Opened, UpstreamFailure>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(unstarted)?;
    drive(connection.with_upgrades());
    Ok(Opened::Http1(sender))
}

async fn speak_http2<S>(stream: S) -> Result<Opened, UpstreamFailure>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_HEAD as u32)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_DEADLINE)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(unstarted)?;
    drive(connection);
    Ok(Opened::Http2(sender))
}

/// A connection lives by itself until the server closes it or nobody can send on it any more.
fn drive(connection: impl Future<Output = hyper::Result<()>> + Send + 'static) {
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "upstream connection ended with an error");
        }
    });
}

fn unstarted(error: hyper::Error) -> UpstreamFailure {
    UpstreamFailure::failed(format!("failed to start HTTP with the server: {error}"))
}
