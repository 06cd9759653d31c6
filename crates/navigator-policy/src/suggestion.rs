//! The smallest change of a policy that would allow what was denied. There is none where every change would be an
//! error, or where it could not be written without saying more than what was asked.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::canonical::{Part, fragment};
use crate::compile::{CompiledPolicy, CompiledRule, Entry};
use crate::decide::{Caller, Destination, Grant, Request};
use crate::host::Host;
use crate::model::{
    AccessPreset, Effect, Endpoint, EndpointHost, Enforcement, Protocol, Requests, Rule,
};
use crate::visible::is_visible;
use crate::{AddressRefusal, SandboxPath, check_address};

/// What would allow it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Suggestion {
    /// The command that makes the change.
    pub how: String,
    /// The smallest YAML to add; what replaces something says so in a comment.
    pub yaml: String,
    /// The change in a sentence.
    pub sentence: String,
}

/// The endpoint that means one destination as an opaque tunnel, and nothing else.
pub(crate) fn endpoint(to: &Destination<'_>) -> Result<Endpoint, AddressRefusal> {
    let allowed_ips = match to.host {
        Host::Name(_) => vec![],
        Host::Address(address) => match check_address(*address, &[]) {
            Ok(()) => vec![],
            // A private address is reached only where it is listed.
            Err(AddressRefusal::Private { address, .. }) => vec![address.into()],
            Err(refusal) => return Err(refusal),
        },
    };
    Ok(Endpoint {
        host: Some(EndpointHost::Exact(to.host.clone())),
        ports: vec![to.port],
        protocol: None,
        tls: None,
        enforcement: Enforcement::default(),
        requests: None,
        allowed_ips,
    })
}

/// A key for a new policy, made of the host's letters.
pub(crate) fn free_key(to: &Destination<'_>, taken: impl Fn(&str) -> bool) -> String {
    let text = to.host.to_string();
    let letters: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let key = format!("{}_{}", letters.trim_matches('_'), to.port);
    let numbered = (2..u32::MAX).map(|number| format!("{key}_{number}"));
    std::iter::once(key.clone()).chain(numbered).find(|key| !taken(key)).unwrap_or(key)
}

pub(crate) fn add_binary(
    entry: &Entry,
    caller: &Caller<'_>,
    to: &Destination<'_>,
) -> Option<Suggestion> {
    let binary = binary(caller)?;
    let part = Part { endpoints: vec![], binary: Some(&binary) };
    Some(Suggestion {
        how: how(&binary, to),
        yaml: fragment(&BTreeMap::from([(entry.key.as_str(), part)])),
        sentence: format!("add {binary} to the binaries of policy `{}`", entry.key),
    })
}

pub(crate) fn add_endpoint(
    entry: &Entry,
    caller: &Caller<'_>,
    to: &Destination<'_>,
) -> Option<Suggestion> {
    let part = Part { endpoints: vec![endpoint(to).ok()?], binary: None };
    Some(Suggestion {
        how: how(&binary(caller)?, to),
        yaml: fragment(&BTreeMap::from([(entry.key.as_str(), part)])),
        sentence: format!("add {}:{} to the endpoints of policy `{}`", to.host, to.port, entry.key),
    })
}

pub(crate) fn new_policy(
    policy: &CompiledPolicy,
    caller: &Caller<'_>,
    to: &Destination<'_>,
) -> Option<Suggestion> {
    let binary = binary(caller)?;
    let key = free_key(to, |key| policy.entries.iter().any(|entry| entry.key == key));
    let part = Part { endpoints: vec![endpoint(to).ok()?], binary: Some(&binary) };
    Some(Suggestion {
        how: how(&binary, to),
        yaml: fragment(&BTreeMap::from([(key.as_str(), part)])),
        sentence: format!("add a policy that allows {binary} to reach {}:{}", to.host, to.port),
    })
}

