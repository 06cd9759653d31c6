//! Why something is denied, in words, and the smallest change that would allow it. Made only when needed.

use serde::Serialize;

use crate::compile::{CompiledPolicy, CompiledRule, Entry};
use crate::decide::{Caller, Destination, Request};

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Denial {
    /// The policy that came nearest.
    pub policy: Option<String>,
    /// The endpoint or rule that came nearest.
    pub rule: Option<String>,
    /// What did not match.
    pub reason: DenialReason,
    /// The same in a sentence that names host, port and program.
    pub detail: String,
    /// What would allow it.
    pub suggestion: Suggestion,
}

/// What did not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DenialReason {
    /// No endpoint means the host.
    Host,
    /// The host is known, the port is not.
    Port,
    /// Host and port are known, the program is not.
    Binary,
    /// The sandbox has no network.
    Block,
    /// The request.
    Request,
}

/// What would allow it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Suggestion {
    /// The command that makes the change.
    pub how: String,
    /// The smallest YAML to add.
    pub yaml: String,
    /// The change in a sentence.
    pub sentence: String,
}

pub(crate) fn block(caller: &Caller<'_>, to: &Destination<'_>) -> Denial {
    Denial {
        policy: None,
        rule: None,
        reason: DenialReason::Block,
        detail: format!(
            "{} wants {}:{} and this sandbox has no network",
            caller.executable, to.host, to.port
        ),
        suggestion: new_policy(caller, to),
    }
}

pub(crate) fn connection(
    policy: &CompiledPolicy,
    caller: &Caller<'_>,
    to: &Destination<'_>,
) -> Denial {
    let (program, host, port) = (caller.executable, to.host, to.port);
    let known = || policy.matching_host(to.host).map(|(_, entry)| entry);
    if let Some(entry) = known().find(|entry| entry.ports.contains(&port)) {
        let detail =
            format!("{host}:{port} is allowed by policy `{}` and not for {program}", entry.policy);
        return near(entry, DenialReason::Binary, detail, add_binary(entry, caller, to));
    }
    if let Some(entry) = known().next() {
        let ports = entry.ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let detail = format!(
            "{program} wants {host}:{port}; policy `{}` allows {host} on port {ports} only",
            entry.policy
        );
        return near(entry, DenialReason::Port, detail, new_policy(caller, to));
    }
    let admits = policy.entries.iter().find(|entry| entry.admits(caller));
    let detail = match admits {
        Some(entry) => format!(
            "no policy allows {host}:{port}; {program} is allowed {} by policy `{}`",
            entry.rule, entry.policy
        ),
        None => format!("no policy allows {host}:{port}, and none names {program}"),
    };
    let suggestion = match admits {
        Some(entry) => add_endpoint(entry, caller, to),
        None => new_policy(caller, to),
    };
    Denial {
        policy: admits.map(|entry| entry.policy.clone()),
        rule: admits.map(|entry| entry.rule.clone()),
        reason: DenialReason::Host,
        detail,
        suggestion,
    }
}

pub(crate) fn request(
    entry: &Entry,
    denied: Option<&CompiledRule>,
    request: &Request<'_>,
) -> Denial {
    let (method, path) = (request.method, request.path.path());
    let (rule, detail) = match denied {
        Some(rule) => (
            rule.label.clone(),
            format!(
                "{method} {path} is denied by rule `{}` of policy `{}`",
                rule.label, entry.policy
            ),
        ),
        None => (
            format!("{method} {path}"),
            format!("no rule of policy `{}` allows {method} {path}", entry.policy),
        ),
    };
    let yaml = format!("rules:\n  - allow: {{ method: {method}, path: {} }}\n", quoted(path));
    let suggestion = Suggestion {
        how: format!(
            "navigator policy explain FILE, then allow {method} {path} in `{}`",
            entry.key
        ),
        sentence: format!("allow {method} {path} in policy `{}`", entry.key),
        yaml,
    };
    Denial {
        policy: Some(entry.policy.clone()),
        rule: Some(rule),
        reason: DenialReason::Request,
        detail,
        suggestion,
    }
}

/// A WebSocket handshake at an endpoint for something else.
pub(crate) fn upgrade(entry: &Entry, request: &Request<'_>) -> Denial {
    let detail = format!(
        "{} of policy `{}` takes no WebSocket, which {} asks for",
        entry.rule,
        entry.policy,
        request.path.path()
    );
    let suggestion = Suggestion {
        how: format!(
            "navigator policy explain FILE, then set `protocol: websocket` in `{}`",
            entry.key
        ),
        sentence: format!("set `protocol: websocket` for {} in policy `{}`", entry.rule, entry.key),
        yaml: "protocol: websocket\n".to_owned(),
    };
    near(entry, DenialReason::Request, detail, suggestion)
}

fn near(entry: &Entry, reason: DenialReason, detail: String, suggestion: Suggestion) -> Denial {
    let (policy, rule) = (Some(entry.policy.clone()), Some(entry.rule.clone()));
    Denial { policy, rule, reason, detail, suggestion }
}

fn how(caller: &Caller<'_>, to: &Destination<'_>) -> String {
    let host = match to.host {
        crate::host::Host::Name(name) => name.to_string(),
        crate::host::Host::Address(address) => address.to_string(),
    };
    let binary = shell_word(caller.executable);
    format!("navigator policy allow FILE --host {host} --port {} --binary {binary}", to.port)
}

fn add_binary(entry: &Entry, caller: &Caller<'_>, to: &Destination<'_>) -> Suggestion {
    let binary = quoted(caller.executable);
    Suggestion {
        how: how(caller, to),
        yaml: format!(
            "network_policies:\n  {}:\n    binaries:\n      - {{ path: {binary} }}\n",
            entry.key
        ),
        sentence: format!("add {} to the binaries of policy `{}`", caller.executable, entry.key),
    }
}

fn add_endpoint(entry: &Entry, caller: &Caller<'_>, to: &Destination<'_>) -> Suggestion {
    let endpoint = endpoint(to);
    Suggestion {
        how: how(caller, to),
        yaml: format!("network_policies:\n  {}:\n    endpoints:\n      - {endpoint}\n", entry.key),
        sentence: format!("add {}:{} to the endpoints of policy `{}`", to.host, to.port, entry.key),
    }
}

fn new_policy(caller: &Caller<'_>, to: &Destination<'_>) -> Suggestion {
    let (key, endpoint, binary) = (key(to), endpoint(to), quoted(caller.executable));
    Suggestion {
        how: how(caller, to),
        yaml: format!(
            "network_policies:\n  {key}:\n    endpoints:\n      - {endpoint}\n    binaries:\n      - {{ path: {binary} }}\n"
        ),
        sentence: format!(
            "add a policy that allows {} to reach {}:{}",
            caller.executable, to.host, to.port
        ),
    }
}

fn endpoint(to: &Destination<'_>) -> String {
    match to.host {
        crate::host::Host::Name(name) => format!("{{ host: {name}, port: {} }}", to.port),
        crate::host::Host::Address(address) => {
            format!("{{ host: \"{address}\", port: {} }}", to.port)
        }
    }
}

/// A key for a new policy, made of the host's letters.
pub(crate) fn key(to: &Destination<'_>) -> String {
    let text = to.host.to_string();
    let key: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!("{}_{}", key.trim_matches('_'), to.port)
}

/// A YAML double-quoted scalar; JSON strings are those.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}
