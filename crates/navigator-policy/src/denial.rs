//! Why something is denied, in words. Made only when needed.

use serde::Serialize;

use crate::compile::{CompiledPolicy, CompiledRule, Entry};
use crate::decide::{Caller, Destination, Grant, Request};
use crate::suggestion::{self, Suggestion};

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
    /// What would allow it, where something can.
    pub suggestion: Option<Suggestion>,
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

pub(crate) fn block(policy: &CompiledPolicy, caller: &Caller<'_>, to: &Destination<'_>) -> Denial {
    Denial {
        policy: None,
        rule: None,
        reason: DenialReason::Block,
        detail: format!(
            "{} wants {}:{} and this sandbox has no network",
            caller.executable, to.host, to.port
        ),
        suggestion: suggestion::new_policy(policy, caller, to),
    }
}

pub(crate) fn connection(
    policy: &CompiledPolicy,
    caller: &Caller<'_>,
    to: &Destination<'_>,
) -> Denial {
    let (program, host, port) = (caller.executable, to.host, to.port);
    let known = || policy.matching_host(to.host).map(|(_, entry)| entry);
    if let Some(entry) = known().find(|entry| entry.endpoint.ports.contains(&port)) {
        let detail =
            format!("{host}:{port} is allowed by policy `{}` and not for {program}", entry.policy);
        return near(
            entry,
            DenialReason::Binary,
            detail,
            suggestion::add_binary(entry, caller, to),
        );
    }
    if let Some(entry) = known().next() {
        let ports =
            entry.endpoint.ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let detail = format!(
            "{program} wants {host}:{port}; policy `{}` allows {host} on port {ports} only",
            entry.policy
        );
        return near(entry, DenialReason::Port, detail, suggestion::new_policy(policy, caller, to));
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
        Some(entry) => suggestion::add_endpoint(entry, caller, to),
        None => suggestion::new_policy(policy, caller, to),
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
    grant: &Grant<'_>,
    denied: Option<&CompiledRule>,
    request: &Request<'_>,
) -> Denial {
    let policy = grant.policy_name();
    let (method, path) = (request.method, request.path.path());
    let (rule, detail) = match denied {
        Some(rule) => (
            rule.label.clone(),
            format!("{method} {path} is denied by rule `{}` of policy `{}`", rule.label, policy),
        ),
        None => (
            format!("{method} {path}"),
            format!("no rule of policy `{policy}` allows {method} {path}"),
        ),
    };
    Denial {
        policy: Some(policy.to_owned()),
        rule: Some(rule),
        reason: DenialReason::Request,
        detail,
        suggestion: suggestion::request(grant, request),
    }
}

/// A WebSocket handshake at an endpoint for something else.
pub(crate) fn upgrade(grant: &Grant<'_>, request: &Request<'_>) -> Denial {
    let (policy, rule) = (grant.policy_name().to_owned(), grant.rule().to_owned());
    let path = request.path.path();
    Denial {
        detail: format!("{rule} of policy `{policy}` takes no WebSocket, which {path} asks for"),
        policy: Some(policy),
        rule: Some(rule),
        reason: DenialReason::Request,
        suggestion: suggestion::websocket(grant),
    }
}

fn near(
    entry: &Entry,
    reason: DenialReason,
    detail: String,
    suggestion: Option<Suggestion>,
) -> Denial {
    let (policy, rule) = (Some(entry.policy.clone()), Some(entry.rule.clone()));
    Denial { policy, rule, reason, detail, suggestion }
}
