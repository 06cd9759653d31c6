//! The smallest change of a policy that allows one thing more.

use crate::decide::{Caller, Decision, Destination};
use crate::denial;
use crate::host::Host;
use crate::model::{Endpoint, EndpointHost, Enforcement, NetworkPolicy, Policy};
use crate::{CompiledPolicy, PathError, SandboxPath};

impl Policy {
    /// Lets a program reach a host on a port, as an opaque tunnel, and nothing else. Returns whether anything had to
    /// change.
    ///
    /// A policy of its own is added, since a binary or endpoint added to another would give more: each binary there
    /// may reach each endpoint.
    pub fn allow(&mut self, binary: &str, host: &Host, port: u16) -> Result<bool, PathError> {
        let binary = SandboxPath::parse(binary)?.as_str().to_owned();
        let to = Destination { host, port };
        let caller = Caller { executable: &binary, ancestors: &[], scripts: &[] };
        match CompiledPolicy::compile(self, &|_| None).decide(&caller, &to) {
            Decision::Tunnel(_) | Decision::Inspect(_) => return Ok(false),
            Decision::Inference | Decision::Deny(_) => {}
        }
        let key = self.free_key(&denial::key(&to));
        let endpoint = Endpoint {
            host: Some(EndpointHost::Exact(host.clone())),
            ports: vec![port],
            protocol: None,
            tls: None,
            enforcement: Enforcement::default(),
            requests: None,
            allowed_ips: vec![],
        };
        let policy =
            NetworkPolicy { name: key.clone(), endpoints: vec![endpoint], binaries: vec![binary] };
        self.network.insert(key, policy);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_asked_for_is_allowed() {
        let mut policy = Policy::restrictive_default();
        let host = Host::parse("a.example").unwrap();
        assert_eq!(policy.allow("/usr/bin/curl", &host, 443), Ok(true));
        assert_eq!(policy.allow("/usr/bin/curl", &host, 443), Ok(false));
        assert_eq!(policy.allow("/usr/bin/git", &host, 443), Ok(true));
        assert_eq!(policy.network.len(), 2);
        let again = crate::load("again", &policy.to_yaml()).unwrap().policy;
        assert_eq!(again, policy);
        let compiled = CompiledPolicy::compile(&policy, &|_| None);
        let ask = |binary, port| {
            let caller = Caller { executable: binary, ancestors: &[], scripts: &[] };
            matches!(
                compiled.decide(&caller, &Destination { host: &host, port }),
                Decision::Tunnel(_)
            )
        };
        assert!(ask("/usr/bin/curl", 443) && ask("/usr/bin/git", 443));
        assert!(!ask("/usr/bin/curl", 80) && !ask("/usr/bin/wget", 443));
    }
}
