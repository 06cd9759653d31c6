//! Every suggested change, made as it says, gives a valid policy that allows what was denied.

use navigator_policy::{
    Caller, CanonicalPath, CompiledPolicy, Decision, Denial, Destination, Host, Policy, Request,
    RequestDecision, RequestKind, load,
};
use serde_json::Value;

/// One policy with every kind of endpoint, and names that need quotes.
const POLICY: &str = r#"
version: 1
network_policies:
  tunnels:
    endpoints:
      - { host: a.example, port: 443 }
      - { host: "*.w.example", ports: [80, 443] }
      - { port: 8443, allowed_ips: [10.0.0.0/8] }
    binaries: [{ path: /usr/bin/curl }]
  "no: plain, key":
    endpoints: [{ host: "2001:db8::1", port: 443 }]
    binaries: [{ path: /usr/bin/odd }]
  b_example_443:
    endpoints: [{ host: taken.example, port: 1 }]
    binaries: [{ path: /usr/bin/taken }]
  read:
    endpoints:
      - { host: read.example, port: 443, protocol: rest, tls: terminate, access: read-only }
    binaries: [{ path: /usr/bin/curl }]
  write:
    endpoints:
      - { host: write.example, port: 443, protocol: rest, tls: terminate, access: read-write }
    binaries: [{ path: /usr/bin/curl }]
  rules:
    endpoints:
      - host: rules.example
        port: 443
        protocol: rest
        tls: terminate
        rules:
          - allow: { method: GET, path: "/docs/**", query: { q: "a*" } }
          - deny: { method: "*", path: "/docs/secret/**" }
    binaries: [{ path: /usr/bin/curl }]
  denies:
    endpoints:
      - host: denies.example
        port: 443
        protocol: rest
        tls: terminate
        rules: [{ deny: { method: GET, path: "/a" } }]
    binaries: [{ path: /usr/bin/curl }]
  merged:
    endpoints:
      - { host: denies.example, port: 443, protocol: rest, tls: terminate, access: full }
    binaries: [{ path: /usr/bin/curl }]
"#;

/// Connections: program, host, port.
const CONNECTIONS: [(&str, &str, u16); 14] = [
    ("/usr/bin/curl", "b.example", 443),
    ("/usr/bin/curl", "a.example", 80),
    ("/usr/bin/curl", "w.example", 443),
    ("/usr/bin/wget", "a.example", 443),
    ("/usr/bin/wget", "x.w.example", 80),
    ("/usr/bin/wget", "read.example", 443),
    ("/usr/bin/wget", "b.example", 443),
    ("/usr/bin/wget", "10.1.2.3", 8443),
    ("/usr/bin/wget", "10.1.2.3", 22),
    ("/usr/bin/odd", "2001:db8::2", 443),
    ("/usr/bin/wget", "2001:db8::1", 443),
    ("/usr/bin/odd", "192.168.7.7", 80),
    ("/sandbox/it's \"odd\": #1, {x}", "c.example", 443),
    ("/sandbox/**", "c.example", 443),
];

/// Requests by curl: host, method, target.
const REQUESTS: [(&str, &str, &str); 11] = [
    ("read.example", "POST", "/x"),
    ("read.example", "delete", "/x/y"),
    ("read.example", "PURGE", "/"),
    ("write.example", "DELETE", "/a%20b/%7Bc%7D: #?q=1"),
    ("rules.example", "POST", "/docs/a"),
    ("rules.example", "GET", "/docs/a"),
    ("rules.example", "GET", "/docs/secret/a?q=a"),
    ("rules.example", "POST", "/docs/secret/a"),
    ("rules.example", "GET", "/**"),
    ("denies.example", "GET", "/a"),
    ("rules.example", "M-SEARCH", "/x\"'"),
];

fn ask(
    policy: &CompiledPolicy,
    caller: &str,
    host: &str,
    port: u16,
    request: Option<(&str, &str)>,
) -> Result<(), Box<Denial>> {
    let host = Host::parse(host).unwrap();
    let caller = Caller { executable: caller, ancestors: &[], scripts: &[] };
    let grant = match policy.decide(&caller, &Destination { host: &host, port }) {
        Decision::Tunnel(grant) | Decision::Inspect(grant) => grant,
        Decision::Deny(denial) => return Err(Box::new(denial)),
        Decision::Inference => panic!("there is no inference in it"),
    };
    if let Host::Address(address) = host {
        grant.check_address(address).unwrap();
    }
    let Some((method, target)) = request else { return Ok(()) };
    let path = CanonicalPath::parse(target).unwrap();
    match policy.decide_request(&grant, &Request { method, path: &path, kind: RequestKind::Plain })
    {
        RequestDecision::Allow { .. } => Ok(()),
        RequestDecision::Audit(denial) | RequestDecision::Deny(denial) => Err(Box::new(denial)),
    }
}

fn compile(policy: &Policy) -> CompiledPolicy {
    CompiledPolicy::compile(policy, &|_| None)
}

