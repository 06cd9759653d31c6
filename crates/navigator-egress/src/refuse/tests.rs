use std::net::IpAddr;

use super::*;

fn refusal() -> Refusal {
    Refusal {
        policy: Some("pypi".into()),
        rule: Some("pypi.org:443".into()),
        reason: Reason::Binary,
        detail: "the program is not listed".into(),
        how: Some("navigator policy allow pypi.org:443".into()),
        suggestion: None,
        host: Host::parse("pypi.org").unwrap(),
        port: 443,
        program: Some("/usr/bin/python3.11".into()),
    }
}

fn phrase<B>(response: &Response<B>) -> String {
    let phrase = response.extensions().get::<ReasonPhrase>().unwrap();
    String::from_utf8(phrase.as_bytes().to_vec()).unwrap()
}

#[test]
fn a_refusal_names_host_port_and_program_in_its_reason_phrase() {
    let response = refusal().response();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(response.headers()[POLICY_HEADER], "pypi");
    assert_eq!(
        phrase(&response),
        "Forbidden by policy: pypi.org:443 is not allowed for /usr/bin/python3.11"
    );
}

#[test]
fn control_bytes_of_a_path_never_reach_the_status_line() {
    let mut refusal = refusal();
    refusal.program = Some("/tmp/a\r\nX: \u{1b}[2J\u{7f}ü".repeat(50));
    refusal.policy = Some("a\r\nb".into());
    let response = refusal.response();
    let phrase = phrase(&response);
    assert!(phrase.len() <= MAX_PHRASE);
    assert!(phrase.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{phrase}");
    assert_eq!(response.headers()[POLICY_HEADER], "a??b");
}

#[test]
fn addresses_of_version_six_are_bracketed() {
    let address: IpAddr = "2001:db8::1".parse().unwrap();
    assert_eq!(target(&Host::Address(address), 443), "[2001:db8::1]:443");
}

#[test]
fn deadlines_and_failures_differ_in_status() {
    let failure = |kind| UpstreamFailure { kind, detail: "failed".into() }.response().status();
    assert_eq!(failure(UpstreamFailureKind::Failed), StatusCode::BAD_GATEWAY);
    assert_eq!(failure(UpstreamFailureKind::Deadline), StatusCode::GATEWAY_TIMEOUT);
}
