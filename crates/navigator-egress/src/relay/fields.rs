//! Header fields on their way: those of one hop end here (RFC 9110 section 7.6.1), everything else goes on.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Extensions, Request};
use hyper::body::Incoming;
use navigator_policy::RequestKind;

use super::reading::Forwarded;

/// Fields that belong to one hop, and those meant for this proxy.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
];
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// The request as its origin expects it, but for its target, which depends on the connection that it takes.
pub(super) fn to_origin(request: Request<Incoming>, asked: &Forwarded) -> Request<Incoming> {
    let (mut head, body) = request.into_parts();
    let trailers = asks_for_trailers(&head.headers);
    strip(&mut head.headers);
    head.headers.remove(HTTP2_SETTINGS);
    join_cookies(&mut head.headers);
    rewrite_length(&mut head.headers);
    if trailers {
        head.headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    if asked.kind == RequestKind::WebSocket {
        head.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        head.headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    }
    head.extensions = Extensions::new();
    Request::from_parts(head, body)
}

/// The fields of a response as the client gets them.
pub(super) fn to_client(headers: &mut HeaderMap) {
    strip(headers);
    rewrite_length(headers);
}

/// gRPC servers insist on it, and it is the one coding that every hop here passes on.
fn asks_for_trailers(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::TE).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}

/// HTTP/2 may split a cookie field, HTTP/1.1 must not (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(header::COOKIE).iter();
    let Some(first) = crumbs.next() else { return };
    let mut joined = first.as_bytes().to_vec();
    let before = joined.len();
    for crumb in crumbs {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(crumb.as_bytes());
    }
    if joined.len() > before
        && let Ok(value) = HeaderValue::from_bytes(&joined)
    {
        headers.insert(header::COOKIE, value);
    }
}

/// Writes the length anew: with zeros in front some take it for octal, others for an error.
fn rewrite_length(headers: &mut HeaderMap) {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if let Some(length) = length.and_then(|text| text.parse::<u64>().ok()) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
}

/// Removes fields of one hop, also those that `Connection` names.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // These say where the body ends or who is asked; a client cannot wish them away.
        .filter(|name| *name != header::CONTENT_LENGTH && *name != header::HOST)
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests;
