//! Audit events as OCSF 1.x events, for the systems that collect those.
//!
//! A decision is an activity of the class that describes it best; a refusal that smells of an attempt to get around
//! the policy is a finding as well. What OCSF has no attribute for stands in `unmapped`.

use navigator_egress::{Adapter, AuditDecision, AuditProgram, AuditRecord, AuditRequest};
use serde_json::{Map, Value, json};

use super::line::{End, Event, Line, Start};

/// Version of the schema that the events follow.
pub const VERSION: &str = "1.4.0";

/// Classes of the schema, each with its category.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Base,
    ProcessActivity,
    DetectionFinding,
    NetworkActivity,
    HttpActivity,
    DnsActivity,
}

impl Class {
    fn uid(self) -> u32 {
        match self {
            Self::Base => 0,
            Self::ProcessActivity => 1007,
            Self::DetectionFinding => 2004,
            Self::NetworkActivity => 4001,
            Self::HttpActivity => 4002,
            Self::DnsActivity => 4003,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Base => "Base Event",
            Self::ProcessActivity => "Process Activity",
            Self::DetectionFinding => "Detection Finding",
            Self::NetworkActivity => "Network Activity",
            Self::HttpActivity => "HTTP Activity",
            Self::DnsActivity => "DNS Activity",
        }
    }
}

/// How much an event matters to those who watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    Informational = 1,
    Low = 2,
    Medium = 3,
    High = 4,
}

const OTHER: u32 = 99;

/// The OCSF events of a line: one, and a finding after a refused abuse.
#[must_use]
pub fn events(line: &Line) -> Vec<Value> {
    let mut events = match &line.event {
        Event::Start(start) => vec![started(start)],
        Event::End(end) => vec![ended(end)],
        Event::Policy(change) => {
            let message = match &change.refused {
                None => format!("the policy {} is in force", change.policy_hash),
                Some(reason) => format!("a change of the policy was refused: {reason}"),
            };
            vec![other("policy", change.time.as_millisecond(), &message)]
        }
        Event::Decision(record) => {
            let finding = abuse(record).map(|severity| finding(record, severity));
            std::iter::once(activity(record)).chain(finding).collect()
        }
        Event::Rotated(event) => {
            let message = format!("the audit file is full and is now named {}", event.to);
            vec![other("rotated", event.time.as_millisecond(), &message)]
        }
        Event::Continued(event) => {
            let message = format!("the audit file goes on from {}", event.from);
            vec![other("continued", event.time.as_millisecond(), &message)]
        }
        Event::Other(event) => {
            let time = event.time.map_or(0, jiff::Timestamp::as_millisecond);
            vec![other(&event.event, time, "an event that this version does not know")]
        }
    };
    for event in &mut events {
        if let Some(seq) = line.seq {
            event["metadata"]["sequence"] = seq.into();
        }
    }
    events
}

fn base(class: Class, activity: u32, severity: Severity, time: i64, message: &str) -> Value {
    let uid = class.uid();
    json!({
        "activity_id": activity,
        "category_uid": uid / 1000,
        "class_uid": uid,
        "class_name": class.name(),
        "type_uid": uid * 100 + activity,
        "severity_id": severity as u32,
        "time": time,
        "message": message,
        "metadata": {
            "version": VERSION,
            "product": {
                "name": "Navigator",
                "vendor_name": "Navigator",
                "version": env!("CARGO_PKG_VERSION"),
            },
            "log_name": "audit",
        },
    })
}

/// Adds members to an object.
fn extend(event: &mut Value, more: Value) {
    if let (Value::Object(event), Value::Object(more)) = (event, more) {
        event.extend(more);
    }
}

fn other(kind: &str, time: i64, message: &str) -> Value {
    let mut event = base(Class::Base, OTHER, Severity::Informational, time, message);
    event["activity_name"] = kind.into();
    event
}

