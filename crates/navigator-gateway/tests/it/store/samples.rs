//! Records to store: whole ones, and arbitrary ones with text that databases stumble over.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use navigator_gateway::records::{
    Condition, Desired, Layer, Mount, Name, Page, Phase, PlatformEvent, Provider, Revision,
    RevisionStatus, Route, Sandbox, Secret, Severity, Spec, SshSession, Template,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

/// The first hundred of a list.
pub const PAGE: Page = Page { limit: 100, offset: 0 };

pub fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

/// A sandbox with something of everything.
pub fn sandbox(text: &str) -> Sandbox {
    Sandbox {
        id: Uuid::now_v7(),
        name: name(text),
        spec: Spec {
            log_level: "info".into(),
            environment: map(&[("A", "1"), ("B", "two")]),
            template: Template {
                image: "host".into(),
                runtime_class_name: "gvisor".into(),
                agent_socket: "/run/agent.sock".into(),
                labels: map(&[("team", "red")]),
                annotations: map(&[("note", "first")]),
                environment: map(&[("C", "3")]),
                resources: Some(json!({"limits": {"memory": "1Gi"}})),
                pod_template: None,
                volume_claim_templates: Some(json!({})),
            },
            providers: vec![name("zeta"), name("alpha")],
            mounts: vec![Mount {
                source: "/srv/b".into(),
                destination: "/a".into(),
                read_only: true,
            }],
        },
        desired: Desired::Running,
        phase: Phase::Provisioning,
        conditions: vec![condition("Ready"), condition("Adopted")],
        layers: vec![layer("landlock", None), layer("cgroup", Some("no cgroup v2"))],
        skipped: vec![("/nowhere".into(), "it does not exist".into())],
        restarts: 2,
        created_at: 1_700_000_000_000,
        policy_in_force: 0,
        token_hash: None,
        record_version: 1,
    }
}

pub fn condition(kind: &str) -> Condition {
    Condition {
        kind: kind.into(),
        status: "False".into(),
        reason: "Starting".into(),
        message: "It starts.".into(),
        since: 17,
    }
}

pub fn layer(name: &str, degraded: Option<&str>) -> Layer {
    Layer { name: name.into(), degraded: degraded.map(Into::into), detail: "ABI 4".into() }
}

pub fn revision(version: u32) -> Revision {
    let text = format!("version: 1\nfilesystem_policy:\n  read_only: [/usr, /srv/{version}]\n");
    let policy = navigator_policy::load("test", &text).unwrap().policy;
    Revision {
        version,
        hash: policy.hash().to_string(),
        policy,
        status: RevisionStatus::Pending,
        created_at: i64::from(version),
        loaded_at: None,
    }
}

pub fn provider(text: &str) -> Provider {
    Provider {
        id: Uuid::now_v7(),
        name: name(text),
        kind: "github".into(),
        credentials: BTreeMap::from([("TOKEN".into(), Secret::new("hunter2-token".into()))]),
        config: map(&[("host", "github.example")]),
        created_at: 5,
        record_version: 1,
    }
}

pub fn route(text: &str) -> Route {
    Route {
        id: Uuid::now_v7(),
        name: name(text),
        routing_hint: "local".into(),
        base_url: "https://models.example/v1".into(),
        protocols: vec!["openai_chat".into(), "anthropic_messages".into()],
        api_key: Secret::new("hunter2-route".into()),
        model_id: "small".into(),
        enabled: true,
        created_at: 5,
        record_version: 1,
    }
}

pub fn session(sandbox_id: Uuid, token: u8) -> SshSession {
    SshSession {
        id: Uuid::now_v7(),
        sandbox_id,
        token_hash: [token; 32],
        created_at: 10,
        expires_at: 20 + i64::from(token),
        revoked: false,
        used: false,
    }
}

pub fn event(at: i64) -> PlatformEvent {
    PlatformEvent {
        at,
        source: "driver".into(),
        severity: Severity::Warning,
        reason: "Restarted".into(),
        message: "It ended by itself.".into(),
        metadata: map(&[("code", "137"), ("signal", "9")]),
    }
}

/// Text of every kind, and text that is SQL, JSON, a place for a value or no text at all.
pub fn any_text() -> impl Strategy<Value = String> {
    const HOSTILE: [&str; 12] = [
        "",
        "\0",
        "a\0b\u{1a}\u{1a}0",
        "\u{1a}",
        "\u{1a}0",
        "'; DROP TABLE sandboxes; --",
        "\"quoted\" $1 ?1 :a @b %s",
        "\\x00 \\0 \\",
        "{\"a\":1}",
        "1e9",
        "\u{feff}\u{202e}ä\u{10ffff}",
        "\r\n\t",
    ];
    let letters = vec(any::<char>(), 0..12).prop_map(String::from_iter);
    prop_oneof![letters, proptest::sample::select(HOSTILE.as_slice()).prop_map(String::from)]
}

fn any_map() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map(any_text(), any_text(), 0..4)
}

pub fn any_name() -> impl Strategy<Value = Name> {
    "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?".prop_map(|text| name(&text))
}

