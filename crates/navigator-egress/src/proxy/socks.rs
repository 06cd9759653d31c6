//! SOCKS5 with names (RFC 1928): one command, `CONNECT`, without authentication, because the caller is known.

use std::io;
use std::net::IpAddr;

use bytes::Bytes;
use navigator_policy::{Authority, Host};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Client;
use crate::dial::DialError;
use crate::intent::Adapter;
use crate::limits::HEAD_DEADLINE;
use crate::reach::{NotReached, reach};
use crate::refuse::UpstreamFailureKind;

/// The first byte of everything.
pub(super) const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const NO_ACCEPTABLE_METHOD: u8 = 0xff;
const CONNECT: u8 = 1;
/// Longest request: four bytes, a length, a name of 255 bytes, a port.
pub(crate) const LONGEST: usize = 4 + 1 + 255 + 2;

/// The codes of a reply (RFC 1928 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    Succeeded = 0,
    Failed = 1,
    NotAllowed = 2,
    HostUnreachable = 4,
    Refused = 5,
    TimedOut = 6,
    CommandUnknown = 7,
    AddressUnknown = 8,
}

/// Serves one SOCKS client.
pub(super) async fn serve(client: &Client, mut stream: TcpStream) -> io::Result<()> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let asked = timeout(HEAD_DEADLINE, ask(&mut stream)).await.map_err(late)??;
    let target = match asked {
        Some(Ok(target)) => target,
        Some(Err(reply)) => return answer(&mut stream, reply).await,
        None => return Ok(()),
    };
    let intent = client.intent(target, Adapter::Socks);
    match reach(&client.judge, &intent, &client.caller).await {
        Ok(beyond) => {
            answer(&mut stream, Reply::Succeeded).await?;
            beyond.carry(stream, Bytes::new(), &client.judge, &client.place).await
        }
        Err(not_reached) => answer(&mut stream, reason(&not_reached)).await,
    }
}

fn reason(not_reached: &NotReached) -> Reply {
    match not_reached {
        NotReached::Refused(_) => Reply::NotAllowed,
        NotReached::Unresolved(failure) => match failure.kind {
            UpstreamFailureKind::Failed => Reply::HostUnreachable,
            UpstreamFailureKind::Deadline => Reply::TimedOut,
        },
        NotReached::Undialled(DialError::Deadline { .. }) => Reply::TimedOut,
        NotReached::Undialled(DialError::Connect { source, .. }) => match source.kind() {
            io::ErrorKind::ConnectionRefused => Reply::Refused,
            io::ErrorKind::TimedOut => Reply::TimedOut,
            _ => Reply::HostUnreachable,
        },
    }
}

/// The greeting and the request; `None` when the client does not go on.
async fn ask(stream: &mut TcpStream) -> io::Result<Option<Result<Authority, Reply>>> {
    let mut greeting = [0; 2];
    stream.read_exact(&mut greeting).await?;
    let mut methods = vec![0; usize::from(greeting[1])];
    stream.read_exact(&mut methods).await?;
    if !methods.contains(&NO_AUTHENTICATION) {
        stream.write_all(&[VERSION, NO_ACCEPTABLE_METHOD]).await?;
        return Ok(None);
    }
    stream.write_all(&[VERSION, NO_AUTHENTICATION]).await?;
    let mut request = [0; LONGEST];
    let mut known = 0;
    loop {
        match parse(request.get(..known).unwrap_or_default()) {
            Parsed::Request(request) => return Ok(Some(request)),
            Parsed::Needs(more) => {
                let Some(rest) = request.get_mut(known..known + more) else {
                    return Ok(Some(Err(Reply::Failed)));
                };
                stream.read_exact(rest).await?;
                known += more;
            }
        }
    }
}

/// What the bytes of a request are so far.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// This many bytes more, and not one that may belong to what follows.
    Needs(usize),
    Request(Result<Authority, Reply>),
}

pub(crate) fn parse(bytes: &[u8]) -> Parsed {
    let [version, command, _reserved, kind, rest @ ..] = bytes else {
        return Parsed::Needs(4 - bytes.len());
    };
    if *version != VERSION {
        return Parsed::Request(Err(Reply::Failed));
    }
    let address = match kind {
        1 => 4,
        3 => match rest.first() {
            Some(length) => 1 + usize::from(*length),
            None => return Parsed::Needs(1),
        },
        4 => 16,
        _ => return Parsed::Request(Err(Reply::AddressUnknown)),
    };
    let whole = address + 2;
    if rest.len() < whole {
        return Parsed::Needs(whole - rest.len());
    }
    if *command != CONNECT {
        return Parsed::Request(Err(Reply::CommandUnknown));
    }
    let (address, port) = rest.split_at(address);
    Parsed::Request(target(*kind, address, port).ok_or(Reply::AddressUnknown))
}

/// An address or a name; a name that is an address in disguise is that address, as everywhere.
fn target(kind: u8, address: &[u8], port: &[u8]) -> Option<Authority> {
    let host = match kind {
        1 => Host::Address(IpAddr::from(<[u8; 4]>::try_from(address).ok()?)),
        4 => Host::Address(IpAddr::from(<[u8; 16]>::try_from(address).ok()?).to_canonical()),
        _ => Host::parse(std::str::from_utf8(address.get(1..)?).ok()?).ok()?,
    };
    let port = u16::from_be_bytes(port.try_into().ok()?);
    (port != 0).then_some(Authority { host, port })
}

async fn answer(stream: &mut TcpStream, reply: Reply) -> io::Result<()> {
    // The bound address has no meaning here; clients do not use it.
    stream.write_all(&[VERSION, reply as u8, 0, 1, 0, 0, 0, 0, 0, 0]).await
}

#[cfg(test)]
mod tests;
