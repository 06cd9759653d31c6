//! What the gateway is told of the sandbox on each connection, and the policy revision that is in force.

use std::sync::{Mutex, MutexGuard, PoisonError};

use navigator_policy::Policy;
use navigator_proto::datamodel::v1::{IsolationLayer, SkippedPath};
use navigator_proto::session::v1::{Hello, PolicyResult, PolicyRevision, Running, Welcome, hello};

use navigator_ssh::HostKey;

use crate::revisions::Revisions;
use crate::start::Started;

/// This program's version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where a sandbox stands.
pub(crate) struct Standing {
    running: Running,
    revisions: Revisions,
    policy: Mutex<Numbered>,
}

/// The policy in force.
struct Numbered {
    /// 0 until it has a number.
    version: u32,
    /// The policy that has no number yet.
    discovered: Option<Policy>,
}

impl Standing {
    /// A sandbox that was started under a policy; `version` is 0 when that was discovered.
    pub(crate) fn new(
        started: &Started,
        host_key: &HostKey,
        revisions: Revisions,
        version: u32,
        policy: &Policy,
    ) -> Self {
        let layers = started.layers().iter().map(|layer| IsolationLayer {
            name: layer.layer.clone(),
            degraded: layer.degraded.clone().unwrap_or_default(),
            detail: layer.detail.clone(),
        });
        let skipped_paths = started.skipped().iter().map(|skipped| SkippedPath {
            path: skipped.path.display().to_string(),
            reason: skipped.reason.clone(),
        });
        let running = Running {
            layers: layers.collect(),
            skipped_paths: skipped_paths.collect(),
            // Without it clients cannot know the server, and will not talk with it.
            ssh_host_key: host_key.public_line().unwrap_or_default(),
            ssh_host_key_fingerprint: host_key.fingerprint(),
        };
        let discovered = (version == 0).then(|| policy.clone());
        Self { running, revisions, policy: Mutex::new(Numbered { version, discovered }) }
    }

    /// What is said first on a connection.
    pub(crate) fn hello(&self) -> Hello {
        let policy = self.lock();
        Hello {
            version: VERSION.to_owned(),
            policy_version: policy.version,
            discovered_policy: policy.discovered.as_ref().map(Into::into),
            state: Some(hello::State::Running(self.running.clone())),
        }
    }

    /// Takes the number that a discovered policy got.
    pub(super) fn number(&self, welcome: &Welcome) {
        let mut policy = self.lock();
        if policy.discovered.is_some() && welcome.policy_version != 0 {
            *policy = Numbered { version: welcome.policy_version, discovered: None };
        }
    }

    /// Puts a revision into force, or says why it cannot be; then the one before stays.
    pub(super) fn put_into_force(&self, revision: &PolicyRevision) -> PolicyResult {
        let version = revision.version;
        let load_error = match self.apply(revision) {
            Ok(()) => {
                tracing::info!(version, "the policy revision is in force");
                *self.lock() = Numbered { version, discovered: None };
                String::new()
            }
            Err(reason) => {
                tracing::warn!(version, reason, "the policy revision was refused");
                reason
            }
        };
        PolicyResult { version, load_error }
    }

    fn apply(&self, revision: &PolicyRevision) -> Result<(), String> {
        let policy = revision.policy.clone().unwrap_or_default();
        let policy = Policy::try_from(&policy).map_err(|error| {
            let reason = error.to_string();
            self.revisions.note_unusable(&reason);
            reason
        })?;
        let in_force = self.revisions.put_into_force(&policy).map_err(|error| error.to_string())?;
        for port in in_force.only_by_proxy {
            tracing::warn!(port, "only programs that use the proxy reach this port");
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Numbered> {
        // What is written there is written at once.
        self.policy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
