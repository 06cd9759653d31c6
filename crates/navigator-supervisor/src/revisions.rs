//! Newer revisions of a running sandbox's policy: what may change, and how it comes into force.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use navigator_egress::{EgressContext, SandboxLabel};
use navigator_policy::{CompiledPolicy, Policy, PolicyHash};

use crate::audit::{Event, PolicyChange};
use crate::audit_log::AuditLog;
use crate::start::real_path;

/// A revision that cannot come into force; the one before stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevisionError {
    /// It changes what is fixed when a sandbox starts.
    #[error("`{0}` cannot be changed on a live sandbox; start another one to change it")]
    Static(&'static str),
    /// It would give network to a sandbox without, or take it away.
    #[error(
        "whether there is any network cannot be changed on a live sandbox; start another one to change it"
    )]
    Mode,
}

/// A revision that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// Its canonical hash.
    pub hash: PolicyHash,
    /// Ports that only programs that use the proxy reach: the others' connections are captured on the ports that
    /// were known at the start.
    pub only_by_proxy: Vec<u16>,
}

/// Puts revisions of one sandbox's policy into force. May be used from any thread.
pub struct Revisions {
    sandbox: SandboxLabel,
    audit: Arc<AuditLog>,
    in_force: Mutex<PolicyHash>,
    first: Policy,
    captured: Vec<u16>,
    /// None without network: nothing there can change.
    egress: Option<(Arc<EgressContext>, OwnedFd)>,
}

impl Revisions {
    pub(crate) fn new(
        sandbox: SandboxLabel,
        audit: Arc<AuditLog>,
        first: Policy,
        captured: Vec<u16>,
        egress: Option<(Arc<EgressContext>, OwnedFd)>,
    ) -> Self {
        let in_force = Mutex::new(first.hash());
        Self { sandbox, audit, in_force, first, captured, egress }
    }

    /// Puts a revision into force at once: new requests are decided by it, and connections whose right is gone
    /// are closed.
    ///
    /// # Errors
    /// [`RevisionError`] when it changes what a live sandbox cannot change; nothing changes then.
    pub fn put_into_force(&self, policy: &Policy) -> Result<InForce, RevisionError> {
        let result = self.apply(policy);
        match &result {
            Ok(in_force) => self.record(Some(in_force.hash.clone()), None),
            Err(error) => self.record(None, Some(error.to_string())),
        }
        result
    }

    /// Records that a revision could not even be read.
    pub fn note_unusable(&self, reason: &str) {
        self.record(None, Some(reason.to_owned()));
    }

    fn record(&self, hash: Option<PolicyHash>, refused: Option<String>) {
        let mut in_force = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hash) = hash {
            *in_force = hash;
        }
        self.audit.append(&Event::Policy(PolicyChange {
            time: jiff::Timestamp::now(),
            sandbox_id: self.sandbox.id.clone(),
            sandbox_name: self.sandbox.name.clone(),
            policy_hash: in_force.to_string(),
            refused,
        }));
    }

    fn apply(&self, policy: &Policy) -> Result<InForce, RevisionError> {
        if let Some(field) = self.first.static_difference(policy) {
            return Err(RevisionError::Static(field));
        }
        if self.first.mode() != policy.mode() {
            return Err(RevisionError::Mode);
        }
        let mut only_by_proxy = vec![];
        if let Some((context, root)) = &self.egress {
            let compiled = CompiledPolicy::compile(policy, &|path| real_path(root, path));
            let ports = compiled.ports().iter().copied();
            only_by_proxy = ports.filter(|port| !self.captured.contains(port)).collect();
            context.replace_policy(compiled);
        }
        Ok(InForce { hash: policy.hash(), only_by_proxy })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Policy {
        navigator_policy::load("test", &format!("version: 1\n{text}")).unwrap().policy
    }

    const NETWORK: &str = "network_policies: { a: { endpoints: [{ host: a.example, port: 443 }], \
                           binaries: [{ path: /usr/bin/curl }] } }\n";

    #[test]
    fn what_is_fixed_at_the_start_cannot_change() {
        let dir = tempfile::tempdir().unwrap();
        let audit = Arc::new(AuditLog::open(&dir.path().join("audit.jsonl")).unwrap());
        let sandbox = SandboxLabel { id: "1".into(), name: "test".into() };
        let revisions = Revisions::new(sandbox, audit, policy(NETWORK), vec![443], None);
        for (text, field) in [
            ("filesystem_policy: { read_only: [/usr] }\n", "filesystem_policy"),
            ("landlock: { compatibility: best_effort }\n", "landlock"),
            ("process: { run_as_user: other }\n", "process"),
        ] {
            let changed = policy(&format!("{NETWORK}{text}"));
            assert_eq!(revisions.put_into_force(&changed), Err(RevisionError::Static(field)));
        }
        assert_eq!(revisions.put_into_force(&policy("")), Err(RevisionError::Mode));
        assert!(revisions.put_into_force(&policy(NETWORK)).is_ok());
    }
}
