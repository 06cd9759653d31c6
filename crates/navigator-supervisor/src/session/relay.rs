//! A stream of bytes to the gateway, for one client that it has there.

use std::io::Cursor;
use std::os::unix::net::UnixStream as Blocking;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Method, Request, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::UnixStream;

use super::link::connect;
use super::{ANSWER, Gateway, SessionError};

/// Where relays are opened.
const RELAY_PATH: &str = "/session/relay";
/// Which one.
const RELAY_ID: &str = "x-relay-id";

/// A relay that is open.
pub(crate) struct Relay {
    /// The bytes of the client come and go here.
    pub(crate) stream: UnixStream,
    /// What the client has sent already.
    pub(crate) first: Bytes,
}

impl Relay {
    /// Opens the relay that the gateway asked for.
    pub(crate) async fn open(gateway: &Gateway, id: &str) -> Result<Self, SessionError> {
        tokio::time::timeout(ANSWER, open(gateway, id)).await.map_err(|_| SessionError::Silent)?
    }

    /// The stream for a process that knows nothing of event loops, and what came before.
    pub(crate) fn blocking(self) -> std::io::Result<(Blocking, Bytes)> {
        let stream = self.stream.into_std()?;
        stream.set_nonblocking(false)?;
        Ok((stream, self.first))
    }

    /// The stream from its first byte.
    pub(crate) fn joined(self) -> impl AsyncRead + AsyncWrite + Unpin + Send + 'static {
        let (from, to) = self.stream.into_split();
        tokio::io::join(Cursor::new(self.first).chain(from), to)
    }
}

async fn open(gateway: &Gateway, id: &str) -> Result<Relay, SessionError> {
    let stream = connect(&gateway.socket).await?;
    let (mut sender, connection) =
        handshake(TokioIo::new(stream)).await.map_err(SessionError::Handshake)?;
    tokio::spawn(connection.with_upgrades());
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri(RELAY_PATH)
        .header(AUTHORIZATION, &gateway.authorization)
        .header(RELAY_ID, id)
        .body(Empty::<Bytes>::new())
        .map_err(|_| SessionError::Relay(StatusCode::BAD_REQUEST))?;
    let answer = sender.send_request(request).await.map_err(SessionError::Handshake)?;
    if answer.status() != StatusCode::OK {
        return Err(SessionError::Relay(answer.status()));
    }
    let upgraded = hyper::upgrade::on(answer).await.map_err(SessionError::Handshake)?;
    let parts = upgraded.downcast::<TokioIo<UnixStream>>();
    let parts = parts.map_err(|_| SessionError::Silent)?;
    Ok(Relay { stream: parts.io.into_inner(), first: parts.read_buf })
}
