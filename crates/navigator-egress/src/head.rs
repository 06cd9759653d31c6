//! What the head of a request says about where it goes and where it ends, read in one way only.

use http::header::{CONTENT_LENGTH, HOST, HeaderMap, TRANSFER_ENCODING};
use navigator_policy::{Authority, AuthorityError, Host, HostError};
use thiserror::Error;

/// Why a head has no single meaning.
#[derive(Debug, Error)]
pub(crate) enum HeadError {
    /// An authority is malformed.
    #[error("the target is malformed: {0}")]
    Authority(#[from] AuthorityError),
    /// An authority carries credentials.
    #[error("the target holds user information")]
    UserInformation,
    /// More than one `Host`, or an unreadable one.
    #[error("the Host header is repeated or unreadable")]
    RepeatedHost,
    /// `Host` is malformed.
    #[error("the Host header is malformed: {0}")]
    Host(#[from] HostError),
    /// `Host` names something else than the target.
    #[error("the Host header differs from the target")]
    HostDiffers,
    /// Two ways to say where the body ends, or one that is not understood.
    #[error("the message gives its length in more than one way, or in one that is not understood")]
    Framing,
}

/// `host:port`.
pub(crate) fn authority(text: &str) -> Result<Authority, HeadError> {
    if text.contains('@') {
        return Err(HeadError::UserInformation);
    }
    Ok(Authority::parse(text)?)
}

/// `host` or `host:port`; a bare colon stays an error.
pub(crate) fn authority_or(text: &str, default_port: u16) -> Result<Authority, HeadError> {
    let after_address = text.rsplit(']').next().unwrap_or(text);
    if after_address.contains(':') {
        authority(text)
    } else {
        authority(&format!("{text}:{default_port}"))
    }
}

/// What `Host` says, if it is there once.
pub(crate) fn host_of(headers: &HeaderMap) -> Result<Option<&str>, HeadError> {
    let mut hosts = headers.get_all(HOST).iter();
    let Some(host) = hosts.next() else { return Ok(None) };
    if hosts.next().is_some() {
        return Err(HeadError::RepeatedHost);
    }
    host.to_str().map(Some).map_err(|_| HeadError::RepeatedHost)
}

/// `Host`, if it is there, must say the same (RFC 9112 section 3.2.2 lets a proxy ignore it; two opinions about
/// the destination are refused here). Without a port it means any.
pub(crate) fn check_host(headers: &HeaderMap, target: &Authority) -> Result<(), HeadError> {
    let Some(host) = host_of(headers)? else { return Ok(()) };
    let after_address = host.rsplit(']').next().unwrap_or(host);
    let same = if after_address.contains(':') {
        authority(host)? == *target
    } else {
        Host::parse(host)? == target.host
    };
    if same { Ok(()) } else { Err(HeadError::HostDiffers) }
}

/// RFC 9112 section 6.3: a message with two lengths is a smuggling attempt, and a coding that stays on the body
/// would be lost with the field that names it.
pub(crate) fn check_framing(headers: &HeaderMap) -> Result<(), HeadError> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let length = lengths.next();
    let digits = length
        .is_none_or(|value| !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit));
    let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
    let encoding = encodings.next();
    let chunked = encoding.is_none_or(|value| value.as_bytes().eq_ignore_ascii_case(b"chunked"));
    let both = length.is_some() && encoding.is_some();
    let several = lengths.next().is_some() || encodings.next().is_some();
    if both || several || !digits || !chunked { Err(HeadError::Framing) } else { Ok(()) }
}

/// `host`, or `host:port` where the port is not the default one, as `Host` says it.
pub(crate) fn host_header(host: &Host, port: u16, default_port: u16) -> String {
    let host = match host {
        Host::Address(std::net::IpAddr::V6(address)) => format!("[{address}]"),
        other @ (Host::Address(std::net::IpAddr::V4(_)) | Host::Name(_)) => other.to_string(),
    };
    if port == default_port { host } else { format!("{host}:{port}") }
}
