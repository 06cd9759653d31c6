//! A sandbox as people and programs see it. Values of its environment may be secrets and are not shown.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use navigator_proto::datamodel::v1::{Sandbox, SandboxPhase};
use serde::Serialize;

use super::listing::Listed;
use crate::output::line;

/// A sandbox.
#[derive(Serialize)]
pub struct SandboxView {
    id: String,
    name: String,
    phase: &'static str,
    created_at: String,
    policy_version: u32,
    restarts: u32,
    root: String,
    labels: BTreeMap<String, String>,
    providers: Vec<String>,
    /// Names only.
    environment: Vec<String>,
    mounts: Vec<MountView>,
    conditions: Vec<ConditionView>,
    layers: Vec<LayerView>,
    skipped_paths: Vec<SkippedView>,
    #[serde(skip)]
    age: String,
    #[serde(skip)]
    why: String,
}

#[derive(Serialize)]
struct MountView {
    source: String,
    destination: String,
    read_only: bool,
}

#[derive(Serialize)]
struct ConditionView {
    r#type: String,
    status: String,
    reason: String,
    message: String,
    since: String,
}

#[derive(Serialize)]
struct LayerView {
    name: String,
    enforced: bool,
    degraded: String,
    detail: String,
}

#[derive(Serialize)]
struct SkippedView {
    path: String,
    reason: String,
}

impl From<Sandbox> for SandboxView {
    fn from(sandbox: Sandbox) -> Self {
        let (phase, why) = (phase(&sandbox), why(&sandbox));
        let spec = sandbox.spec.unwrap_or_default();
        let template = spec.template.unwrap_or_default();
        let status = sandbox.status.unwrap_or_default();
        let names = spec.environment.into_keys().chain(template.environment.into_keys());
        let mounts = spec.mounts.into_iter().map(|mount| MountView {
            source: mount.source,
            destination: mount.destination,
            read_only: mount.read_only,
        });
        let layers = status.layers.into_iter().map(|layer| LayerView {
            name: layer.name,
            enforced: layer.degraded.is_empty(),
            degraded: layer.degraded,
            detail: layer.detail,
        });
        let conditions = status.conditions.into_iter().map(|condition| ConditionView {
            r#type: condition.r#type,
            status: condition.status,
            reason: condition.reason,
            message: condition.message,
            since: condition.last_transition_time,
        });
        let skipped = status
            .skipped_paths
            .into_iter()
            .map(|skipped| SkippedView { path: skipped.path, reason: skipped.reason });
        Self {
            id: sandbox.id,
            name: sandbox.name,
            phase,
            created_at: time(sandbox.created_at_ms),
            policy_version: sandbox.current_policy_version,
            restarts: status.restarts,
            root: template.image,
            labels: template.labels,
            providers: spec.providers,
            environment: names.collect(),
            mounts: mounts.collect(),
            conditions: conditions.collect(),
            layers: layers.collect(),
            skipped_paths: skipped.collect(),
            age: age(sandbox.created_at_ms),
            why,
        }
    }
}

impl Listed for SandboxView {
    const COLUMNS: &'static [&'static str] = &["NAME", "PHASE", "AGE", "POLICY", "NOTE"];

    fn cells(&self) -> Vec<String> {
        let version = match self.policy_version {
            0 => "-".to_owned(),
            version => version.to_string(),
        };
        let note = if self.phase == "ready" { String::new() } else { self.why.clone() };
        vec![self.name.clone(), self.phase.to_owned(), self.age.clone(), version, note]
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl SandboxView {
    /// What does not change as time goes by, to tell whether something has.
    pub fn mark(&self) -> (String, String) {
        (self.id.clone(), format!("{} {} {}", self.phase, self.policy_version, self.why))
    }

    /// The sandbox for people.
    pub fn text(&self) -> String {
        let mut lines = vec![
            format!("name      {}", self.name),
            format!("id        {}", self.id),
            format!("phase     {}", self.phase),
            format!("created   {} ({} ago)", self.created_at, self.age),
            format!("policy    version {}", self.policy_version),
            format!("restarts  {}", self.restarts),
        ];
        let mut more = |name: &str, text: String| {
            if !text.is_empty() {
                lines.push(format!("{name:<9} {text}"));
            }
        };
        let pairs = self.labels.iter().map(|(key, value)| format!("{key}={value}"));
        more("root", self.root.clone());
        more("labels", pairs.collect::<Vec<_>>().join(" "));
        more("providers", self.providers.join(" "));
        more("env", self.environment.join(" "));
        for mount in &self.mounts {
            let access = if mount.read_only { " (read only)" } else { "" };
            more("mount", format!("{} at {}{access}", mount.source, mount.destination));
        }
        for condition in &self.conditions {
            let said = said(&condition.reason, &condition.message);
            more("condition", format!("{} {}  {said}", condition.r#type, condition.status));
        }
        for layer in &self.layers {
            let state = match layer.enforced {
                true => format!("enforced: {}", layer.detail),
                false => format!("degraded: {}", layer.degraded),
            };
            more("layer", format!("{}: {state}", layer.name));
        }
        for skipped in &self.skipped_paths {
            more("skipped", format!("{}: {}", skipped.path, skipped.reason));
        }
        lines.iter().map(|text| line(text)).collect::<Vec<_>>().join("\n")
    }
}

fn said(reason: &str, message: &str) -> String {
    match (reason, message) {
        (reason, "") => reason.to_owned(),
        ("", message) => message.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    }
}

/// Why a sandbox is where it is.
pub fn why(sandbox: &Sandbox) -> String {
    let mut conditions = sandbox.status.iter().flat_map(|status| &status.conditions);
    let newest = conditions.rfind(|condition| condition.status != "True");
    newest.map_or_else(String::new, |condition| said(&condition.reason, &condition.message))
}

/// The word for where a sandbox is.
pub fn phase(sandbox: &Sandbox) -> &'static str {
    match SandboxPhase::try_from(sandbox.phase) {
        Ok(SandboxPhase::Provisioning) => "provisioning",
        Ok(SandboxPhase::Ready) => "ready",
        Ok(SandboxPhase::Error) => "error",
        Ok(SandboxPhase::Deleting) => "deleting",
        Ok(SandboxPhase::Stopped) => "stopped",
        Ok(SandboxPhase::Unknown | SandboxPhase::Unspecified) | Err(_) => "unknown",
    }
}

/// A moment that the gateway tells.
pub fn time(millis: i64) -> String {
    match Timestamp::from_millisecond(millis) {
        Ok(time) if millis != 0 => time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        Ok(_) | Err(_) => "-".to_owned(),
    }
}

/// How long ago something was.
pub fn age(millis: i64) -> String {
    // A clock that runs ahead of this one makes things of the future; they are new.
    let past = Timestamp::now().as_millisecond().saturating_sub(millis);
    let seconds = Duration::from_millis(u64::try_from(past).unwrap_or(0)).as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
