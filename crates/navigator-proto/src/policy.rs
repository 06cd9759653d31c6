//! From a policy message to a policy and back.
//!
//! A message is written as the language's own document and read like a file, so that both have the same rules.

use std::collections::BTreeMap;

use navigator_policy::{Diagnostics, Effect, Endpoint, EndpointHost, Policy, Requests, Rule};
use serde_json::{Map, Value, json};

use crate::sandbox::v1 as wire;

/// A message that is no valid policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", words(.0))]
pub struct InvalidPolicy(Diagnostics);

/// Places in the message's text mean nothing to who sent the message; the keys do.
fn words(diagnostics: &Diagnostics) -> String {
    let one = |diagnostic: &navigator_policy::Diagnostic| {
        let help = diagnostic.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        match diagnostic.path.as_str() {
            "" => format!("{}{help}", diagnostic.message),
            path => format!("{path}: {}{help}", diagnostic.message),
        }
    };
    diagnostics.iter().map(one).collect::<Vec<_>>().join("; ")
}

impl TryFrom<&wire::SandboxPolicy> for Policy {
    type Error = InvalidPolicy;

    fn try_from(message: &wire::SandboxPolicy) -> Result<Self, InvalidPolicy> {
        let text = document(message).to_string();
        navigator_policy::load("policy", &text).map(|checked| checked.policy).map_err(InvalidPolicy)
    }
}

fn document(message: &wire::SandboxPolicy) -> Value {
    let mut policy = Fields::default();
    policy.put("version", if message.version == 0 { 1 } else { message.version });
    if let Some(files) = &message.filesystem {
        policy.put(
            "filesystem_policy",
            json!({
                "include_workdir": files.include_workdir,
                "read_only": files.read_only,
                "read_write": files.read_write,
            }),
        );
    }
    if let Some(landlock) = &message.landlock {
        let mut fields = Fields::default();
        fields.text("compatibility", &landlock.compatibility);
        policy.put("landlock", fields.0);
    }
    if let Some(process) = &message.process {
        let mut fields = Fields::default();
        fields.text("run_as_user", &process.run_as_user);
        fields.text("run_as_group", &process.run_as_group);
        policy.put("process", fields.0);
    }
    if !message.network_policies.is_empty() {
        let policies = message.network_policies.iter().map(|(key, rule)| (key, network(rule)));
        policy.put("network_policies", policies.collect::<BTreeMap<_, _>>());
    }
    if let Some(inference) = &message.inference {
        policy.put("inference", inference_document(inference));
    }
    Value::Object(policy.0)
}

/// The fields of a map; what a message leaves out is left out.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put<V: serde::Serialize>(&mut self, name: &str, value: V) {
        // Text, numbers, lists and maps with text keys can always be written.
        self.0.insert(name.to_owned(), serde_json::to_value(value).unwrap_or_default());
    }

    fn text(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.put(name, value);
        }
    }
}

fn network(rule: &wire::NetworkPolicyRule) -> Value {
    let mut fields = Fields::default();
    fields.text("name", &rule.name);
    fields.put("endpoints", rule.endpoints.iter().map(endpoint).collect::<Vec<_>>());
    let binaries = rule.binaries.iter().map(|binary| json!({ "path": binary.path }));
    fields.put("binaries", binaries.collect::<Vec<_>>());
    Value::Object(fields.0)
}

fn endpoint(endpoint: &wire::NetworkEndpoint) -> Value {
    let mut fields = Fields::default();
    fields.text("host", &endpoint.host);
    if endpoint.port != 0 || endpoint.ports.is_empty() {
        fields.put("port", endpoint.port);
    }
    if !endpoint.ports.is_empty() {
        fields.put("ports", &endpoint.ports);
    }
    fields.text("protocol", &endpoint.protocol);
    fields.text("tls", &endpoint.tls);
    fields.text("enforcement", &endpoint.enforcement);
    fields.text("access", &endpoint.access);
    if !endpoint.rules.is_empty() {
        fields.put("rules", endpoint.rules.iter().map(rule).collect::<Vec<_>>());
    }
    if !endpoint.allowed_ips.is_empty() {
        fields.put("allowed_ips", &endpoint.allowed_ips);
    }
    Value::Object(fields.0)
}

fn rule(rule: &wire::L7Rule) -> Value {
    let mut fields = Fields::default();
    for (effect, matched) in [("allow", &rule.allow), ("deny", &rule.deny)] {
        let Some(matched) = matched else { continue };
        let mut parts = Fields::default();
        parts.text("method", &matched.method);
        parts.text("path", &matched.path);
        parts.text("command", &matched.command);
        if !matched.query.is_empty() {
            parts.put("query", &matched.query);
        }
        fields.put(effect, parts.0);
    }
    Value::Object(fields.0)
}

