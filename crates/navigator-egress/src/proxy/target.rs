//! Where a request to the proxy wants to go.

use http::header::HeaderMap;
use http::uri::{Scheme, Uri};
use navigator_policy::Authority;
use thiserror::Error;

use crate::head::{self, HeadError};

/// The port of `http` without one.
pub(crate) const HTTP_PORT: u16 = 80;

/// Why a request names no destination.
#[derive(Debug, Error)]
pub(crate) enum TargetError {
    /// `CONNECT` without `host:port`.
    #[error("CONNECT needs a target of the form host:port")]
    NoAuthority,
    /// A request as to an ordinary server.
    #[error("this is a proxy: it takes CONNECT host:port and absolute http:// URLs")]
    NotAbsolute,
    /// A scheme that needs a tunnel.
    #[error("this proxy takes absolute http:// URLs; other schemes go through CONNECT")]
    Scheme,
    /// The head has no single meaning.
    #[error(transparent)]
    Head(#[from] HeadError),
}

/// The target of `CONNECT`.
pub(crate) fn of_connect(uri: &Uri, headers: &HeaderMap) -> Result<Authority, TargetError> {
    if uri.scheme().is_some() || uri.path_and_query().is_some() {
        return Err(TargetError::NoAuthority);
    }
    let authority = uri.authority().ok_or(TargetError::NoAuthority)?.as_str();
    let target = head::authority(authority)?;
    head::check_host(headers, &target)?;
    Ok(target)
}

/// The target of an absolute-form request.
pub(crate) fn of_absolute(uri: &Uri, headers: &HeaderMap) -> Result<Authority, TargetError> {
    match uri.scheme() {
        None => return Err(TargetError::NotAbsolute),
        Some(scheme) if *scheme == Scheme::HTTP => {}
        Some(_) => return Err(TargetError::Scheme),
    }
    let authority = uri.authority().ok_or(TargetError::NotAbsolute)?.as_str();
    let target = head::authority_or(authority, HTTP_PORT)?;
    head::check_host(headers, &target)?;
    head::check_framing(headers)?;
    Ok(target)
}

#[cfg(test)]
mod tests;
