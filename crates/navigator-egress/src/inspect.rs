//! An inspected connection: its first bytes must be those of the declared protocol, TLS ends here, and each request
//! is decided on its own.

mod accept;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use http::{Method, Request};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::authorise::{Inspection, Judge, Permit, Right};
use crate::limits::{
    CONNECTION_WINDOW, HEAD_DEADLINE, MAX_HEAD, MAX_HEADERS, MAX_LOCAL_RESETS, MAX_PENDING_RESETS,
    MAX_STREAMS, MAX_TEXT_FRAME, PING_DEADLINE, PING_INTERVAL, STREAM_WINDOW, TUNNEL_IDLE,
};
use crate::relay::{self, Answer, Switching, judging, websocket};
use crate::rewind::Rewind;

use accept::{Accepted, Spoken};

/// One inspected connection.
struct Inspected {
    judge: Arc<Judge>,
    right: Arc<Right>,
    inspection: Inspection,
    switching: Switching,
}

/// Serves an inspected connection to its end, or until its right ends.
pub(crate) async fn serve<S>(
    stream: Rewind<S>,
    permit: &Permit,
    inspection: Inspection,
    judge: &Arc<Judge>,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let registration = judge.register(permit);
    let inspected = Arc::new(Inspected {
        judge: judge.clone(),
        right: permit.right.clone(),
        inspection,
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
        let wire = self.inspection.wire;
        match accept::accept(stream, &self.right.host, wire, authority).await? {
            Accepted::Plain(stream, spoken) => self.requests(stream, spoken).await,
            Accepted::Tls(stream, spoken) => self.requests(*stream, spoken).await,
            Accepted::Nothing => Ok(()),
            Accepted::Refused(reason, detail) => {
                let refusal = self.judge.refuse_unread(&self.right, reason, detail, None);
                Err(io::Error::other(refusal.detail))
            }
        }
    }

    async fn requests<S>(self: Arc<Self>, stream: S, spoken: Spoken) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        match spoken {
            Spoken::Http1 => self.http1(stream).await,
            Spoken::Http2 => self.http2(stream).await,
        }
    }

    async fn http1<S>(self: Arc<Self>, stream: S) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let service =
            service_fn(|request| async { Ok::<_, Infallible>(self.answer(request).await) });
        let mut builder = http1::Builder::new();
        builder
            // A client may close its sending side and still wait for the answer.
            .half_close(true)
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_DEADLINE)
            .max_buf_size(MAX_HEAD)
            .max_headers(MAX_HEADERS)
            .auto_date_header(false);
        let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
        connection.await.map_err(io::Error::other)?;
        let Some(switched) = self.switching.take() else { return Ok(()) };
        websocket::carry(switched, MAX_TEXT_FRAME, TUNNEL_IDLE).await.map_err(io::Error::other)
    }

    async fn http2<S>(self: Arc<Self>, stream: S) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let service = service_fn(move |request| {
            let inspected = self.clone();
            async move { Ok::<_, Infallible>(inspected.answer(request).await) }
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
        connection.await.map_err(io::Error::other)
    }

    /// One request. An answer to `HEAD` has no body (RFC 9110 section 9.3.2), which HTTP/2 does not see to by itself.
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        if request.method() == Method::HEAD {
            return self.exchange(request).await.map(|_| Either::Left(Full::default()));
        }
        self.exchange(request).await
    }

    /// Asks the policy and sends the request on. A refusal ends an HTTP/1.1 connection, and of an HTTP/2 connection
    /// its stream: the others are requests of their own, and clients take the end of all for a failure of each.
    async fn exchange(&self, request: Request<Incoming>) -> Answer {
        let (judge, right) = (&self.judge, &self.right);
        let forwarded = match judging::judge(judge, right, self.inspection, &request) {
            Ok(forwarded) => forwarded,
            Err(refused) => return (*refused).map(Either::Left),
        };
        let (context, wire) = (judge.context(), self.inspection.wire);
        relay::forward(context, right, wire, request, &forwarded, &self.switching)
            .await
            .unwrap_or_else(|failure| failure.response().map(Either::Left))
    }
}
