//! What a line says.

use std::collections::BTreeMap;

use navigator_egress::{AuditDecision, AuditRecord};
use navigator_proto::v1::SandboxLogLine;
use tracing::Level;

/// A decision as a line.
pub(super) fn decision(record: &AuditRecord) -> (Level, SandboxLogLine) {
    let (level, word) = match record.decision {
        AuditDecision::Allow => (Level::INFO, "allowed"),
        AuditDecision::Deny => (Level::WARN, "denied"),
        AuditDecision::WouldDeny => (Level::WARN, "would be denied"),
        AuditDecision::Revoke => (Level::WARN, "revoked"),
    };
    let AuditRecord { host, port, detail, .. } = record;
    let line = SandboxLogLine {
        timestamp_ms: record.time.as_millisecond(),
        message: format!("{word} {host}:{port}: {detail}"),
        fields: fields(record),
        ..new(level, "egress")
    };
    (level, line)
}

fn fields(record: &AuditRecord) -> BTreeMap<String, String> {
    let request = record.request.as_ref();
    let program = record.program.as_ref();
    let all = [
        ("id", Some(record.id.to_string())),
        ("host", Some(record.host.clone())),
        ("port", Some(record.port.to_string())),
        ("policy", record.policy.clone()),
        ("rule", record.rule.clone()),
        ("reason", record.reason.clone()),
        ("method", request.map(|request| request.method.clone())),
        ("path", request.map(|request| request.path.clone())),
        ("program", program.map(|program| program.executable.clone())),
        ("pid", program.map(|program| program.pid.to_string())),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// A line of now. Whose it is the gateway knows and writes itself.
pub(super) fn new(level: Level, target: &str) -> SandboxLogLine {
    SandboxLogLine {
        timestamp_ms: jiff::Timestamp::now().as_millisecond(),
        level: level.to_string(),
        target: target.to_owned(),
        source: "sandbox".to_owned(),
        ..SandboxLogLine::default()
    }
}

/// How much of the buffer's bytes a line takes.
pub(super) fn size(line: &SandboxLogLine) -> usize {
    let fields = line.fields.iter().map(|(name, value)| name.len() + value.len());
    size_of::<SandboxLogLine>() + line.message.len() + line.target.len() + fields.sum::<usize>()
}
