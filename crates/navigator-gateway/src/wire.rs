//! From what the gateway keeps to what its clients see, and the small parts of the way back.

use std::collections::BTreeMap;

use navigator_policy::Policy;
use navigator_proto::REDACTED;
use navigator_proto::datamodel::v1 as data;
use navigator_proto::inference::v1 as inference;
use navigator_proto::session::v1 as session;
use navigator_proto::v1 as api;
use prost_types::{ListValue, Struct, Value, value::Kind};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::failure::Failure;
use crate::live::log::Wanted;
use crate::live::{Level, Line, Source};
use crate::records::{
    Condition, Millis, Page, Phase, PlatformEvent, Provider, Revision, RevisionStatus, Route,
    Sandbox, Severity, Spec,
};

/// The namespace of every sandbox.
const NAMESPACE: &str = "default";
/// Entries of a list when the client does not say.
const DEFAULT_LIMIT: u32 = 100;
/// Most entries of a list.
const LARGEST_LIMIT: u32 = 1000;
/// Longest text of a failure that a supervisor reports, in bytes.
const FAILURE_BYTES: usize = 8 * 1024;

/// A part of a list, as a client asks for it.
pub(crate) fn page(limit: u32, offset: u32) -> Page {
    let limit = if limit == 0 { DEFAULT_LIMIT } else { limit.min(LARGEST_LIMIT) };
    Page { limit, offset }
}

/// A sandbox with the policy that it has.
pub(crate) fn sandbox(sandbox: &Sandbox, policy: Option<&Policy>) -> data::Sandbox {
    data::Sandbox {
        id: sandbox.id.to_string(),
        name: sandbox.name.to_string(),
        namespace: NAMESPACE.into(),
        spec: Some(spec(&sandbox.spec, policy)),
        status: Some(data::SandboxStatus {
            sandbox_name: sandbox.name.to_string(),
            conditions: sandbox.conditions.iter().map(condition).collect(),
            layers: sandbox.layers.iter().map(layer).collect(),
            skipped_paths: sandbox
                .skipped
                .iter()
                .map(|(path, reason)| data::SkippedPath {
                    path: path.clone(),
                    reason: reason.clone(),
                })
                .collect(),
            restarts: sandbox.restarts,
            ..Default::default()
        }),
        phase: phase(sandbox.phase).into(),
        created_at_ms: sandbox.created_at,
        current_policy_version: sandbox.policy_in_force,
    }
}

/// What was asked for.
pub(crate) fn spec(spec: &Spec, policy: Option<&Policy>) -> data::SandboxSpec {
    let template = &spec.template;
    data::SandboxSpec {
        log_level: spec.log_level.clone(),
        environment: spec.environment.clone(),
        template: Some(data::SandboxTemplate {
            image: template.image.clone(),
            runtime_class_name: template.runtime_class_name.clone(),
            agent_socket: template.agent_socket.clone(),
            labels: template.labels.clone(),
            annotations: template.annotations.clone(),
            environment: template.environment.clone(),
            resources: template.resources.as_ref().and_then(structure),
            pod_template: template.pod_template.as_ref().and_then(structure),
            volume_claim_templates: template.volume_claim_templates.as_ref().and_then(structure),
        }),
        policy: policy.map(Into::into),
        providers: spec.providers.iter().map(ToString::to_string).collect(),
        mounts: spec
            .mounts
            .iter()
            .map(|mount| data::Mount {
                source: mount.source.to_string_lossy().into_owned(),
                destination: mount.destination.to_string_lossy().into_owned(),
                read_only: mount.read_only,
            })
            .collect(),
    }
}

fn condition(condition: &Condition) -> data::SandboxCondition {
    data::SandboxCondition {
        r#type: condition.kind.clone(),
        status: condition.status.clone(),
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        last_transition_time: jiff::Timestamp::from_millisecond(condition.since)
            .map(|time| time.to_string())
            .unwrap_or_default(),
    }
}

