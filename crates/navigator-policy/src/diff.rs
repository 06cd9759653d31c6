//! What one policy allows that another does not.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::model::{EndpointHost, Policy, Requests};

/// The difference between two policies, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PolicyDiff {
    /// What the second allows and the first does not.
    pub allowed: Vec<String>,
    /// What the first allows and the second does not.
    pub denied: Vec<String>,
}

impl PolicyDiff {
    /// Whether both allow the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.allowed.is_empty() && self.denied.is_empty()
    }
}

/// Compares two policies right by right.
#[must_use]
pub fn diff(before: &Policy, after: &Policy) -> PolicyDiff {
    let (before, after) = (rights(before), rights(after));
    PolicyDiff {
        allowed: after.difference(&before).cloned().collect(),
        denied: before.difference(&after).cloned().collect(),
    }
}

/// Every single right that a policy gives.
fn rights(policy: &Policy) -> BTreeSet<String> {
    let files = &policy.filesystem;
    let mut rights = BTreeSet::new();
    rights.extend(files.read_only.iter().map(|path| format!("read {path}")));
    rights.extend(files.read_write.iter().map(|path| format!("write {path}")));
    if files.include_workdir {
        rights.insert("write the working directory".into());
    }
    rights.insert(format!("landlock: {:?}", policy.landlock.compatibility));
    let process = &policy.process;
    rights.insert(format!("run as {}:{}", process.run_as_user, process.run_as_group));
    for network in policy.network.values() {
        for endpoint in &network.endpoints {
            let host = match &endpoint.host {
                Some(EndpointHost::Exact(host)) => host.to_string(),
                Some(EndpointHost::Below(pattern)) => pattern.to_string(),
                None => "any name".into(),
            };
            let within = match endpoint.allowed_ips.as_slice() {
                [] => String::new(),
                nets => {
                    let nets: Vec<String> = nets.iter().map(ToString::to_string).collect();
                    format!(" in {}", nets.join(","))
                }
            };
            for port in &endpoint.ports {
                for binary in &network.binaries {
                    let connection = format!("{binary} → {host}:{port}{within}");
                    for request in requests(endpoint) {
                        rights.insert(format!("{connection}{request}"));
                    }
                }
            }
        }
    }
    if let Some(inference) = &policy.inference {
        rights.extend(inference.allowed_routes.iter().map(|route| format!("model route {route}")));
    }
    rights
}

fn requests(endpoint: &crate::model::Endpoint) -> Vec<String> {
    let Some(protocol) = endpoint.protocol else { return vec![String::new()] };
    let how = format!("{protocol:?}, {:?}", endpoint.enforcement).to_lowercase();
    match &endpoint.requests {
        None => vec![format!(" ({how})")],
        Some(Requests::Access(preset)) => vec![format!(" ({how}: {preset:?})")],
        Some(Requests::Rules(rules)) => rules
            .iter()
            .map(|rule| {
                format!(
                    " ({how}: {:?} {} {} {:?})",
                    rule.effect, rule.method, rule.path, rule.query
                )
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Policy {
        crate::load("p", text).unwrap().policy
    }

    #[test]
    fn a_policy_does_not_differ_from_itself() {
        let one = policy("version: 1\nfilesystem_policy: { read_only: [/usr, /bin] }\n");
        let other = policy("version: 1\nfilesystem_policy: { read_only: [/bin/, //usr] }\n");
        assert!(diff(&one, &other).is_empty());
    }

    #[test]
    fn a_new_port_is_newly_allowed() {
        let with = |ports: &str| {
            policy(&format!(
                "version: 1\nnetwork_policies:\n  a:\n    endpoints: [{{ host: a.example, ports: {ports} }}]\n    binaries: [{{ path: /b }}]\n"
            ))
        };
        let found = diff(&with("[80]"), &with("[80, 443]"));
        assert_eq!(found.allowed, ["/b → a.example:443"]);
        assert!(found.denied.is_empty());
    }
}
