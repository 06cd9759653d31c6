//! An inspected connection: its first bytes must be those of the declared protocol, TLS ends here, and each request
//! is decided on its own.

pub(crate) mod accept;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use http::{Method, Request};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::authorise::{First, Inspection, Judge, Permit, Right, Wire};
use crate::dial;
use crate::limits::{
    CONNECTION_WINDOW, MAX_HEAD, MAX_LOCAL_RESETS, MAX_PENDING_RESETS, MAX_STREAMS, MAX_TEXT_FRAME,
    PING_DEADLINE, PING_INTERVAL, STREAM_WINDOW, TUNNEL_IDLE,
};
use crate::places::Place;
use crate::refuse::Reason;
use crate::relay::{self, Answer, Switching, judging, websocket};
use crate::rewind::Rewind;

use accept::{Accepted, Spoken};

/// One inspected connection.
struct Inspected {
    judge: Arc<Judge>,
    right: Arc<Right>,
    declared: First,
    place: Arc<Place>,
    switching: Switching,
}

/// Serves an inspected connection to its end, or until its right ends.
pub(crate) async fn serve<S>(
    stream: Rewind<S>,
    permit: &Permit,
    inspection: Inspection,
    judge: &Arc<Judge>,
    place: &Arc<Place>,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let registration = judge.register(permit);
    let inspected = Arc::new(Inspected {
        judge: judge.clone(),
        right: permit.right.clone(),
        declared: inspection.first,
        place: place.clone(),
        switching: Switching::default(),
    });
    let served = registration.ended().run_until_cancelled(inspected.accept(stream)).await;
    served.unwrap_or_else(|| Err(io::Error::other("the right to the connection ended")))
}

impl Inspected {
    async fn accept<S>(self: Arc<Self>, stream: Rewind<S>) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let authority = &self.judge.context().authority;
        let accepted = accept::accept(stream, &self.right.host, self.declared, authority).await;
        if !matches!(accepted, Ok(Accepted::Plain(..) | Accepted::Tls(..) | Accepted::Nothing)) {
            self.learn_opaque();
        }
        match accepted? {
            Accepted::Plain(stream, spoken) => self.requests(stream, Wire::Plain, spoken).await,
            Accepted::Tls(stream, spoken) => self.requests(*stream, Wire::Tls, spoken).await,
            Accepted::Opaque(stream) => self.unseen(stream).await,
            Accepted::Nothing => Ok(()),
            Accepted::Refused(reason, detail) => {
                let refusal = self.judge.refuse_unread(&self.right, reason, detail, None);
                Err(io::Error::other(refusal.detail))
            }
        }
    }

    /// A learning run learns also that a client does not let itself be looked at: its next connection is not.
    fn learn_opaque(&self) {
        if let Some(learning) = &self.judge.context().learning
            && self.declared == First::Any
        {
            learning.note_opaque(&self.right);
        }
    }

    /// Carries what a learning run cannot look at.
    async fn unseen<S>(&self, mut client: Rewind<S>) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Right { host, port, addresses, .. } = &*self.right;
        let mut server = dial::connect(host, *port, addresses).await.map_err(io::Error::other)?;
        tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop)
    }

    async fn requests<S>(self: Arc<Self>, stream: S, wire: Wire, spoken: Spoken) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let ended = match spoken {
            Spoken::Http1 => self.clone().http1(stream, wire).await,
            Spoken::Http2 => self.clone().http2(stream, wire).await,
        };
        if let Err(error) = &ended
            && error.is_parse()
        {
            let detail = format!("what was sent is no request: {error}");
            let _recorded = self.judge.refuse_unread(&self.right, Reason::Malformed, detail, None);
        }
        ended.map_err(io::Error::other)?;
        let Some(switched) = self.switching.take() else { return Ok(()) };
        websocket::carry(switched, MAX_TEXT_FRAME, TUNNEL_IDLE).await.map_err(io::Error::other)
    }

    async fn http1<S>(self: Arc<Self>, stream: S, wire: Wire) -> hyper::Result<()>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let service =
            service_fn(|request| async { Ok::<_, Infallible>(self.answer(request, wire).await) });
        let connection = relay::http1_server().serve_connection(TokioIo::new(stream), service);
        connection.with_upgrades().await
    }

    async fn http2<S>(self: Arc<Self>, stream: S, wire: Wire) -> hyper::Result<()>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let service = service_fn(move |request| {
            let inspected = self.clone();
            async move { Ok::<_, Infallible>(inspected.answer(request, wire).await) }
        });
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
            .max_local_error_reset_streams(MAX_LOCAL_RESETS)
            .max_header_list_size(MAX_HEAD as u32)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(STREAM_WINDOW as usize)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_DEADLINE)
            .auto_date_header(false);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        connection.await
    }

    /// One request. An answer to `HEAD` has no body (RFC 9110 section 9.3.2), which HTTP/2 does not see to by itself.
    async fn answer(&self, request: Request<Incoming>, wire: Wire) -> Answer {
        if request.method() == Method::HEAD {
            return self.exchange(request, wire).await.map(|_| Either::Left(Full::default()));
        }
        self.exchange(request, wire).await
    }

    /// Asks the policy and sends the request on. A refusal ends an HTTP/1.1 connection, and of an HTTP/2 connection
    /// its stream: the others are requests of their own, and clients take the end of all for a failure of each.
    async fn exchange(&self, request: Request<Incoming>, wire: Wire) -> Answer {
        let (judge, right) = (&self.judge, &self.right);
        let forwarded = match judging::judge(judge, right, wire, &request) {
            Ok(forwarded) => forwarded,
            Err(refused) => return (*refused).map(Either::Left),
        };
        self.place.settle();
        relay::forward(judge.context(), right, wire, request, &forwarded, &self.switching)
            .await
            .unwrap_or_else(|failure| failure.response().map(Either::Left))
    }
}