fn layer(layer: &crate::records::Layer) -> data::IsolationLayer {
    data::IsolationLayer {
        name: layer.name.clone(),
        degraded: layer.degraded.clone().unwrap_or_default(),
        detail: layer.detail.clone(),
    }
}

fn phase(phase: Phase) -> data::SandboxPhase {
    match phase {
        Phase::Provisioning => data::SandboxPhase::Provisioning,
        Phase::Ready => data::SandboxPhase::Ready,
        Phase::Error => data::SandboxPhase::Error,
        Phase::Deleting => data::SandboxPhase::Deleting,
        Phase::Unknown => data::SandboxPhase::Unknown,
        Phase::Stopped => data::SandboxPhase::Stopped,
    }
}

/// A phase's name for programs.
pub(crate) fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Provisioning => "provisioning",
        Phase::Ready => "ready",
        Phase::Error => "error",
        Phase::Deleting => "deleting",
        Phase::Unknown => "unknown",
        Phase::Stopped => "stopped",
    }
}

/// A phase in a sentence.
pub(crate) fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Provisioning => "being started",
        Phase::Ready => "ready",
        Phase::Error => "in error",
        Phase::Deleting => "being deleted",
        Phase::Unknown => "in an unknown state",
        Phase::Stopped => "stopped",
    }
}

/// A revision of a policy.
pub(crate) fn revision(revision: &Revision) -> api::SandboxPolicyRevision {
    let (status, load_error) = match &revision.status {
        RevisionStatus::Pending => (api::PolicyStatus::Pending, ""),
        RevisionStatus::Loaded => (api::PolicyStatus::Loaded, ""),
        RevisionStatus::Failed(reason) => (api::PolicyStatus::Failed, reason.as_str()),
        RevisionStatus::Superseded => (api::PolicyStatus::Superseded, ""),
    };
    api::SandboxPolicyRevision {
        version: revision.version,
        policy_hash: revision.hash.clone(),
        status: status.into(),
        load_error: load_error.to_owned(),
        created_at_ms: revision.created_at,
        loaded_at_ms: revision.loaded_at.unwrap_or_default(),
        policy: Some((&revision.policy).into()),
    }
}

/// A provider without its secrets.
pub(crate) fn provider(provider: &Provider) -> data::Provider {
    let hidden = |name: &String| (name.clone(), REDACTED.to_owned());
    data::Provider {
        id: provider.id.to_string(),
        name: provider.name.to_string(),
        r#type: provider.kind.clone(),
        credentials: provider.credentials.keys().map(hidden).collect(),
        config: provider.config.clone(),
    }
}

/// A route without its key.
pub(crate) fn route(route: &Route) -> inference::InferenceRoute {
    let hidden = if route.api_key.expose().is_empty() { "" } else { REDACTED };
    inference::InferenceRoute {
        id: route.id.to_string(),
        name: route.name.to_string(),
        spec: Some(inference::InferenceRouteSpec {
            routing_hint: route.routing_hint.clone(),
            base_url: route.base_url.clone(),
            protocols: route.protocols.clone(),
            api_key: hidden.to_owned(),
            model_id: route.model_id.clone(),
            enabled: route.enabled,
        }),
    }
}

/// A line of a log.
pub(crate) fn line(id: Uuid, line: &Line) -> api::SandboxLogLine {
    api::SandboxLogLine {
        sandbox_id: id.to_string(),
        timestamp_ms: line.at,
        level: line.level.name().to_owned(),
        target: line.target.clone(),
        message: line.message.clone(),
        source: line.source.name().to_owned(),
        fields: line.fields.clone(),
    }
}

/// A line that a sandbox sent: its time and level are believed, who it is from is known.
pub(crate) fn pushed_line(line: api::SandboxLogLine) -> Line {
    Line {
        at: line.timestamp_ms,
        level: Level::parse(&line.level).unwrap_or(Level::Info),
        source: Source::Sandbox,
        target: line.target,
        message: line.message,
        fields: line.fields,
    }
    .bounded()
}

