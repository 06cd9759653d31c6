//! A decision that says yes allocates nothing: an allocator that counts watches. It is a binary of its own because a
//! program has one allocator.

use std::hint::black_box;

use navigator_policy::{
    Caller, CanonicalPath, CompiledPolicy, Decision, Destination, Grant, Host, Request,
    RequestDecision, RequestKind, load,
};

const CALLER: Caller<'static> = Caller {
    executable: "/usr/bin/python3.11",
    ancestors: &["/usr/bin/make", "/bin/sh"],
    scripts: &["/sandbox/tool.py"],
};

/// Many endpoints of every kind, so that each table and pattern has something to look through.
fn policy() -> CompiledPolicy {
    let mut text = String::from("version: 1\nnetwork_policies:\n");
    for number in 0..200 {
        text.push_str(&format!(
            "  p{number}:\n    endpoints:\n      - {{ host: h{number}.example, port: 443 }}\n      - {{ host: \"*.w{number}.example\", ports: [80, 443] }}\n    binaries: [{{ path: \"/opt/**/bin/*\" }}, {{ path: \"/usr/bin/python3*\" }}]\n"
        ));
    }
    text.push_str(
        "  inspected:\n    endpoints:\n      - host: api.example\n        port: 443\n        protocol: rest\n        tls: terminate\n        rules:\n          - allow: { method: GET, path: \"/**/info/refs?service=*\" }\n          - allow: { method: POST, path: \"/repos/*/issues\", query: { state: \"open*\" } }\n          - deny: { method: DELETE, path: \"/**\" }\n      - { port: 8443, allowed_ips: [10.0.0.0/8] }\n    binaries: [{ path: \"/usr/bin/python3*\" }]\n",
    );
    let checked = load("p", &text).unwrap_or_else(|errors| panic!("{}", errors.render(&text)));
    CompiledPolicy::compile(&checked.policy, &|_| None)
}

fn grant<'p>(policy: &'p CompiledPolicy, host: &Host, port: u16) -> Option<Grant<'p>> {
    match policy.decide(&CALLER, &Destination { host, port }) {
        Decision::Tunnel(grant) | Decision::Inspect(grant) => Some(grant),
        Decision::Inference | Decision::Deny(_) => None,
    }
}

/// How often `work` asks the allocator for memory.
fn allocations(work: impl FnOnce()) -> u64 {
    allocation_counter::measure(work).count_total
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(black_box(Box::new(1)))), 1);
}

#[test]
fn allowing_a_connection_allocates_nothing() {
    let policy = policy();
    for (host, port) in
        [("h150.example", 443), ("a.b.w7.example", 80), ("api.example", 443), ("10.1.2.3", 8443)]
    {
        let host = Host::parse(host).unwrap();
        let count = allocations(|| {
            let grant = grant(black_box(&policy), &host, port).unwrap();
            let address = "10.1.2.3".parse().unwrap();
            let _ = black_box((grant.check_address(address), grant.tls(), grant.enforcement()));
        });
        assert_eq!(count, 0, "{host}:{port}");
    }
}

#[test]
fn allowing_a_request_allocates_nothing() {
    let policy = policy();
    let host = Host::parse("api.example").unwrap();
    let grant = grant(&policy, &host, 443).unwrap();
    for (method, target) in [
        ("GET", "/o/r.git/info/refs?service=git-upload-pack"),
        ("POST", "/repos/r/issues?page=2&state=opened"),
    ] {
        let path = CanonicalPath::parse(target).unwrap();
        let count = allocations(|| {
            let decision = policy
                .decide_request(&grant, &Request { method, path: &path, kind: RequestKind::Plain });
            assert!(matches!(decision, RequestDecision::Allow { .. }), "{target}");
        });
        assert_eq!(count, 0, "{method} {target}");
    }
}
