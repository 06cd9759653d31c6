//! Who may reach what, and why not.

use navigator_policy::{
    Caller, CanonicalPath, CompiledPolicy, Decision, DenialReason, Destination, Enforcement, Host,
    NetworkMode, Policy, Protocol, Request, RequestDecision, RequestKind, load,
};

const CURL: Caller<'static> = Caller { executable: "/usr/bin/curl", ancestors: &[], scripts: &[] };

fn compile(network: &str) -> CompiledPolicy {
    let text = format!("version: 1\nnetwork_policies:\n{network}");
    let checked = load("p", &text).unwrap_or_else(|errors| panic!("{}", errors.render(&text)));
    CompiledPolicy::compile(&checked.policy, &|_| None)
}

fn policy(key: &str, endpoint: &str, binary: &str) -> String {
    format!("  {key}: {{ endpoints: [{{ {endpoint} }}], binaries: [{{ path: \"{binary}\" }}] }}\n")
}

fn decide<'p>(
    policy: &'p CompiledPolicy,
    caller: &Caller<'_>,
    host: &str,
    port: u16,
) -> Decision<'p> {
    policy.decide(caller, &Destination { host: &Host::parse(host).unwrap(), port })
}

fn reason(decision: Decision<'_>) -> DenialReason {
    match decision {
        Decision::Deny(denial) => denial.reason,
        other => panic!("{other:?}"),
    }
}

fn request(policy: &CompiledPolicy, method: &str, path: &str) -> bool {
    let Decision::Inspect(grant) = decide(policy, &CURL, "a.example", 80) else {
        panic!("not inspected")
    };
    let path = CanonicalPath::parse(path).unwrap();
    matches!(
        policy.decide_request(&grant, &Request { method, path: &path, kind: RequestKind::Plain }),
        RequestDecision::Allow { .. }
    )
}

#[test]
fn the_default_policy_has_no_network() {
    let policy = Policy::restrictive_default();
    assert_eq!(policy.mode(), NetworkMode::Block);
    let compiled = CompiledPolicy::compile(&policy, &|_| None);
    assert_eq!(reason(decide(&compiled, &CURL, "a.example", 443)), DenialReason::Block);
    assert_eq!(CompiledPolicy::compile(&Policy::default(), &|_| None).mode(), NetworkMode::Block);
}

#[test]
fn a_denial_says_what_did_not_match() {
    let compiled = compile(&policy("a", "host: a.example, port: 443", "/usr/bin/curl"));
    assert!(matches!(decide(&compiled, &CURL, "a.example", 443), Decision::Tunnel(_)));
    assert_eq!(reason(decide(&compiled, &CURL, "b.example", 443)), DenialReason::Host);
    assert_eq!(reason(decide(&compiled, &CURL, "a.example", 80)), DenialReason::Port);
    let other = Caller { executable: "/usr/bin/wget", ..CURL };
    let Decision::Deny(denial) = decide(&compiled, &other, "a.example", 443) else { panic!() };
    assert_eq!(denial.reason, DenialReason::Binary);
    for word in ["a.example", "443", "/usr/bin/wget"] {
        assert!(denial.detail.contains(word), "{}", denial.detail);
    }
    assert_eq!(denial.policy.as_deref(), Some("a"));
}

#[test]
fn a_suggestion_is_valid_and_allows_exactly_that() {
    let compiled = compile(&policy("a", "host: a.example, port: 443", "/usr/bin/curl"));
    let odd = Caller { executable: "/sandbox/it's \"odd\"", ..CURL };
    let Decision::Deny(denial) = decide(&compiled, &odd, "b.example", 8443) else { panic!() };
    let text = format!("version: 1\n{}", denial.suggestion.unwrap().yaml);
    let suggested =
        load("suggestion", &text).unwrap_or_else(|errors| panic!("{text}{errors}")).policy;
    let compiled = CompiledPolicy::compile(&suggested, &|_| None);
    assert!(matches!(decide(&compiled, &odd, "b.example", 8443), Decision::Tunnel(_)));
    assert!(matches!(decide(&compiled, &CURL, "b.example", 8443), Decision::Deny(_)));
}

#[test]
fn rights_come_from_the_executable_its_ancestors_and_scripts() {
    let compiled = compile(&policy("a", "host: a.example, port: 443", "/opt/*/agent"));
    let ask = |caller: &Caller<'_>| {
        matches!(decide(&compiled, caller, "a.example", 443), Decision::Tunnel(_))
    };
    assert!(ask(&Caller { executable: "/opt/x/agent", ..CURL }));
    assert!(ask(&Caller { ancestors: &["/bin/sh", "/opt/x/agent"], ..CURL }));
    assert!(ask(&Caller { scripts: &["/opt/x/agent"], ..CURL }));
    assert!(!ask(&Caller { executable: "/opt/x/y/agent", ..CURL }));
    assert!(!ask(&CURL));
}

