//! Globs of binaries: no panic, no endless loop, and a pattern without wildcards matches itself alone.
#![no_main]

use std::collections::BTreeMap;

use navigator_policy::{
    Caller, CompiledPolicy, Decision, Destination, Endpoint, EndpointHost, Enforcement, Host,
    NetworkPolicy, Policy,
};

libfuzzer_sys::fuzz_target!(|input: (&str, &str)| {
    let (pattern, path) = input;
    let Ok(host) = Host::parse("a.example") else { return };
    let endpoint = Endpoint {
        host: Some(EndpointHost::Exact(host.clone())),
        ports: vec![443],
        protocol: None,
        tls: None,
        enforcement: Enforcement::Enforce,
        requests: None,
        allowed_ips: vec![],
    };
    let network = NetworkPolicy {
        name: "a".into(),
        endpoints: vec![endpoint],
        binaries: vec![pattern.to_owned()],
    };
    let policy = Policy { network: BTreeMap::from([("a".into(), network)]), ..Policy::default() };
    let compiled = CompiledPolicy::compile(&policy, &|_| None);
    let caller = Caller { executable: path, ancestors: &[], scripts: &[] };
    let decision = compiled.decide(&caller, &Destination { host: &host, port: 443 });
    if !pattern.contains(['*', '?']) {
        assert_eq!(matches!(decision, Decision::Tunnel(_)), pattern == path);
    }
});