fn inference_document(inference: &wire::InferencePolicy) -> Value {
    let mut fields = Fields::default();
    fields.put("allowed_routes", &inference.allowed_routes);
    if !inference.api_patterns.is_empty() {
        let patterns = inference.api_patterns.iter().map(|pattern| {
            let mut fields = Fields::default();
            fields.text("method", &pattern.method);
            fields.text("path_glob", &pattern.path_glob);
            fields.text("protocol", &pattern.protocol);
            fields.text("kind", &pattern.kind);
            fields.0
        });
        fields.put("api_patterns", patterns.collect::<Vec<_>>());
    }
    Value::Object(fields.0)
}

impl From<&Policy> for wire::SandboxPolicy {
    fn from(policy: &Policy) -> Self {
        let paths = |list: &[navigator_policy::SandboxPath]| {
            list.iter().map(|path| path.as_str().to_owned()).collect()
        };
        Self {
            version: policy.version,
            filesystem: Some(wire::FilesystemPolicy {
                include_workdir: policy.filesystem.include_workdir,
                read_only: paths(&policy.filesystem.read_only),
                read_write: paths(&policy.filesystem.read_write),
            }),
            landlock: Some(wire::LandlockPolicy {
                compatibility: word(&policy.landlock.compatibility),
            }),
            process: Some(wire::ProcessPolicy {
                run_as_user: policy.process.run_as_user.clone(),
                run_as_group: policy.process.run_as_group.clone(),
            }),
            network_policies: policy
                .network
                .iter()
                .map(|(key, network)| (key.clone(), network_message(network)))
                .collect(),
            inference: policy.inference.as_ref().map(|inference| wire::InferencePolicy {
                allowed_routes: inference.allowed_routes.clone(),
                api_patterns: inference.api_patterns.iter().map(pattern_message).collect(),
            }),
        }
    }
}

/// The word that the language has for a value.
fn word<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}

fn network_message(network: &navigator_policy::NetworkPolicy) -> wire::NetworkPolicyRule {
    wire::NetworkPolicyRule {
        name: network.name.clone(),
        endpoints: network.endpoints.iter().map(endpoint_message).collect(),
        binaries: network
            .binaries
            .iter()
            .map(|path| wire::NetworkBinary { path: path.clone(), ..Default::default() })
            .collect(),
    }
}

fn endpoint_message(endpoint: &Endpoint) -> wire::NetworkEndpoint {
    let (port, ports) = match endpoint.ports.as_slice() {
        [one] => (u32::from(*one), vec![]),
        several => (0, several.iter().map(|port| u32::from(*port)).collect()),
    };
    let (access, rules) = match &endpoint.requests {
        None => (String::new(), vec![]),
        Some(Requests::Access(preset)) => (preset.name().to_owned(), vec![]),
        Some(Requests::Rules(rules)) => (String::new(), rules.iter().map(rule_message).collect()),
    };
    wire::NetworkEndpoint {
        host: match &endpoint.host {
            None => String::new(),
            Some(EndpointHost::Exact(host)) => host.to_string(),
            Some(EndpointHost::Below(pattern)) => pattern.to_string(),
        },
        port,
        protocol: endpoint.protocol.as_ref().map(word).unwrap_or_default(),
        tls: endpoint.tls.as_ref().map(word).unwrap_or_default(),
        enforcement: endpoint.protocol.map(|_| word(&endpoint.enforcement)).unwrap_or_default(),
        access,
        rules,
        allowed_ips: endpoint.allowed_ips.iter().map(ToString::to_string).collect(),
        ports,
    }
}

fn rule_message(rule: &Rule) -> wire::L7Rule {
    let matched = wire::L7Allow {
        method: rule.method.clone(),
        path: rule.path.clone(),
        command: rule.command.clone().unwrap_or_default(),
        query: rule.query.clone(),
    };
    match rule.effect {
        Effect::Allow => wire::L7Rule { allow: Some(matched), deny: None },
        Effect::Deny => wire::L7Rule { allow: None, deny: Some(matched) },
    }
}

fn pattern_message(pattern: &navigator_policy::ApiPattern) -> wire::InferenceApiPattern {
    wire::InferenceApiPattern {
        method: pattern.method.clone(),
        path_glob: pattern.path_glob.clone(),
        protocol: pattern.protocol.clone(),
        kind: pattern.kind.clone(),
    }
}

#[cfg(test)]
mod tests;
