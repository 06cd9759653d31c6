//! Revisions of a sandbox's policy: which are taken, how they reach the sandbox, what became of them.

use std::sync::Arc;

use navigator_policy::Policy;
use navigator_proto::session::v1::{PolicyRevision, to_supervisor};
use uuid::Uuid;

use crate::failure::Failure;
use crate::gateway::{Gateway, now};
use crate::live::{Attached, Live};
use crate::records::{Desired, Revision, RevisionStatus, Severity};

/// Longest reason of a failed revision, in bytes.
const REASON_BYTES: usize = 4096;

impl Gateway {
    /// Takes a new policy for a sandbox, which gets it at once when it is connected. The same policy again is no new
    /// version.
    pub(crate) async fn update_policy(
        self: &Arc<Self>,
        name: &str,
        policy: Policy,
        expected_version: u32,
    ) -> Result<(u32, String), Failure> {
        let (gateway, id) = (Arc::clone(self), self.named(name).await?.id);
        self.whole(async move { gateway.take_policy(id, policy, expected_version).await }).await
    }

    async fn take_policy(
        &self,
        id: Uuid,
        policy: Policy,
        expected_version: u32,
    ) -> Result<(u32, String), Failure> {
        let live = self.live(id);
        let _held = live.lifecycle.lock().await;
        let Some(sandbox) = self.store.sandbox(id).await? else {
            self.hub.forget(id);
            return Err(Failure::missing("sandbox", id));
        };
        if sandbox.desired == Desired::Deleted {
            return Err(Failure::Precondition("the sandbox is being deleted".into()));
        }
        let newest = self.store.newest_revision(sandbox.id).await?.ok_or_else(|| {
            Failure::Precondition("the sandbox has no policy yet; wait until it is ready".into())
        })?;
        if expected_version != 0 && expected_version != newest.version {
            return Err(Failure::Conflict);
        }
        let hash = policy.hash().to_string();
        if hash == newest.hash {
            return Ok((newest.version, hash));
        }
        self.check_change(sandbox.id, &policy).await?;
        let revision = Revision {
            version: newest.version + 1,
            hash: hash.clone(),
            policy,
            status: RevisionStatus::Pending,
            created_at: now(),
            loaded_at: None,
        };
        self.store.add_revision(sandbox.id, &revision, newest.version).await?;
        let version = revision.version;
        if let Some(session) = live.session.get() {
            push(&session, revision);
        }
        self.note(&live, Severity::Normal, "PolicyUpdated", &format!("policy version {version}"))
            .await;
        Ok((version, hash))
    }

    /// Refuses what cannot change while a sandbox lives.
    async fn check_change(&self, id: Uuid, policy: &Policy) -> Result<(), Failure> {
        let first =
            self.store.revision(id, 1).await?.ok_or_else(|| Failure::missing("policy", id))?;
        if let Some(field) = first.policy.static_difference(policy) {
            return Err(Failure::Invalid(format!(
                "`{field}` cannot be changed on a live sandbox; make another one to change it"
            )));
        }
        if first.policy.mode() != policy.mode() {
            return Err(Failure::Invalid(
                "whether there is any network cannot be changed on a live sandbox; make another one to change it"
                    .into(),
            ));
        }
        Ok(())
    }

    /// Gives a supervisor that has just connected what it missed.
    pub(crate) async fn push_newest_policy(
        &self,
        live: &Live,
        session: &Attached,
        in_force: u32,
    ) -> Result<(), Failure> {
        if let Some(newest) = self.store.newest_revision(live.id).await?
            && newest.version > in_force
            && newest.status == RevisionStatus::Pending
        {
            push(session, newest);
        }
        Ok(())
    }

    /// The revision that a sandbox should have: the newest, unless it has failed.
    pub(crate) async fn policy_to_deliver(&self, id: Uuid) -> Result<Option<Revision>, Failure> {
        match self.store.newest_revision(id).await? {
            Some(newest) if newest.status == RevisionStatus::Pending => Ok(Some(newest)),
            Some(_) | None => self.policy_in_force(id).await,
        }
    }

    /// Notes what became of a revision.
    pub(crate) async fn policy_result(
        &self,
        live: &Live,
        version: u32,
        mut error: String,
    ) -> Result<(), Failure> {
        error.truncate(error.floor_char_boundary(REASON_BYTES));
        let _held = live.lifecycle.lock().await;
        if self.store.revision(live.id, version).await?.is_none() {
            return Err(Failure::missing("policy version", version));
        }
        if !error.is_empty() {
            let failed = RevisionStatus::Failed(error.clone());
            if self.store.settle_revision(live.id, version, &failed, now()).await? {
                let message = format!("policy version {version} is not in force: {error}");
                self.note(live, Severity::Warning, "PolicyFailed", &message).await;
            }
            return Ok(());
        }
        if !self.store.settle_revision(live.id, version, &RevisionStatus::Loaded, now()).await? {
            return Err(Failure::Precondition(format!("policy version {version} is not pending")));
        }
        if let Some(mut sandbox) = self.store.sandbox(live.id).await?
            && sandbox.policy_in_force < version
        {
            sandbox.policy_in_force = version;
            self.save(live, &mut sandbox).await?;
        }
        let message = format!("policy version {version} is in force");
        self.note(live, Severity::Normal, "PolicyLoaded", &message).await;
        Ok(())
    }
}

fn push(session: &Attached, revision: Revision) {
    let policy = Some((&revision.policy).into());
    let message = PolicyRevision { version: revision.version, policy };
    if !session.send(to_supervisor::Message::Policy(message)) {
        // It stays pending and is sent when the supervisor connects again.
        tracing::warn!(version = revision.version, "a supervisor takes no messages");
    }
}
