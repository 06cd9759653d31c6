//! Where a request wants to go, read from its head in one way only.

use http::header::{CONTENT_LENGTH, HOST, HeaderMap, TRANSFER_ENCODING};
use http::uri::{Scheme, Uri};
use navigator_policy::{Authority, AuthorityError, Host, HostError};
use thiserror::Error;

/// The port of `http` without one.
const HTTP_PORT: u16 = 80;

/// Why a request names no destination.
#[derive(Debug, Error)]
pub(super) enum TargetError {
    /// `CONNECT` without `host:port`.
    #[error("CONNECT needs a target of the form host:port")]
    NoAuthority,
    /// The target is malformed.
    #[error("the target is malformed: {0}")]
    Authority(#[from] AuthorityError),
    /// The target carries credentials.
    #[error("the target holds user information")]
    UserInformation,
    /// A request as to an ordinary server.
    #[error("this is a proxy: it takes CONNECT host:port and absolute http:// URLs")]
    NotAbsolute,
    /// A scheme that needs a tunnel.
    #[error("this proxy takes absolute http:// URLs; other schemes go through CONNECT")]
    Scheme,
    /// More than one `Host`, or an unreadable one.
    #[error("the Host header is repeated or unreadable")]
    RepeatedHost,
    /// `Host` is malformed.
    #[error("the Host header is malformed: {0}")]
    Host(#[from] HostError),
    /// `Host` names something else than the target.
    #[error("the Host header differs from the target")]
    HostDiffers,
    /// Two ways to say where the body ends.
    #[error("the request gives its length in more than one way")]
    Framing,
}

/// The target of `CONNECT`.
pub(super) fn of_connect(uri: &Uri, headers: &HeaderMap) -> Result<Authority, TargetError> {
    if uri.scheme().is_some() || uri.path_and_query().is_some() {
        return Err(TargetError::NoAuthority);
    }
    let authority = uri.authority().ok_or(TargetError::NoAuthority)?.as_str();
    let target = parse(authority)?;
    check_host(headers, &target)?;
    Ok(target)
}

/// The target of an absolute-form request.
pub(super) fn of_absolute(uri: &Uri, headers: &HeaderMap) -> Result<Authority, TargetError> {
    match uri.scheme() {
        None => return Err(TargetError::NotAbsolute),
        Some(scheme) if *scheme == Scheme::HTTP => {}
        Some(_) => return Err(TargetError::Scheme),
    }
    let authority = uri.authority().ok_or(TargetError::NotAbsolute)?.as_str();
    let target = parse(&with_port(authority))?;
    check_host(headers, &target)?;
    check_framing(headers)?;
    Ok(target)
}

fn parse(authority: &str) -> Result<Authority, TargetError> {
    if authority.contains('@') {
        return Err(TargetError::UserInformation);
    }
    Ok(Authority::parse(authority)?)
}

/// Adds the default port to an authority that has none; a bare colon stays an error.
fn with_port(authority: &str) -> String {
    let after_address = authority.rsplit(']').next().unwrap_or(authority);
    if after_address.contains(':') {
        authority.to_owned()
    } else {
        format!("{authority}:{HTTP_PORT}")
    }
}

/// `Host`, if it is there, must say the same (RFC 9112 section 3.2.2 lets a proxy ignore it; two
/// opinions about the destination are refused here).
fn check_host(headers: &HeaderMap, target: &Authority) -> Result<(), TargetError> {
    let mut hosts = headers.get_all(HOST).iter();
    let Some(host) = hosts.next() else { return Ok(()) };
    if hosts.next().is_some() {
        return Err(TargetError::RepeatedHost);
    }
    let host = host.to_str().map_err(|_| TargetError::RepeatedHost)?;
    let after_address = host.rsplit(']').next().unwrap_or(host);
    let same = if after_address.contains(':') {
        parse(host)? == *target
    } else {
        Host::parse(host)? == target.host
    };
    if same { Ok(()) } else { Err(TargetError::HostDiffers) }
}

/// RFC 9112 section 6.3: a request with both is a smuggling attempt.
fn check_framing(headers: &HeaderMap) -> Result<(), TargetError> {
    let lengths = headers.get_all(CONTENT_LENGTH).iter().count();
    let encodings = headers.get_all(TRANSFER_ENCODING).iter().count();
    if lengths + encodings > 1 { Err(TargetError::Framing) } else { Ok(()) }
}

/// `host`, or `host:port` where the port is not the default one, as `Host` says it.
pub(super) fn host_header(target: &Authority) -> String {
    let host = match &target.host {
        Host::Address(std::net::IpAddr::V6(address)) => format!("[{address}]"),
        other @ (Host::Address(std::net::IpAddr::V4(_)) | Host::Name(_)) => other.to_string(),
    };
    if target.port == HTTP_PORT { host } else { format!("{host}:{}", target.port) }
}

#[cfg(test)]
mod tests;
