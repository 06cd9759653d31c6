use http::header::{CONTENT_LENGTH, HOST, HeaderValue, TRANSFER_ENCODING};
use proptest::prelude::*;

use super::*;

fn headers(host: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(host) = host {
        headers.insert(HOST, HeaderValue::from_str(host).unwrap());
    }
    headers
}

fn connect(uri: &str, host: Option<&str>) -> Result<String, TargetError> {
    let uri: Uri = uri.parse().map_err(|_| TargetError::NoAuthority)?;
    of_connect(&uri, &headers(host)).map(|target| format!("{} {}", target.host, target.port))
}

fn absolute(uri: &str, host: Option<&str>) -> Result<String, TargetError> {
    let uri: Uri = uri.parse().map_err(|_| TargetError::NotAbsolute)?;
    of_absolute(&uri, &headers(host))
        .map(|target| head::host_header(&target.host, target.port, HTTP_PORT))
}

#[test]
fn connect_targets_are_host_and_port() {
    for (uri, host) in [
        ("pypi.org:443", None),
        ("PyPI.org:443", Some("pypi.org")),
        ("pypi.org:443", Some("PYPI.ORG:443")),
    ] {
        assert_eq!(connect(uri, host).unwrap(), "pypi.org 443", "{uri} {host:?}");
    }
    assert_eq!(connect("[2001:db8::1]:443", None).unwrap(), "[2001:db8::1] 443");
}

#[test]
fn connect_targets_that_say_two_things_are_refused() {
    for (uri, host) in [
        ("pypi.org", None),
        ("pypi.org:0", None),
        ("pypi.org:443", Some("other.org")),
        ("pypi.org:443", Some("pypi.org:80")),
        ("pypi.org:443", Some("")),
        ("user@pypi.org:443", None),
        ("http://pypi.org:443/", None),
        ("/path", None),
    ] {
        assert!(connect(uri, host).is_err(), "{uri} {host:?}");
    }
}

#[test]
fn absolute_targets_get_the_default_port() {
    for (uri, header) in [
        ("http://pypi.org/simple", "pypi.org"),
        ("http://PyPI.org:80", "pypi.org"),
        ("http://pypi.org:8080/?q", "pypi.org:8080"),
        ("http://[2001:db8::1]/", "[2001:db8::1]"),
        ("http://[2001:db8::1]:81/", "[2001:db8::1]:81"),
    ] {
        assert_eq!(absolute(uri, None).unwrap(), header, "{uri}");
    }
}

#[test]
fn absolute_targets_of_other_forms_are_refused() {
    for (uri, host) in [
        ("/simple", Some("pypi.org")),
        ("https://pypi.org/", None),
        ("ftp://pypi.org/", None),
        ("http://user:secret@pypi.org/", None),
        ("http://pypi.org:/", None),
        ("http://pypi.org/", Some("other.org")),
        ("http://pypi.org/", Some("pypi.org:81")),
    ] {
        assert!(absolute(uri, host).is_err(), "{uri} {host:?}");
    }
}

#[test]
fn a_repeated_host_or_length_is_refused() {
    let uri: Uri = "http://pypi.org/".parse().unwrap();
    let mut twice = headers(Some("pypi.org"));
    twice.append(HOST, HeaderValue::from_static("pypi.org"));
    assert!(matches!(of_absolute(&uri, &twice), Err(TargetError::Head(HeadError::RepeatedHost))));
    let mut framed = headers(None);
    framed.insert(CONTENT_LENGTH, HeaderValue::from_static("1"));
    framed.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    assert!(matches!(of_absolute(&uri, &framed), Err(TargetError::Head(HeadError::Framing))));
    let mut coded = headers(None);
    coded.insert(TRANSFER_ENCODING, HeaderValue::from_static("gzip, chunked"));
    assert!(matches!(of_absolute(&uri, &coded), Err(TargetError::Head(HeadError::Framing))));
}

proptest! {
    #[test]
    fn no_target_makes_it_panic(uri in "\\PC{0,80}", host in "[ -~]{0,40}") {
        let _ = connect(&uri, Some(&host));
        let _ = absolute(&uri, Some(&host));
        let _ = absolute(&format!("http://{uri}"), Some(&host));
    }
}
