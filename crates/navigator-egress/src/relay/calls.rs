//! gRPC calls: what makes a request one, and how one is refused.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, Request, Response, Version};
use http_body_util::Full;

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// `PERMISSION_DENIED` (gRPC status codes).
const PERMISSION_DENIED: HeaderValue = HeaderValue::from_static("7");

/// Whether a request is a gRPC call over HTTP/2.
pub(crate) fn is_call<B>(request: &Request<B>) -> bool {
    let kind = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let rest = kind.strip_prefix("application/grpc");
    let call = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';', ' ']));
    call && request.method() == Method::POST && request.version() == Version::HTTP_2
}

/// A refusal as a response without messages ("Trailers-Only" in the gRPC protocol), which every client shows.
pub(crate) fn refused(detail: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(STATUS, PERMISSION_DENIED);
    if let Ok(message) = HeaderValue::from_str(&encoded(detail)) {
        headers.insert(MESSAGE, message);
    }
    response
}

/// Percent-encodes what is not printable ASCII (gRPC over HTTP/2, `Status-Message`).
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, 0x20..=0x7e) && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_recognised_by_their_content_type() {
        let call = |kind: &'static str, version| {
            let request = Request::post("/").version(version).header(CONTENT_TYPE, kind);
            is_call(&request.body(()).unwrap())
        };
        assert!(call("application/grpc", Version::HTTP_2));
        assert!(call("application/grpc+proto", Version::HTTP_2));
        assert!(!call("application/grpc", Version::HTTP_11));
        assert!(!call("application/grpc-web", Version::HTTP_2));
        assert!(!call("application/json", Version::HTTP_2));
    }

    #[test]
    fn a_refusal_is_permission_denied_with_a_readable_message() {
        let response = refused("nö: 100%\n");
        assert_eq!(response.headers()[STATUS], "7");
        assert_eq!(response.headers()[MESSAGE], "n%C3%B6: 100%25%0A");
    }
}
