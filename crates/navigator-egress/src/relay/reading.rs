//! Reads what a request on an inspected connection asks for, in one way only, or refuses it before any rule.

use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE,
};
use http::{Method, Request, Version};
use navigator_policy::{Authority, CanonicalPath, RequestKind, RequestPathError};
use thiserror::Error;

use crate::authorise::{Right, Wire};
use crate::head::{self, HeadError};

/// What is sent on of a request's target.
#[derive(Debug)]
pub(crate) struct Forwarded {
    /// Path and query.
    pub(crate) target: String,
    pub(crate) kind: RequestKind,
}

/// Why a request on an inspected connection has no single meaning.
#[derive(Debug, Error)]
pub(crate) enum Unreadable {
    /// The head contradicts itself.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// It names another server than the connection was allowed for (domain fronting).
    #[error("the request names {named}, and the connection was allowed for {allowed}")]
    Fronting {
        /// What it names.
        named: String,
        /// What was allowed.
        allowed: String,
    },
    /// It names no server.
    #[error("the request names no server")]
    NoHost,
    /// A proxy inside a proxy.
    #[error("CONNECT is not taken inside a connection")]
    Connect,
    /// A WebSocket handshake has no body (RFC 6455 section 4.1).
    #[error("a WebSocket handshake with a body is not taken")]
    HandshakeBody,
    /// The path.
    #[error(transparent)]
    Path(#[from] RequestPathError),
}

/// Default port of each wire, which `Host` leaves out.
pub(crate) fn default_port(wire: Wire) -> u16 {
    match wire {
        Wire::Plain => 80,
        Wire::Tls => 443,
    }
}

/// Reads a request's head.
pub(crate) fn read<B>(
    request: &Request<B>,
    right: &Right,
    wire: Wire,
) -> Result<(CanonicalPath, RequestKind), Unreadable> {
    if request.method() == Method::CONNECT {
        return Err(Unreadable::Connect);
    }
    head::check_framing(request.headers())?;
    check_server(request, right, wire)?;
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let path = if target.starts_with('?') {
        // `http://host?query`: the path is empty, which an origin server calls `/`.
        CanonicalPath::parse(&format!("/{target}"))?
    } else {
        CanonicalPath::parse(target)?
    };
    let kind = kind(request);
    if kind == RequestKind::WebSocket && has_body(request.headers()) {
        return Err(Unreadable::HandshakeBody);
    }
    Ok((path, kind))
}

/// Every name in the request must be that of the connection (RFC 9110 section 7.4).
fn check_server<B>(request: &Request<B>, right: &Right, wire: Wire) -> Result<(), Unreadable> {
    let allowed = Authority { host: right.host.clone(), port: right.port };
    let same = |text: &str| {
        let named = head::authority_or(text, default_port(wire))?;
        // A name without a port is that of the connection, whatever port that has.
        let bare = head::authority_or(text, right.port)?;
        if named == allowed || bare == allowed {
            return Ok(());
        }
        Err(Unreadable::Fronting { named: text.to_owned(), allowed: right.host.to_string() })
    };
    let host = head::host_of(request.headers())?;
    let authority = request.uri().authority().map(|authority| authority.as_str());
    if let Some(host) = host {
        same(host)?;
    }
    if let Some(authority) = authority {
        same(authority)?;
    }
    let needs_none = request.version() < Version::HTTP_11;
    if host.is_none() && authority.is_none() && !needs_none {
        return Err(Unreadable::NoHost);
    }
    Ok(())
}

/// A WebSocket handshake (RFC 6455 section 4.1). Other upgrades are not passed on, as any server may decline them.
fn kind<B>(request: &Request<B>) -> RequestKind {
    let upgrades = request.version() == Version::HTTP_11
        && request.method() == Method::GET
        && has_token(request.headers(), &CONNECTION, "upgrade")
        && has_token(request.headers(), &UPGRADE, "websocket");
    if upgrades { RequestKind::WebSocket } else { RequestKind::Plain }
}

fn has_body(headers: &HeaderMap) -> bool {
    let some = |value: &HeaderValue| value.as_bytes().iter().any(|digit| *digit != b'0');
    headers.contains_key(TRANSFER_ENCODING) || headers.get(CONTENT_LENGTH).is_some_and(some)
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|found| found.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests;