fn any_document() -> impl Strategy<Value = Option<Value>> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any_text().prop_map(Value::from),
    ];
    let document = leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            btree_map(any_text(), inner, 0..3).prop_map(|map| map.into_iter().collect()),
        ]
    });
    option::of(document)
}

fn any_template() -> impl Strategy<Value = Template> {
    let texts = (any_text(), any_text(), any_text());
    let maps = (any_map(), any_map(), any_map());
    let documents = (any_document(), any_document(), any_document());
    (texts, maps, documents).prop_map(|(texts, maps, documents)| Template {
        image: texts.0,
        runtime_class_name: texts.1,
        agent_socket: texts.2,
        labels: maps.0,
        annotations: maps.1,
        environment: maps.2,
        resources: documents.0,
        pod_template: documents.1,
        volume_claim_templates: documents.2,
    })
}

fn any_mount() -> impl Strategy<Value = Mount> {
    let path = || vec(1_u8.., 0..9).prop_map(|bytes| OsString::from_vec(bytes).into());
    (path(), path(), any::<bool>()).prop_map(|(source, destination, read_only)| Mount {
        source,
        destination,
        read_only,
    })
}

fn any_spec() -> impl Strategy<Value = Spec> {
    let providers = vec(any_name(), 0..4);
    let parts = (any_text(), any_map(), any_template(), providers, vec(any_mount(), 0..3));
    parts.prop_map(|(log_level, environment, template, providers, mounts)| Spec {
        log_level,
        environment,
        template,
        providers,
        mounts,
    })
}

fn any_condition() -> impl Strategy<Value = Condition> {
    let texts = (any_text(), any_text(), any_text(), any_text(), any::<i64>());
    texts.prop_map(|(kind, status, reason, message, since)| Condition {
        kind,
        status,
        reason,
        message,
        since,
    })
}

fn any_layer() -> impl Strategy<Value = Layer> {
    let texts = (any_text(), option::of(any_text()), any_text());
    texts.prop_map(|(name, degraded, detail)| Layer { name, degraded, detail })
}

pub fn any_sandbox() -> impl Strategy<Value = Sandbox> {
    use Phase::{Deleting, Error, Provisioning, Ready, Stopped, Unknown};
    let desired =
        proptest::sample::select(vec![Desired::Running, Desired::Stopped, Desired::Deleted]);
    let phases = vec![Provisioning, Ready, Error, Deleting, Unknown, Stopped];
    let phase = proptest::sample::select(phases);
    let known = (vec(any_condition(), 0..3), vec(any_layer(), 0..3));
    let skipped = vec((any_text(), any_text()), 0..3);
    let numbers = (any::<u32>(), any::<i64>(), any::<u32>(), any::<[u8; 32]>());
    let parts = (any_name(), any_spec(), desired, phase, known, skipped, numbers);
    parts.prop_map(|(name, spec, desired, phase, known, skipped, numbers)| Sandbox {
        id: Uuid::now_v7(),
        name,
        spec,
        desired,
        phase,
        conditions: known.0,
        layers: known.1,
        skipped,
        restarts: numbers.0,
        created_at: numbers.1,
        policy_in_force: numbers.2,
        token_hash: (numbers.3[0] % 2 == 0).then_some(numbers.3),
        record_version: 1,
    })
}

pub fn any_provider() -> impl Strategy<Value = Provider> {
    let credentials = btree_map(any_text(), any_text().prop_map(Secret::new), 0..4);
    let parts = (any_name(), any_text(), credentials, any_map(), any::<i64>());
    parts.prop_map(|(name, kind, credentials, config, created_at)| Provider {
        id: Uuid::now_v7(),
        name,
        kind,
        credentials,
        config,
        created_at,
        record_version: 1,
    })
}

pub fn any_route() -> impl Strategy<Value = Route> {
    let texts = (any_text(), any_text(), any_text(), any_text());
    let parts = (any_name(), texts, vec(any_text(), 0..4), any::<bool>(), any::<i64>());
    parts.prop_map(|(name, texts, protocols, enabled, created_at)| Route {
        id: Uuid::now_v7(),
        name,
        routing_hint: texts.0,
        base_url: texts.1,
        protocols,
        api_key: Secret::new(texts.2),
        model_id: texts.3,
        enabled,
        created_at,
        record_version: 1,
    })
}

pub fn any_event() -> impl Strategy<Value = PlatformEvent> {
    let texts = (any_text(), any_text(), any_text());
    let parts = (any::<i64>(), texts, any_map(), any::<bool>());
    parts.prop_map(|(at, texts, metadata, trouble)| PlatformEvent {
        at,
        source: texts.0,
        severity: if trouble { Severity::Warning } else { Severity::Normal },
        reason: texts.1,
        message: texts.2,
        metadata,
    })
}

/// Tries a promise with arbitrary values and shows the smallest that breaks it.
pub fn with_any<T: std::fmt::Debug>(
    values: impl Strategy<Value = T>,
    promise: impl AsyncFn(T) -> (),
) {
    let config = ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let handle = tokio::runtime::Handle::current();
    let run = |value| {
        tokio::task::block_in_place(|| handle.block_on(promise(value)));
        Ok(())
    };
    runner.run(&values, run).unwrap();
}