/// Endpoints as they must read so that a request passes: without the rules that deny it, and with one that allows it.
/// A preset gives way to the rules that it stands for, since the next wider one would allow far more.
pub(crate) fn request(grant: &Grant<'_>, request: &Request<'_>) -> Option<Suggestion> {
    let method = request.method.to_ascii_uppercase();
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'+-.^_`|~".contains(c);
    if method.is_empty() || !method.chars().all(token) {
        return None;
    }
    let rule = Rule::allow(&method, &pattern(request.path.path())?);
    let hit =
        |compiled: &CompiledRule, effect| compiled.effect == effect && compiled.matches(request);
    let mut allowed =
        grant.entries().any(|entry| entry.rules.iter().any(|rule| hit(rule, Effect::Allow)));
    let mut changes = BTreeMap::<&str, Part<'_>>::new();
    let (mut replaced, mut steps) = (vec![], vec![]);
    for entry in grant.entries() {
        let denies = |rule: &CompiledRule| hit(rule, Effect::Deny);
        if allowed && !entry.rules.iter().any(denies) {
            continue;
        }
        let mut rules = match entry.endpoint.requests.clone()? {
            Requests::Access(preset) => {
                steps.push(instead_of(preset, &method));
                preset.rules()
            }
            Requests::Rules(rules) => {
                let kept = rules.into_iter().zip(&entry.rules).filter(|(_, rule)| !denies(rule));
                kept.map(|(rule, _)| rule).collect()
            }
        };
        let removed = entry.rules.iter().filter(|rule| denies(rule));
        steps.extend(removed.map(|rule| format!("remove the rule that denies `{}`", rule.label)));
        if !allowed || rules.is_empty() {
            steps.push(format!("allow {method} {}", rule.path));
            rules.push(rule.clone());
            allowed = true;
        }
        let changed = Endpoint { requests: Some(Requests::Rules(rules)), ..entry.endpoint.clone() };
        changes.entry(&entry.key).or_default().endpoints.push(changed);
        replaced.push(format!("{} of policy `{}`", entry.rule, entry.key));
    }
    let (replaced, steps) = (replaced.join(" and "), steps.join(" and "));
    Some(Suggestion {
        how: format!("change the endpoint {replaced} as `navigator policy why` shows"),
        yaml: format!("# in place of the endpoint {replaced}\n{}", fragment(&changes)),
        sentence: format!("in the endpoint {replaced} {steps}"),
    })
}

/// The endpoint as it must read to take WebSockets.
pub(crate) fn websocket(grant: &Grant<'_>) -> Option<Suggestion> {
    let entry = grant.entries().next()?;
    let changed = Endpoint { protocol: Some(Protocol::Websocket), ..entry.endpoint.clone() };
    let part = Part { endpoints: vec![changed], binary: None };
    let replaced = format!("{} of policy `{}`", entry.rule, entry.key);
    Some(Suggestion {
        how: format!("change the endpoint {replaced} as `navigator policy why` shows"),
        yaml: format!(
            "# in place of the endpoint {replaced}\n{}",
            fragment(&BTreeMap::from([(entry.key.as_str(), part)]))
        ),
        sentence: format!("in the endpoint {replaced} set `protocol: websocket`"),
    })
}

fn instead_of(preset: AccessPreset, method: &str) -> String {
    let wider = [AccessPreset::ReadWrite, AccessPreset::Full]
        .into_iter()
        .find(|wider| wider.methods().iter().any(|allowed| [method, "*"].contains(allowed)))
        .unwrap_or(AccessPreset::Full);
    format!(
        "write rules instead of `access: {}` (`access: {}` would allow {method} on every path)",
        preset.name(),
        wider.name()
    )
}

/// The pattern for one path. A star in it would mean more than itself, a question mark stands for one character.
pub(crate) fn pattern(path: &str) -> Option<String> {
    path.chars().all(is_visible).then(|| path.replace('*', "?"))
}

fn binary(caller: &Caller<'_>) -> Option<String> {
    let path = SandboxPath::parse(caller.executable).ok()?;
    (path.as_str() == caller.executable).then(|| pattern(path.as_str())).flatten()
}

fn how(binary: &str, to: &Destination<'_>) -> String {
    let host = match to.host {
        Host::Name(name) => name.to_string(),
        Host::Address(address) => address.to_string(),
    };
    let binary = shell_word(binary);
    format!("navigator policy allow FILE --host {host} --port {} --binary {binary}", to.port)
}

fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}