fn started(start: &Start) -> Value {
    let degraded = start.layers.iter().any(|layer| layer.degraded.is_some());
    let severity = if degraded { Severity::Medium } else { Severity::Informational };
    let message = format!("sandbox {} was started", start.sandbox_name);
    let mut event =
        base(Class::ProcessActivity, 1, severity, start.time.as_millisecond(), &message);
    extend(
        &mut event,
        json!({
            "actor": { "app_name": "navigator" },
            "device": device(&start.sandbox_id, &start.sandbox_name),
            "process": {
                "uid": start.sandbox_id,
                "name": base_name(&start.command),
                "file": file(&start.command),
            },
            "status_id": 1,
            "unmapped": {
                "policy_hash": start.policy_hash,
                "layers": start.layers,
                "limits": start.limits,
                "skipped": start.skipped,
            },
        }),
    );
    event
}

fn ended(end: &End) -> Value {
    let severity = if end.lost > 0 { Severity::High } else { Severity::Informational };
    let message = format!("sandbox {} ended: {}", end.sandbox_name, end.outcome);
    let mut event = base(Class::ProcessActivity, 2, severity, end.time.as_millisecond(), &message);
    extend(
        &mut event,
        json!({
            "actor": { "app_name": "navigator" },
            "device": device(&end.sandbox_id, &end.sandbox_name),
            "process": { "uid": end.sandbox_id },
            "status_id": if end.exit_code == Some(0) { 1 } else { 2 },
            "status_detail": end.outcome,
            "unmapped": { "lost": end.lost },
        }),
    );
    if let Some(code) = end.exit_code {
        event["exit_code"] = code.into();
    }
    event
}

fn activity(record: &AuditRecord) -> Value {
    let (class, activity) = match (&record.request, record.adapter) {
        (Some(request), _) => (Class::HttpActivity, method(&request.method)),
        (None, Adapter::Dns) => (Class::DnsActivity, 1),
        (None, Adapter::Connect | Adapter::HttpProxy | Adapter::Socks | Adapter::Transparent) => {
            (Class::NetworkActivity, connection(record.decision))
        }
    };
    let severity = match record.decision {
        AuditDecision::Allow => Severity::Informational,
        AuditDecision::WouldDeny | AuditDecision::Deny | AuditDecision::Revoke => {
            abuse(record).unwrap_or(Severity::Low)
        }
    };
    let mut event = base(class, activity, severity, record.time.as_millisecond(), &record.detail);
    extend(&mut event, control(record));
    extend(&mut event, ends(record));
    match (&record.request, class) {
        (Some(request), _) => {
            event["http_request"] = http_request(record, request);
            if activity == OTHER {
                event["activity_name"] = request.method.clone().into();
            }
        }
        (None, Class::DnsActivity) => event["query"] = json!({ "hostname": record.host }),
        (None, _) => {
            event["connection_info"] =
                json!({ "direction_id": 2, "protocol_num": 6, "protocol_name": "tcp" });
        }
    }
    identify(&mut event, record.id.to_string());
    event["unmapped"] = unmapped(record);
    event
}

fn identify(event: &mut Value, uid: String) {
    event["metadata"]["uid"] = uid.into();
    event["metadata"]["profiles"] = json!(["host", "security_control"]);
}

fn method(name: &str) -> u32 {
    match name {
        "CONNECT" => 1,
        "DELETE" => 2,
        "GET" => 3,
        "HEAD" => 4,
        "OPTIONS" => 5,
        "POST" => 6,
        "PUT" => 7,
        "TRACE" => 8,
        "PATCH" => 9,
        _ => OTHER,
    }
}

/// Open, reset or refuse.
fn connection(decision: AuditDecision) -> u32 {
    match decision {
        AuditDecision::Allow | AuditDecision::WouldDeny => 1,
        AuditDecision::Revoke => 3,
        AuditDecision::Deny => 5,
    }
}

/// What the security control did, by which rule (profile `security_control`).
fn control(record: &AuditRecord) -> Value {
    // Dispositions: 1 allowed, 2 blocked, 17 logged.
    let (action, disposition, status) = match record.decision {
        AuditDecision::Allow => (1, 1, 1),
        AuditDecision::WouldDeny => (1, 17, 1),
        AuditDecision::Deny | AuditDecision::Revoke => (2, 2, 2),
    };
    let mut control = json!({
        "action_id": action,
        "disposition_id": disposition,
        "status_id": status,
    });
    if let Some(rule) = &record.rule {
        control["firewall_rule"] = json!({ "name": rule });
    }
    if let Some(policy) = &record.policy {
        control["policy"] = json!({ "name": policy });
    }
    if let Some(reason) = &record.reason {
        control["status_code"] = reason.clone().into();
    }
    control
}

