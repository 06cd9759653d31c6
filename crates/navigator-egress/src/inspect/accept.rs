//! The first bytes of an inspected connection, and the TLS handshake where TLS ends here.

use std::io;
use std::sync::Arc;

use navigator_policy::Host;
use rustls::server::{Acceptor, ClientHello};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::authorise::Wire;
use crate::limits::HANDSHAKE_DEADLINE;
use crate::refuse::Reason;
use crate::rewind::Rewind;
use crate::tls::Authority;

/// The first byte of a TLS connection: a handshake record (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 0x16;
/// How HTTP/2 begins where it was not negotiated (RFC 9113 section 3.4); no method begins so.
const PREFACE: &[u8] = b"PRI ";
/// A fatal alert `access_denied` in a record of its own (RFC 8446 section 6).
const ACCESS_DENIED: [u8; 7] = [0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 49];

/// The version of HTTP that a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spoken {
    Http1,
    Http2,
}

/// What the beginning of a connection came to.
pub(super) enum Accepted<S> {
    Plain(Rewind<S>, Spoken),
    Tls(Box<TlsStream<Rewind<S>>>, Spoken),
    /// The client closed without a byte.
    Nothing,
    /// It is not what the endpoint declares.
    Refused(Reason, String),
}

/// Accepts a connection that must be HTTP on this wire, to this host.
pub(super) async fn accept<S>(
    mut stream: Rewind<S>,
    host: &Host,
    wire: Wire,
    authority: &Authority,
) -> io::Result<Accepted<S>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let early = timeout(HANDSHAKE_DEADLINE, stream.peek(PREFACE.len())).await.map_err(late)??;
    // What follows a method may be anything.
    let first = early.get(..PREFACE.len()).unwrap_or(early);
    match (wire, first.first()) {
        (_, None) => Ok(Accepted::Nothing),
        (Wire::Tls, Some(&HANDSHAKE)) => {
            timeout(HANDSHAKE_DEADLINE, handshake(stream, host, authority)).await.map_err(late)?
        }
        (Wire::Tls, Some(_)) => {
            Ok(refused("the endpoint sets `tls: terminate`, and this is not TLS"))
        }
        (Wire::Plain, Some(&HANDSHAKE)) => Ok(refused(
            "the endpoint's requests must be inspected and this is TLS; set `tls: terminate`",
        )),
        (Wire::Plain, Some(_)) if first == PREFACE => Ok(Accepted::Plain(stream, Spoken::Http2)),
        (Wire::Plain, Some(_)) if first.iter().all(|byte| is_token(*byte) || *byte == b' ') => {
            Ok(Accepted::Plain(stream, Spoken::Http1))
        }
        (Wire::Plain, Some(_)) => Ok(refused("the first bytes are not HTTP")),
    }
}

fn refused<S>(detail: &str) -> Accepted<S> {
    Accepted::Refused(Reason::Protocol, detail.to_owned())
}

/// A byte of a method (RFC 9110 section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

async fn handshake<S>(
    stream: Rewind<S>,
    host: &Host,
    authority: &Authority,
) -> io::Result<Accepted<S>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let mut start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    if let Err(detail) = check_name(&start.client_hello(), host) {
        start.io.write_all(&ACCESS_DENIED).await?;
        start.io.shutdown().await?;
        return Ok(Accepted::Refused(Reason::Fronting, detail));
    }
    let config = authority.server_config(host).map_err(io::Error::other)?;
    let stream = start.into_stream(Arc::clone(&config)).await?;
    let spoken = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Spoken::Http2,
        Some(_) | None => Spoken::Http1,
    };
    Ok(Accepted::Tls(Box::new(stream), spoken))
}

/// The name in the handshake is the one that was allowed. A client hello that encrypts the real name (ECH) shows
/// another one here, or meets a server that cannot decrypt it and ends the handshake itself. An address has no name
/// in the handshake (RFC 6066 section 3).
fn check_name(hello: &ClientHello<'_>, host: &Host) -> Result<(), String> {
    match (hello.server_name(), host) {
        (None, Host::Address(_)) => Ok(()),
        (None, Host::Name(name)) => Err(format!(
            "the TLS handshake names no server, and the connection was allowed for {name}"
        )),
        (Some(named), host) => match Host::parse(named) {
            Ok(parsed) if parsed == *host => Ok(()),
            Ok(_) | Err(_) => Err(format!(
                "the TLS handshake names {named}, and the connection was allowed for {host}"
            )),
        },
    }
}
