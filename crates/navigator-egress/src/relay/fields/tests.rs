use super::*;

#[test]
fn headers_of_one_hop_do_not_travel_on() {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("connection", "close, X-Private"),
        ("x-private", "1"),
        ("proxy-authorization", "Basic x"),
        ("proxy-connection", "keep-alive"),
        ("upgrade", "h2c"),
        ("transfer-encoding", "chunked"),
        ("te", "trailers"),
        ("accept", "*/*"),
    ] {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    strip(&mut headers);
    let left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    assert_eq!(left, ["accept"]);
}

#[test]
fn connection_cannot_remove_what_frames_or_names_the_request() {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONNECTION, HeaderValue::from_static("content-length, host"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("3"));
    headers.insert(header::HOST, HeaderValue::from_static("a.example"));
    strip(&mut headers);
    assert!(headers.contains_key(header::CONTENT_LENGTH) && headers.contains_key(header::HOST));
}

#[test]
fn trailers_are_the_only_coding_that_is_asked_for() {
    let asks = |value: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::TE, HeaderValue::from_static(value));
        asks_for_trailers(&headers)
    };
    assert!(asks("trailers") && asks("gzip, Trailers"));
    assert!(!asks("gzip") && !asks("trailersx"));
}

#[test]
fn split_cookies_become_one_field() {
    let mut headers = HeaderMap::new();
    headers.append(header::COOKIE, HeaderValue::from_static("a=1"));
    headers.append(header::COOKIE, HeaderValue::from_static("b=2"));
    join_cookies(&mut headers);
    let all: Vec<_> = headers.get_all(header::COOKIE).iter().collect();
    assert_eq!(all, ["a=1; b=2"]);
}
