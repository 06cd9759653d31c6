use std::sync::Arc;

use navigator_policy::Host;

use super::*;
use crate::dial::CheckedAddresses;
use crate::intent::Adapter;

fn right(host: &str, port: u16) -> Right {
    Right {
        programs: vec![],
        host: Host::parse(host).unwrap(),
        port,
        adapter: Adapter::Connect,
        addresses: CheckedAddresses::default(),
        inspection: None,
    }
}

fn request(method: &str, uri: &str, version: Version, fields: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(uri).version(version);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

fn judged(uri: &str, version: Version, fields: &[(&str, &str)]) -> Result<String, Unreadable> {
    let request = request("GET", uri, version, fields);
    read(&request, &right("a.example", 443), Wire::Tls).map(|(path, _)| path.target())
}

#[test]
fn a_request_that_names_its_own_server_is_read() {
    for (uri, fields) in [
        ("/x?y", &[("host", "a.example")][..]),
        ("/x?y", &[("host", "A.Example:443")]),
        ("/x?y", &[("host", "a.example.")]),
        ("https://a.example/x?y", &[("host", "a.example")]),
    ] {
        assert_eq!(judged(uri, Version::HTTP_11, fields).unwrap(), "/x?y", "{uri} {fields:?}");
    }
    assert_eq!(judged("https://a.example/x?y", Version::HTTP_2, &[]).unwrap(), "/x?y");
    assert_eq!(judged("/x?y", Version::HTTP_10, &[]).unwrap(), "/x?y");
}

#[test]
fn a_request_that_names_another_server_is_fronting() {
    for (uri, version, fields) in [
        ("/", Version::HTTP_11, &[("host", "b.example")][..]),
        ("/", Version::HTTP_11, &[("host", "a.example:444")]),
        ("/", Version::HTTP_11, &[("host", "a.example.b.example")]),
        ("/", Version::HTTP_10, &[("host", "b.example")]),
        ("https://b.example/", Version::HTTP_11, &[("host", "a.example")]),
        ("https://a.example/", Version::HTTP_11, &[("host", "b.example")]),
        ("https://b.example/", Version::HTTP_2, &[]),
        ("https://a.example/", Version::HTTP_2, &[("host", "b.example")]),
    ] {
        let error = judged(uri, version, fields).unwrap_err();
        assert!(matches!(error, Unreadable::Fronting { .. }), "{uri} {fields:?}: {error}");
    }
}

#[test]
fn a_request_without_one_meaning_is_unreadable() {
    for (uri, fields) in [
        ("/", &[][..]),
        ("/", &[("host", "a.example"), ("host", "a.example")]),
        ("/", &[("host", "user@a.example")]),
        ("/", &[("host", "")]),
        ("/", &[("host", "a.example"), ("content-length", "1"), ("transfer-encoding", "chunked")]),
        ("/", &[("host", "a.example"), ("content-length", "1"), ("content-length", "1")]),
        ("/", &[("host", "a.example"), ("transfer-encoding", "xchunked")]),
        ("/", &[("host", "a.example"), ("transfer-encoding", "chunked, chunked")]),
        ("/a%2fb", &[("host", "a.example")]),
        ("/../b", &[("host", "a.example")]),
        ("*", &[("host", "a.example")]),
    ] {
        assert!(judged(uri, Version::HTTP_11, fields).is_err(), "{uri} {fields:?}");
    }
    let connect = request("CONNECT", "b.example:443", Version::HTTP_11, &[("host", "a.example")]);
    let read = read(&connect, &right("a.example", 443), Wire::Tls);
    assert!(matches!(read, Err(Unreadable::Connect)));
}

#[test]
fn a_host_without_a_port_is_that_of_the_connection() {
    let request = request("GET", "/", Version::HTTP_11, &[("host", "a.example")]);
    assert!(read(&request, &right("a.example", 8443), Wire::Tls).is_ok());
}

#[test]
fn only_a_whole_handshake_asks_for_a_websocket() {
    let kind = |version, fields: &[(&str, &str)]| {
        let mut all = vec![("host", "a.example")];
        all.extend_from_slice(fields);
        let request = request("GET", "/", version, &all);
        read(&request, &Arc::new(right("a.example", 443)), Wire::Tls).unwrap().1
    };
    let whole = [("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")];
    assert_eq!(kind(Version::HTTP_11, &whole), RequestKind::WebSocket);
    assert_eq!(kind(Version::HTTP_10, &whole), RequestKind::Plain);
    assert_eq!(kind(Version::HTTP_11, &whole[1..]), RequestKind::Plain);
    let h2c = [("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c")];
    assert_eq!(kind(Version::HTTP_11, &h2c), RequestKind::Plain);
}
