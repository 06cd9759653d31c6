//! The smallest change of a policy that allows one thing more.

use crate::decide::{Caller, Decision, Destination};
use crate::host::Host;
use crate::model::{NetworkPolicy, Policy};
use crate::suggestion::{endpoint, free_key};
use crate::{AddressRefusal, CompiledPolicy, PathError, SandboxPath};

/// A right that no policy can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllowError {
    /// The program's path is none.
    #[error(transparent)]
    Binary(#[from] PathError),
    /// The address is never reachable.
    #[error(transparent)]
    Address(#[from] AddressRefusal),
}

impl Policy {
    /// Lets a program reach a host on a port, as an opaque tunnel, and nothing else. Returns whether anything had to
    /// change.
    ///
    /// A policy of its own is added, since a binary or endpoint added to another would give more: each binary there
    /// may reach each endpoint.
    pub fn allow(&mut self, binary: &str, host: &Host, port: u16) -> Result<bool, AllowError> {
        let binary = SandboxPath::parse(binary)?.as_str().to_owned();
        let to = Destination { host, port };
        let endpoint = endpoint(&to)?;
        let caller = Caller { executable: &binary, ancestors: &[], scripts: &[] };
        match CompiledPolicy::compile(self, &|_| None).decide(&caller, &to) {
            Decision::Tunnel(grant) | Decision::Inspect(grant) if grant.reaches(host) => {
                return Ok(false);
            }
            Decision::Tunnel(_)
            | Decision::Inspect(_)
            | Decision::Inference
            | Decision::Deny(_) => {}
        }
        let key = free_key(&to, |key| self.network.contains_key(key));
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