#[test]
fn both_spellings_of_a_linked_binary_match() {
    let text = format!(
        "version: 1\nnetwork_policies:\n{}",
        policy("a", "host: a.example, port: 443", "/v/python")
    );
    let policy = load("p", &text).unwrap().policy;
    let compiled = CompiledPolicy::compile(&policy, &|path| {
        (path == "/v/python").then(|| "/usr/bin/python[*".into())
    });
    for (executable, allowed) in
        [("/v/python", true), ("/usr/bin/python[*", true), ("/usr/bin/pythonX", false)]
    {
        let caller = Caller { executable, ..CURL };
        assert_eq!(
            matches!(decide(&compiled, &caller, "a.example", 443), Decision::Tunnel(_)),
            allowed
        );
    }
}

#[test]
fn the_most_specific_endpoint_wins() {
    let compiled = compile(
        &[
            policy("wild", "host: \"*.example.com\", port: 80", "/**"),
            policy(
                "exact",
                "host: a.example.com, port: 80, protocol: rest, access: read-only",
                "/**",
            ),
            policy(
                "deeper",
                "host: \"*.b.example.com\", port: 80, protocol: grpc, access: full",
                "/**",
            ),
            policy("hostless", "allowed_ips: [10.0.0.0/8], port: 80", "/**"),
        ]
        .concat(),
    );
    let name = |host: &str| match decide(&compiled, &CURL, host, 80) {
        Decision::Tunnel(grant) | Decision::Inspect(grant) => grant.policy_name().to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(name("a.example.com"), "exact");
    assert_eq!(name("x.example.com"), "wild");
    assert_eq!(name("x.b.example.com"), "deeper");
    assert_eq!(name("other.example"), "hostless");
    assert_eq!(name("10.1.2.3"), "hostless");
    assert_eq!(reason(decide(&compiled, &CURL, "11.1.2.3", 80)), DenialReason::Host);
}

#[test]
fn inspected_wins_over_opaque_and_equal_ones_are_merged() {
    let compiled = compile(&[
        policy("a", "host: a.example, port: 80", "/**"),
        policy("b", "host: a.example, port: 80, protocol: rest, rules: [{ allow: { method: GET, path: /x } }]", "/**"),
        policy("c", "host: a.example, port: 80, protocol: rest, rules: [{ allow: { method: GET, path: /y } }, { deny: { path: /z } }]", "/**"),
        policy("d", "host: a.example, port: 80, protocol: rest, rules: [{ allow: { path: /z } }]", "/**"),
    ].concat());
    let Decision::Inspect(grant) = decide(&compiled, &CURL, "a.example", 80) else { panic!() };
    assert_eq!(
        (grant.protocol(), grant.enforcement()),
        (Some(Protocol::Rest), Enforcement::Enforce)
    );
    assert!(request(&compiled, "GET", "/x") && request(&compiled, "GET", "/y"));
    assert!(!request(&compiled, "GET", "/z"), "a deny wins over every allow");
    assert!(!request(&compiled, "POST", "/x"));
}

#[test]
fn presets_allow_their_methods() {
    for (preset, allowed, denied) in [
        ("read-only", &["GET", "HEAD", "OPTIONS", "get"][..], &["POST", "DELETE", "TRACE"][..]),
        ("read-write", &["GET", "POST", "PUT", "PATCH"][..], &["DELETE"][..]),
        ("full", &["GET", "DELETE", "ANYTHING"][..], &[][..]),
    ] {
        let compiled = compile(&policy(
            "a",
            &format!("host: a.example, port: 80, protocol: rest, access: {preset}"),
            "/**",
        ));
        assert!(allowed.iter().all(|method| request(&compiled, method, "/x/y")), "{preset}");
        assert!(!denied.iter().any(|method| request(&compiled, method, "/x/y")), "{preset}");
    }
}

#[test]
fn query_rules_constrain_parameters() {
    let compiled = compile(&policy(
        "a",
        "host: a.example, port: 80, protocol: rest, rules: [{ allow: { method: GET, path: /s, query: { q: \"a*\" } } }]",
        "/**",
    ));
    assert!(request(&compiled, "GET", "/s?q=abc&other=1"));
    assert!(!request(&compiled, "GET", "/s?q=abc&q=b"));
    assert!(!request(&compiled, "GET", "/s"));
}

#[test]
fn audit_lets_pass_and_says_what_would_have_been_denied() {
    let compiled = compile(&policy(
        "a",
        "host: a.example, port: 80, protocol: rest, enforcement: audit, access: read-only",
        "/**",
    ));
    let Decision::Inspect(grant) = decide(&compiled, &CURL, "a.example", 80) else { panic!() };
    let path = CanonicalPath::parse("/x").unwrap();
    let decision = compiled.decide_request(
        &grant,
        &Request { method: "DELETE", path: &path, kind: RequestKind::Plain },
    );
    assert!(
        matches!(decision, RequestDecision::Audit(denial) if denial.detail.contains("DELETE /x"))
    );
}

#[test]
fn names_that_nothing_means_are_not_resolved() {
    let compiled = compile(&policy("a", "host: \"*.a.example\", port: 443", "/**"));
    let could = |name: &str| match Host::parse(name).unwrap() {
        Host::Name(name) => compiled.could_allow_name(&name),
        Host::Address(_) => panic!(),
    };
    assert!(could("x.a.example"));
    assert!(!could("a.example") && !could("b.example"));
}

#[test]
fn merged_endpoints_unite_their_addresses() {
    let compiled = compile(
        &[
            policy("a", "host: a.example, port: 443, allowed_ips: [10.0.0.0/24]", "/**"),
            policy("b", "host: a.example, port: 443, allowed_ips: [10.0.1.0/24]", "/**"),
        ]
        .concat(),
    );
    let Decision::Tunnel(grant) = decide(&compiled, &CURL, "a.example", 443) else { panic!() };
    for (address, allowed) in
        [("10.0.0.1", true), ("10.0.1.1", true), ("10.0.2.1", false), ("8.8.8.8", false)]
    {
        assert_eq!(grant.check_address(address.parse().unwrap()).is_ok(), allowed, "{address}");
    }
}

#[test]
fn equal_policies_have_equal_hashes() {
    let hash = |text: &str| load("p", text).unwrap().policy.hash();
    let one = "version: 1\nfilesystem_policy: { read_only: [/a, /b] }\nnetwork_policies: { x: { endpoints: [{ host: A.example., port: 443 }], binaries: [{ path: /b }, { path: /a }] } }\n";
    let other = "network_policies:\n  x:\n    binaries:\n      - path: //a\n      - path: /b/\n    endpoints:\n      - ports: [443]\n        host: a.EXAMPLE\nfilesystem_policy:\n  read_only: [/b/, /a]\nversion: 1\n";
    assert_eq!(hash(one), hash(other));
    assert_ne!(hash(one), hash(&one.replace("443", "444")));
}

#[test]
fn a_policy_survives_being_written_out() {
    let text = "version: 1\nnetwork_policies:\n  x:\n    endpoints:\n      - { host: \"*.a.example\", ports: [80, 443], protocol: rest, tls: terminate, enforcement: audit, rules: [{ allow: { method: GET, path: \"/**\", query: { a: b } } }, { deny: { method: \"*\", path: /x } }] }\n      - { port: 1, allowed_ips: [10.0.0.0/8, 10.1.2.3] }\n    binaries: [{ path: \"/**\" }]\ninference: { allowed_routes: [local] }\n";
    let policy = load("p", text).unwrap_or_else(|errors| panic!("{errors}")).policy;
    let again = load("again", &policy.to_yaml()).unwrap_or_else(|errors| panic!("{errors}")).policy;
    assert_eq!(policy, again);
    assert_eq!(policy.to_yaml(), again.to_yaml());
}

#[test]
fn only_a_websocket_endpoint_takes_a_websocket() {
    let endpoint = |protocol: &str, path: &str| {
        let rules = format!("rules: [{{ allow: {{ method: GET, path: {path} }} }}]");
        format!("host: a.example, port: 80, protocol: {protocol}, {rules}")
    };
    let decide_upgrade = |policy: &CompiledPolicy, path: &str| {
        let Decision::Inspect(grant) = decide(policy, &CURL, "a.example", 80) else {
            panic!("not inspected")
        };
        let path = CanonicalPath::parse(path).unwrap();
        let kind = RequestKind::WebSocket;
        match policy.decide_request(&grant, &Request { method: "GET", path: &path, kind }) {
            RequestDecision::Allow { .. } => None,
            RequestDecision::Audit(denial) | RequestDecision::Deny(denial) => Some(denial.detail),
        }
    };
    let rest = compile(&policy("r", &endpoint("rest", "/**"), "/usr/bin/curl"));
    assert!(
        decide_upgrade(&rest, "/ws").is_some_and(|detail| detail.contains("takes no WebSocket"))
    );
    let both = policy("r", &endpoint("rest", "/**"), "/usr/bin/curl")
        + &policy("w", &endpoint("websocket", "/ws"), "/usr/bin/curl");
    let both = compile(&both);
    assert_eq!(decide_upgrade(&both, "/ws"), None);
    assert!(decide_upgrade(&both, "/other").is_some_and(|detail| detail.contains("no rule")));
    assert!(request(&both, "GET", "/other"));
}

#[test]
fn every_equal_endpoint_counts_however_many_there_are() {
    let allow = "host: a.example, port: 80, protocol: rest, access: full";
    let deny = "host: a.example, port: 80, protocol: rest, \
                rules: [{ allow: { method: GET, path: /x } }, { deny: { method: \"*\", path: /secret } }]";
    let mut text: String =
        (0..9).map(|number| policy(&format!("p{number}"), allow, "/usr/bin/curl")).collect();
    text.push_str(&policy("z", deny, "/usr/bin/curl"));
    let policy = compile(&text);
    assert!(request(&policy, "GET", "/open"));
    assert!(!request(&policy, "GET", "/secret"));
}