/// Something that happened.
pub(crate) fn event(event: &PlatformEvent) -> api::PlatformEvent {
    let severity = match event.severity {
        Severity::Normal => "Normal",
        Severity::Warning => "Warning",
    };
    api::PlatformEvent {
        timestamp_ms: event.at,
        source: event.source.clone(),
        r#type: severity.to_owned(),
        reason: event.reason.clone(),
        message: event.message.clone(),
        metadata: event.metadata.clone(),
    }
}

/// Which lines of a log a client wants.
pub(crate) fn wanted(since: Millis, sources: &[String], level: &str) -> Result<Wanted, Failure> {
    let source = |name: &String| match name.as_str() {
        "gateway" => Ok(Source::Gateway),
        "sandbox" => Ok(Source::Sandbox),
        _ => Err(Failure::Invalid("a source is `gateway` or `sandbox`".into())),
    };
    let level = match level {
        "" => None,
        level => Some(Level::parse(level).ok_or_else(|| {
            Failure::Invalid("a level is ERROR, WARN, INFO, DEBUG or TRACE".into())
        })?),
    };
    Ok(Wanted { since, sources: sources.iter().map(source).collect::<Result<_, _>>()?, level })
}

/// A supervisor's failure, not longer than people read.
pub(crate) fn bounded_failure(mut failure: session::Failure) -> session::Failure {
    for text in [&mut failure.reason, &mut failure.message] {
        text.truncate(text.floor_char_boundary(FAILURE_BYTES));
    }
    failure
}

/// A JSON object as a protobuf one; nothing for any other value.
pub(crate) fn structure(json: &Json) -> Option<Struct> {
    let Json::Object(fields) = json else { return None };
    let fields = fields.iter().map(|(name, json)| (name.clone(), value(json)));
    Some(Struct { fields: fields.collect::<BTreeMap<_, _>>() })
}

fn value(json: &Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(*value),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(list) => {
            Kind::ListValue(ListValue { values: list.iter().map(value).collect() })
        }
        Json::Object(_) => Kind::StructValue(structure(json).unwrap_or_default()),
    };
    Value { kind: Some(kind) }
}

/// A protobuf object as JSON; `None` when it is nested deeper than `depth` or holds what JSON has not.
pub(crate) fn json(structure: &Struct, depth: usize) -> Option<Json> {
    let depth = depth.checked_sub(1)?;
    let fields = structure.fields.iter();
    let fields = fields.map(|(name, value)| Some((name.clone(), json_value(value, depth)?)));
    fields.collect::<Option<serde_json::Map<_, _>>>().map(Json::Object)
}

fn json_value(value: &Value, depth: usize) -> Option<Json> {
    Some(match value.kind.as_ref()? {
        Kind::NullValue(_) => Json::Null,
        Kind::BoolValue(value) => Json::Bool(*value),
        Kind::NumberValue(number) => Json::Number(serde_json::Number::from_f64(*number)?),
        Kind::StringValue(text) => Json::String(text.clone()),
        Kind::ListValue(list) => {
            let depth = depth.checked_sub(1)?;
            let values = list.values.iter().map(|value| json_value(value, depth));
            Json::Array(values.collect::<Option<_>>()?)
        }
        Kind::StructValue(structure) => json(structure, depth)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_structures_are_the_same() {
        let before = serde_json::json!({ "a": [1.5, "x", null, { "b": true }], "c": {} });
        let message = structure(&before).unwrap();
        assert_eq!(json(&message, 8), Some(before));
        assert_eq!(json(&message, 2), None, "too deep");
        assert_eq!(structure(&serde_json::json!([])), None);
    }

    #[test]
    fn pages_are_bounded() {
        assert_eq!(page(0, 7), Page { limit: 100, offset: 7 });
        assert_eq!(page(u32::MAX, 0).limit, 1000);
        assert_eq!(page(3, 0).limit, 3);
    }
}
