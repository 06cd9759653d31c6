//! One event of each kind with every field filled, for tests of everything that handles them.

use jiff::Timestamp;
use navigator_egress::{Adapter, AuditDecision, AuditProgram, AuditRecord, AuditRequest};
use navigator_isolation::{LayerStatus, SkippedPath};

use super::line::{Continued, End, Event, PolicyChange, Rotated, Start};

fn time() -> Timestamp {
    "2026-01-02T03:04:05.678Z".parse().unwrap()
}

/// A refused connection.
pub(crate) fn denied() -> AuditRecord {
    AuditRecord {
        id: "019b7c1e-2f00-7abc-8def-0123456789ab".parse().unwrap(),
        time: time(),
        sandbox_id: "019b7c1e-0000-7000-8000-000000000001".into(),
        sandbox_name: "agent".into(),
        adapter: Adapter::Connect,
        decision: AuditDecision::Deny,
        policy: Some("pypi".into()),
        rule: Some("files.pythonhosted.org:443".into()),
        reason: Some("host".into()),
        detail: "no policy allows example.com:443".into(),
        host: "example.com".into(),
        port: 443,
        addresses: vec![],
        request: None,
        program: Some(AuditProgram {
            pid: 7,
            executable: "/usr/bin/python3.11".into(),
            sha256: "ab".repeat(32),
            ancestors: vec!["/usr/bin/dash".into()],
            scripts: vec!["/sandbox/agent.py".into()],
        }),
        how: Some("navigator policy allow FILE --host example.com --port 443".into()),
        suggestion: Some("network_policies:\n  pypi:\n".into()),
    }
}

/// A refused request.
pub(crate) fn request() -> AuditRecord {
    AuditRecord {
        reason: Some("request".into()),
        request: Some(AuditRequest {
            method: "DELETE".into(),
            path: "/simple/x".into(),
            parameters: vec!["page".into()],
        }),
        ..denied()
    }
}

/// One event of each kind, and one decision for each way to export it.
pub(crate) fn events() -> Vec<Event> {
    let allowed = AuditRecord {
        decision: AuditDecision::Allow,
        addresses: vec!["192.0.2.1".parse().unwrap()],
        reason: None,
        ..denied()
    };
    let name = AuditRecord { adapter: Adapter::Dns, port: 53, program: None, ..denied() };
    let revoked = AuditRecord { decision: AuditDecision::Revoke, ..denied() };
    let audited = AuditRecord { decision: AuditDecision::WouldDeny, ..request() };
    let abuse = AuditRecord { reason: Some("fronting".into()), ..request() };
    let to_address =
        AuditRecord { host: "192.0.2.7".into(), reason: Some("destination".into()), ..denied() };
    let mut events = vec![start()];
    for record in [allowed, denied(), name, revoked, request(), audited, abuse, to_address] {
        events.push(Event::Decision(Box::new(record)));
    }
    events.push(policy_change());
    events.extend(ends());
    events
}

fn start() -> Event {
    Event::Start(Start {
        time: time(),
        sandbox_id: denied().sandbox_id,
        sandbox_name: "agent".into(),
        policy_hash: "sha256:00".into(),
        command: "/usr/bin/python3".into(),
        layers: vec![LayerStatus {
            layer: "landlock".into(),
            degraded: Some("the kernel is old".into()),
            detail: "version 3".into(),
        }],
        limits: vec!["64 processes".into()],
        skipped: vec![SkippedPath { path: "/opt".into(), reason: "it does not exist".into() }],
    })
}

fn policy_change() -> Event {
    Event::Policy(PolicyChange {
        time: time(),
        sandbox_id: denied().sandbox_id,
        sandbox_name: "agent".into(),
        policy_hash: "ab12".into(),
        refused: Some("`process` cannot be changed on a live sandbox".into()),
    })
}

fn ends() -> [Event; 3] {
    let end = End {
        time: time(),
        sandbox_id: denied().sandbox_id,
        sandbox_name: "agent".into(),
        outcome: "exited with code 3".into(),
        exit_code: Some(3),
        lost: 1,
    };
    let name = "audit-20260102T030405.678901Z.jsonl".to_owned();
    let continued = Continued {
        time: time(),
        from: name.clone(),
        removed: vec!["audit-19991231T235959.000000Z.jsonl".into()],
    };
    [
        Event::End(end),
        Event::Rotated(Rotated { time: time(), to: name }),
        Event::Continued(continued),
    ]
}
