//! Requests on inspected connections: what the rules say about them, names and protocols that are not the declared
//! ones, servers that cannot be trusted (lines 4, 5, 9–12, 14, 15). Asserted on what the origins saw.

use navigator_testkit::{Certificate, FakeInternet, Origin, Seen};
use serde_json::{Value, json};

use crate::harness::{Case, as_everyone, stderr, stdout};

/// The hosts of these tests, their addresses and how their endpoints are inspected.
const HOSTS: [(&str, &str, &str); 8] = [
    (
        "a",
        "203.0.113.10",
        "protocol: rest, rules: [{ allow: { method: GET, path: /mirror } }, \
      { allow: { method: GET, path: \"/open/**\" } }, { allow: { method: GET, path: /query, query: { q: \"a*\" } } }, \
      { deny: { method: \"*\", path: \"/open/secret/**\" } }]",
    ),
    ("ro", "203.0.113.11", "protocol: rest, access: read-only"),
    ("rw", "203.0.113.12", "protocol: rest, access: read-write"),
    ("full", "203.0.113.13", "protocol: rest, access: full"),
    ("audit", "203.0.113.14", "protocol: rest, access: read-only, enforcement: audit"),
    (
        "grpc",
        "203.0.113.15",
        "protocol: grpc, rules: [{ allow: { method: POST, path: /test.Echo/Unary } }]",
    ),
    ("tls", "203.0.113.16", "protocol: rest, access: full"),
    ("raw", "203.0.113.17", "protocol: rest, access: full"),
];

/// Answers that are no clear response.
const NONSENSE: [(&str, &str); 12] = [
    ("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde"),
    (
        "length and chunks",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    ),
    ("bad length", "HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc"),
    ("bad chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n"),
    (
        "unknown coding",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, odd\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ),
    ("huge", "HUGE"),
    ("many fields", "MANY"),
    (
        "unasked switch",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: tcp\r\n\r\n",
    ),
    ("HTTP/0.9", "just text\n"),
    ("bare LF in value", "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 2\r\n\r\nok"),
    ("short body", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"),
    (
        "second response",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond",
    ),
];

fn host(name: &str) -> String {
    format!("{name}.example.net")
}

/// Every host with a web server, plain and in TLS, and the bad ones.
fn internet() -> FakeInternet {
    let mut internet = FakeInternet::new();
    for (name, address, _) in HOSTS {
        let certificate = Certificate::Good { name: host(name) };
        internet = internet
            .name(&host(name), &[address])
            .origin(&format!("{address}:80"), Origin::Web)
            .origin(&format!("{address}:443"), Origin::WebTls(certificate));
    }
    let bad = |kind| Origin::WebTls(kind);
    internet = internet
        .origin("203.0.113.16:1", bad(Certificate::Expired { name: host("tls") }))
        .origin("203.0.113.16:2", bad(Certificate::Good { name: host("other") }))
        .origin("203.0.113.16:3", bad(Certificate::SelfSigned { name: host("tls") }))
        .origin("203.0.113.16:4", Origin::BreaksTls);
    for ((_, answer), port) in NONSENSE.iter().zip(1..) {
        let answer = match *answer {
            "HUGE" => format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1 << 20)),
            "MANY" => format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(1000)),
            other => other.to_owned(),
        };
        internet = internet.origin(&format!("203.0.113.17:{port}"), Origin::Raw { answer });
    }
    internet
}

fn policy(case: &Case) -> String {
    let mut endpoints = String::new();
    for (name, _, rest) in HOSTS {
        let host = host(name);
        endpoints += &format!("      - {{ host: {host}, port: 443, tls: terminate, {rest} }}\n");
        endpoints += &format!("      - {{ host: {host}, port: 80, {rest} }}\n");
    }
    let rest = "protocol: rest, access: full";
    endpoints += &format!(
        "      - {{ host: tls.example.net, ports: [1, 2, 3, 4], tls: terminate, {rest} }}\n"
    );
    let ports: Vec<_> = (0..NONSENSE.len()).map(|at| 1 + at).collect();
    endpoints += &format!("      - {{ host: raw.example.net, ports: {ports:?}, {rest} }}\n");
    case.policy(&format!(
        "network_policies:\n  web:\n    endpoints:\n{endpoints}    binaries: [{{ path: \"/usr/bin/python3*\" }}]\n"
    ))
}

/// Runs one function of `inspected.py` in a sandbox; returns what it printed and what the origins saw.
fn inspected(case: &Case, args: &[&str]) -> (Value, Vec<Seen>) {
    let policy = policy(case);
    let mut command = vec!["/sandbox/clients/bin/python", "/sandbox/programs/inspected.py"];
    command.extend(args);
    let (output, seen) = case.client(&internet(), &["--policy", &policy], &command);
    let found = serde_json::from_str(&stdout(&output))
        .unwrap_or_else(|error| panic!("{args:?} as {:?}: {error}\n{}", case.who, stderr(&output)));
    (found, seen)
}