/// Who and where to (profile `host`).
fn ends(record: &AuditRecord) -> Value {
    let device = device(&record.sandbox_id, &record.sandbox_name);
    json!({
        "actor": actor(record.program.as_ref()),
        "src_endpoint": { "uid": record.sandbox_id, "name": record.sandbox_name },
        "dst_endpoint": endpoint(record),
        "device": device,
    })
}

fn endpoint(record: &AuditRecord) -> Value {
    let mut endpoint = Map::new();
    match record.host.parse::<std::net::IpAddr>() {
        Ok(address) => endpoint.insert("ip".into(), address.to_string().into()),
        Err(_) => endpoint.insert("hostname".into(), record.host.clone().into()),
    };
    endpoint.insert("port".into(), record.port.into());
    if let (false, [address, ..]) = (endpoint.contains_key("ip"), record.addresses.as_slice()) {
        endpoint.insert("ip".into(), address.to_string().into());
    }
    Value::Object(endpoint)
}

fn device(id: &str, name: &str) -> Value {
    // 6 is a virtual machine, the nearest that there is to a sandbox.
    json!({ "type_id": 6, "type": "Virtual", "uid": id, "name": name, "hostname": name })
}

fn actor(program: Option<&AuditProgram>) -> Value {
    let Some(program) = program else { return json!({ "app_name": "unidentified program" }) };
    let mut file = file(&program.executable);
    file["hashes"] =
        json!([{ "algorithm_id": 3, "algorithm": "SHA-256", "value": program.sha256 }]);
    json!({
        "process": {
            "pid": program.pid,
            "name": base_name(&program.executable),
            "file": file,
            "lineage": program.ancestors,
        },
    })
}

fn file(path: &str) -> Value {
    json!({ "name": base_name(path), "path": path, "type_id": 1 })
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn http_request(record: &AuditRecord, request: &AuditRequest) -> Value {
    json!({
        "http_method": request.method,
        "url": { "hostname": record.host, "port": record.port, "path": request.path },
    })
}

fn unmapped(record: &AuditRecord) -> Value {
    json!({
        "decision": record.decision,
        "decision_id": record.id,
        "adapter": record.adapter,
        "addresses": record.addresses,
        "parameters": record.request.as_ref().map(|request| &request.parameters),
        "scripts": record.program.as_ref().map(|program| &program.scripts),
        "how": record.how,
        "suggestion": record.suggestion,
    })
}

/// Whether a refusal is about an attempt to get around the policy, and not about a right that is merely missing.
fn abuse(record: &AuditRecord) -> Option<Severity> {
    match record.decision {
        AuditDecision::Allow | AuditDecision::Revoke => None,
        AuditDecision::Deny | AuditDecision::WouldDeny => match record.reason.as_deref() {
            Some("identity" | "address" | "fronting") => Some(Severity::High),
            Some("malformed" | "protocol" | "destination") => Some(Severity::Medium),
            Some(_) | None => None,
        },
    }
}

fn finding(record: &AuditRecord, severity: Severity) -> Value {
    let reason = record.reason.as_deref().unwrap_or_default();
    let time = record.time.as_millisecond();
    let did = match record.decision {
        AuditDecision::WouldDeny => "would refuse",
        AuditDecision::Allow | AuditDecision::Deny | AuditDecision::Revoke => "refused",
    };
    let mut finding = base(Class::DetectionFinding, 1, severity, time, &record.detail);
    extend(&mut finding, control(record));
    extend(
        &mut finding,
        json!({
            "status_id": 1,
            "is_alert": true,
            "device": device(&record.sandbox_id, &record.sandbox_name),
            "finding_info": {
                "uid": format!("{}-finding", record.id),
                "title": format!("Navigator {did} {}:{} ({reason})", record.host, record.port),
                "desc": record.detail,
                "types": [reason],
                "created_time": time,
                "analytic": { "type_id": 1, "name": format!("egress {reason}") },
            },
            "evidences": [{
                "actor": actor(record.program.as_ref()),
                "dst_endpoint": endpoint(record),
            }],
            "unmapped": unmapped(record),
        }),
    );
    identify(&mut finding, format!("{}-finding", record.id));
    finding
}

#[cfg(test)]
mod tests;
