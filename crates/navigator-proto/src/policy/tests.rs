//! Policies keep their meaning on the wire.

use super::*;

const EVERYTHING: &str = r#"
version: 1
filesystem_policy: { include_workdir: false, read_only: [/usr, /etc], read_write: [/sandbox] }
landlock: { compatibility: best_effort }
process: { run_as_user: agent, run_as_group: agents }
network_policies:
  opaque:
    name: shown
    endpoints:
      - { host: a.example, port: 443 }
      - { host: "*.b.example", ports: [80, 8080] }
      - { port: 5432, allowed_ips: [10.1.0.0/16, "fd00::1/128"] }
    binaries: [{ path: /usr/bin/curl }, { path: "/opt/**" }]
  inspected:
    endpoints:
      - { host: c.example, port: 443, protocol: rest, tls: terminate, enforcement: audit, access: read-only }
      - host: d.example
        port: 443
        protocol: rest
        tls: terminate
        rules:
          - allow: { method: GET, path: "/v1/**", query: { page: "*" } }
          - deny: { method: "*", path: /v1/secret }
      - { host: e.example, port: 5432, protocol: sql, enforcement: audit, rules: [{ allow: { command: SELECT } }] }
    binaries: [{ path: "/**" }]
inference:
  allowed_routes: [local]
  api_patterns: [{ method: POST, path_glob: /x, protocol: custom, kind: chat }]
"#;

fn policy(text: &str) -> Policy {
    navigator_policy::load("test", text).unwrap_or_else(|error| panic!("{error}")).policy
}

#[test]
fn a_policy_survives_the_wire() {
    for text in [EVERYTHING, "version: 1\n", &Policy::restrictive_default().to_yaml()] {
        let before = policy(text);
        let message = wire::SandboxPolicy::from(&before);
        let after = Policy::try_from(&message).unwrap();
        assert_eq!(after, before);
        assert_eq!(after.hash(), before.hash());
    }
}

#[test]
fn an_empty_message_has_no_rights() {
    let policy = Policy::try_from(&wire::SandboxPolicy::default()).unwrap();
    assert_eq!(policy, Policy { version: 1, ..Policy::default() });
}

#[test]
fn errors_name_the_field_and_say_what_is_wrong() {
    let refused = |change: fn(&mut wire::SandboxPolicy)| {
        let mut message = wire::SandboxPolicy::from(&policy(EVERYTHING));
        change(&mut message);
        Policy::try_from(&message).unwrap_err().to_string()
    };
    let text = refused(|message| {
        message.filesystem.as_mut().unwrap().read_write.push("/usr".into());
    });
    assert!(text.contains("filesystem_policy.read_write[1]") && text.contains("broad"), "{text}");
    let text = refused(|message| {
        message.filesystem.as_mut().unwrap().read_only.push("/a/../b".into());
    });
    assert!(text.contains("traversal"), "{text}");
    let text = refused(|message| {
        message.process =
            Some(wire::ProcessPolicy { run_as_user: "root".into(), ..Default::default() });
    });
    assert!(text.contains("root"), "{text}");
    let text = refused(|message| message.version = 2);
    assert!(text.contains("version"), "{text}");
    let text = refused(|message| {
        let rule = message.network_policies.get_mut("opaque").unwrap();
        rule.endpoints[0].port = 70_000;
    });
    assert!(text.contains("network_policies.opaque.endpoints[0].port"), "{text}");
    let text = refused(|message| {
        message.network_policies.get_mut("opaque").unwrap().binaries.clear();
    });
    assert!(text.contains("binaries"), "{text}");
    let text = refused(|message| {
        let rule = message.network_policies.get_mut("opaque").unwrap();
        rule.endpoints[0].ports = vec![1];
    });
    assert!(text.contains("port"), "{text}");
}