/// The targets of the requests that origins saw.
fn targets(seen: &[Seen]) -> Vec<String> {
    let requests = seen.iter().filter_map(Seen::web_request);
    requests.map(|request| request["target"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn rules_decide_each_request_alike_by_every_adapter() {
    // What the origin answers with where the request is allowed; 403 is ours.
    let expected = [
        ("get", 200),
        ("head", 403),
        ("post", 403),
        ("trace", 403),
        ("below", 404),
        ("denied below", 403),
        ("encoded", 403),
        ("dots", 403),
        ("slashes", 403),
        ("parameters", 403),
        ("twice encoded", 400),
        ("encoded slash", 400),
        ("query", 404),
        ("other query", 403),
        ("two queries", 403),
        ("no query", 403),
        ("ro get", 200),
        ("ro head", 200),
        ("ro options", 200),
        ("ro post", 403),
        ("ro delete", 403),
        ("ro trace", 403),
        ("rw patch", 200),
        ("rw delete", 403),
        ("full delete", 200),
        ("full own", 200),
        ("audit", 200),
    ];
    as_everyone(|case| {
        let (found, seen) = inspected(case, &["rules"]);
        let targets = targets(&seen);
        for (name, status) in expected {
            for (adapter, answered) in found[name].as_object().unwrap() {
                assert_eq!(*answered, status, "{name} by {adapter} as {:?}", case.who);
                let mark = format!("mark={}.{adapter}", name.replace(' ', "-"));
                let arrived = targets.iter().filter(|target| target.ends_with(&mark)).count();
                let allowed = !matches!(status, 400 | 403);
                assert_eq!(arrived, usize::from(allowed), "{name} by {adapter}: {targets:?}");
            }
            assert_eq!(found[name].as_object().unwrap().len(), 6);
        }
        let recorded: Vec<_> =
            case.decisions().into_iter().filter(|d| d["decision"] == "would_deny").collect();
        assert_eq!(recorded.len(), 6, "{recorded:?}");
        assert_eq!(recorded[0]["request"]["method"], "DELETE");
        assert_eq!(recorded[0]["request"]["parameters"], json!(["x", "mark"]));
    });
}

#[test]
fn a_refusal_says_what_did_not_match_and_ends_the_connection() {
    as_everyone(|case| {
        let (found, seen) = inspected(case, &["denial"]);
        assert_eq!(found["status"], 403, "{found}");
        assert_eq!(found["fields"]["x-navigator-policy"], "web");
        assert_eq!(found["fields"]["connection"], "close");
        assert_eq!(found["fields"]["content-type"], "application/json");
        assert_eq!(found["then"], 0, "the connection stays open");
        let body: Value = serde_json::from_str(found["body"].as_str().unwrap()).unwrap();
        assert_eq!(body["error"], "policy_denied");
        assert_eq!(body["policy"], "web");
        assert_eq!(body["rule"], "POST /mirror");
        assert!(body["detail"].as_str().unwrap().contains("POST /mirror"), "{body}");
        assert!(body["how"].as_str().unwrap().contains("`navigator policy why`"), "{body}");
        assert!(targets(&seen).is_empty());
    });
}

#[test]
fn a_refused_call_is_permission_denied() {
    as_everyone(|case| {
        let (found, seen) = inspected(case, &["calls"]);
        assert_eq!(
            (&found[0]["status"], &found[0]["fields"]["grpc-status"]),
            (&json!(200), &json!("0"))
        );
        assert_eq!(
            (&found[1]["status"], &found[1]["fields"]["grpc-status"]),
            (&json!(200), &json!("7"))
        );
        assert_eq!(targets(&seen), ["/test.Echo/Unary"]);
    });
}

#[test]
fn a_name_that_was_not_authorised_reaches_nothing() {
    as_everyone(|case| {
        let (found, seen) = inspected(case, &["names"]);
        for (attempt, result) in found.as_object().unwrap() {
            let status = result["status"].as_u64().unwrap();
            assert!(matches!(status, 0 | 400 | 403), "{attempt} as {:?}: {result}", case.who);
        }
        let targets = targets(&seen);
        assert!(targets.iter().all(|target| target == "/mirror?good"), "{targets:?}");
        assert_eq!(targets.len(), 5, "{found}");
        assert_eq!(found.as_object().unwrap().len(), 15);
    });
}

#[test]
fn a_protocol_that_was_not_declared_reaches_nothing() {
    as_everyone(|case| {
        let (found, seen) = inspected(case, &["protocols"]);
        for (attempt, result) in found.as_object().unwrap() {
            let status = result["status"].as_u64().unwrap();
            let declined = matches!(attempt.as_str(), "h2c upgrade" | "another upgrade");
            let expected = if declined { status == 200 } else { matches!(status, 0 | 400 | 403) };
            assert!(expected, "{attempt} as {:?}: {result}", case.who);
        }
        // A server may decline an upgrade by an ordinary response, so the relay does that for it.
        assert_eq!(targets(&seen), ["/mirror?h2c", "/mirror?other"], "{found}");
        for request in seen.iter().filter_map(Seen::web_request) {
            let fields = request["fields"].to_string();
            assert!(!fields.contains("upgrade") && !fields.contains("http2-settings"), "{fields}");
        }
    });
}

#[test]
fn hidden_requests_are_not_sent_on() {
    as_everyone(|case| {
        let (found, seen) = inspected(case, &["smuggled"]);
        let targets = targets(&seen);
        assert!(
            targets.iter().all(|target| !target.contains("smuggled")),
            "{targets:?}\n{found:#}"
        );
        for (attempt, result) in found.as_object().unwrap() {
            assert!(result["status"].as_u64().unwrap() <= 1, "{attempt}: {result}");
        }
    });
}

#[test]
fn servers_that_cannot_be_trusted_or_understood_are_not_believed() {
    let ports: Value = NONSENSE.iter().zip(1..).map(|((name, _), port)| (*name, port)).collect();
    as_everyone(|case| {
        let (found, seen) = inspected(case, &["bad_origins", &ports.to_string()]);
        for (port, cause) in
            [("1", "expired"), ("2", "not valid for name"), ("3", "issuer"), ("4", "TLS")]
        {
            let body: Value =
                serde_json::from_str(found[port]["body"].as_str().unwrap_or_default())
                    .unwrap_or_default();
            assert_eq!(found[port]["status"], 502, "{port} as {:?}: {}", case.who, found[port]);
            assert_eq!(body["error"], "upstream_failed");
            let detail = body["detail"].as_str().unwrap();
            assert!(detail.to_lowercase().contains(&cause.to_lowercase()), "{port}: {detail}");
        }
        for (name, _) in NONSENSE {
            let result = &found[name];
            match name {
                // The length of these is clear; what follows belongs to nothing.
                "second response" => assert_eq!(result["body"], "ok", "{name}: {result}"),
                "short body" | "bad chunk" => assert_eq!(result["status"], 0, "{name}: {result}"),
                _ => assert_eq!(result["status"], 502, "{name} as {:?}: {result}", case.who),
            }
        }
        assert!(targets(&seen).is_empty(), "a request was sent over TLS that was not verified");
    });
}

#[test]
fn trust_files_can_be_read_and_not_changed_and_hold_no_key() {
    as_everyone(|case| {
        let (found, _) = inspected(case, &["trust"]);
        for path in ["/etc/navigator-tls/ca.pem", "/etc/navigator-tls/ca-bundle.pem"] {
            assert_eq!(
                (&found[path]["keys"], &found[path]["writable"]),
                (&json!(0), &json!(false))
            );
            assert!(found[path]["certificates"].as_u64().unwrap() > 0, "{found}");
        }
        assert!(
            found["variables"].as_array().unwrap().contains(&json!("SSL_CERT_FILE")),
            "{found}"
        );
        // What one sandbox trusts is nothing to another.
        let other = found["own"].as_str().unwrap();
        let (found, seen) = inspected(case, &["other_authority", other]);
        assert!(
            found["other"]["error"].as_str().unwrap().contains("CERTIFICATE_VERIFY_FAILED"),
            "{found}"
        );
        assert_eq!(found["own"]["status"], 200, "{found}");
        assert_eq!(targets(&seen), ["/mirror?mark"]);
    });
}

#[test]
fn quic_is_refused_at_once() {
    as_everyone(|case| {
        let (found, _) = inspected(case, &["quic"]);
        assert_eq!(found.as_object().unwrap().len(), 2);
        for (address, result) in found.as_object().unwrap() {
            assert_eq!(result, "ConnectionRefusedError", "{address} as {:?}", case.who);
        }
    });
}

#[test]
fn following_a_redirect_is_a_new_request() {
    as_everyone(|case| {
        let (found, seen) = inspected(case, &["redirects"]);
        assert_eq!((&found["followed"], &found["denied"]), (&json!(200), &json!(403)), "{found}");
        assert!(!found["saw"].as_str().unwrap().contains("secret"), "{found}");
        assert_eq!(targets(&seen).iter().filter(|target| *target == "/mirror?mark").count(), 1);
    });
}