/// Does what a person does: maps are joined, an endpoint that is there is replaced, all else is added.
fn merge(into: &mut Value, change: Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(change)) => {
            for item in change {
                let same = |known: &&mut Value| {
                    item.get("host").is_some()
                        && ["host", "port", "ports"]
                            .iter()
                            .all(|key| known.get(key) == item.get(key))
                };
                match into.iter_mut().find(same) {
                    Some(known) => *known = item,
                    None => into.push(item),
                }
            }
        }
        (into, change) => *into = change,
    }
}

fn changed(policy: &Policy, yaml: &str) -> Policy {
    let mut tree: Value = serde_saphyr::from_str(&policy.to_yaml()).unwrap();
    merge(&mut tree, serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{yaml}{error}")));
    let text = tree.to_string();
    load("changed", &text).unwrap_or_else(|errors| panic!("{yaml}\n{errors}")).policy
}

fn check(caller: &str, host: &str, port: u16, request: Option<(&str, &str)>) {
    let case = format!("{caller} {host}:{port} {request:?}");
    let policy = load("p", POLICY).unwrap_or_else(|errors| panic!("{errors}")).policy;
    let denial = ask(&compile(&policy), caller, host, port, request).expect_err(&case);
    let suggestion = denial.suggestion.unwrap_or_else(|| panic!("{case}: nothing is suggested"));
    let after = changed(&policy, &suggestion.yaml);
    let answer = ask(&compile(&after), caller, host, port, request);
    assert_eq!(answer, Ok(()), "{case}\n{}", suggestion.yaml);
    assert!(!suggestion.sentence.is_empty() && !suggestion.how.is_empty(), "{case}");
}

#[test]
fn every_suggestion_for_a_connection_is_valid_and_allows_it() {
    for (caller, host, port) in CONNECTIONS {
        check(caller, host, port, None);
    }
}

#[test]
fn every_suggestion_for_a_request_is_valid_and_allows_it() {
    for (host, method, target) in REQUESTS {
        check("/usr/bin/curl", host, 443, Some((method, target)));
    }
}

#[test]
fn a_suggestion_in_a_sandbox_without_network_is_valid_and_allows_it() {
    let policy = Policy::restrictive_default();
    let denial = ask(&compile(&policy), "/usr/bin/curl", "a.example", 443, None).unwrap_err();
    let after = changed(&policy, &denial.suggestion.unwrap().yaml);
    assert_eq!(ask(&compile(&after), "/usr/bin/curl", "a.example", 443, None), Ok(()));
}

#[test]
fn a_suggestion_gives_no_more_than_was_asked() {
    let policy = load("p", POLICY).unwrap().policy;
    let denial = ask(&compile(&policy), "/usr/bin/curl", "read.example", 443, Some(("POST", "/x")));
    let suggestion = denial.unwrap_err().suggestion.unwrap();
    assert!(!suggestion.yaml.contains("access"), "{}", suggestion.yaml);
    let after = compile(&changed(&policy, &suggestion.yaml));
    let allowed =
        |request| ask(&after, "/usr/bin/curl", "read.example", 443, Some(request)).is_ok();
    assert!(allowed(("GET", "/y")) && allowed(("HEAD", "/y")) && allowed(("OPTIONS", "/y")));
    assert!(!allowed(("POST", "/y")) && !allowed(("PUT", "/x")));
    let star = ask(&compile(&policy), "/sandbox/**", "c.example", 443, None).unwrap_err();
    let after = compile(&changed(&policy, &star.suggestion.unwrap().yaml));
    assert!(ask(&after, "/sandbox/evil", "c.example", 443, None).is_err());
}

#[test]
fn nothing_is_suggested_that_would_be_an_error() {
    let policy = compile(&load("p", POLICY).unwrap().policy);
    for (caller, host) in [
        ("/usr/bin/wget", "127.0.0.1"),
        ("/usr/bin/curl", "169.254.169.254"),
        ("relative", "b.example"),
        ("/usr//bin/../bin/wget", "b.example"),
        ("/tmp/\x1b[31m", "b.example"),
        ("/tmp/\u{202e}x", "b.example"),
    ] {
        let denial = ask(&policy, caller, host, 443, None).unwrap_err();
        assert_eq!(denial.suggestion, None, "{caller} {host}");
    }
    let odd = ask(&policy, "/usr/bin/curl", "read.example", 443, Some(("A B", "/x"))).unwrap_err();
    assert_eq!(odd.suggestion, None);
}

#[test]
fn allowing_an_address_lists_it_or_says_why_not() {
    let mut policy = load("p", POLICY).unwrap().policy;
    for (host, port) in [("10.1.2.3", 22), ("192.0.2.1", 80), ("fd00::1", 80)] {
        assert_eq!(policy.allow("/b", &Host::parse(host).unwrap(), port), Ok(true));
        let again = load("again", &policy.to_yaml()).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(ask(&compile(&again.policy), "/b", host, port, None), Ok(()));
        assert_eq!(policy.allow("/b", &Host::parse(host).unwrap(), port), Ok(false));
    }
    for host in ["127.0.0.1", "169.254.169.254", "::1"] {
        assert!(policy.allow("/b", &Host::parse(host).unwrap(), 80).is_err(), "{host}");
    }
}
