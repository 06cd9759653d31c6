//! Sandboxes come, stop, start and go: what should be is recorded first, then made so.

mod condition;
mod launch;
mod unasked;

use std::sync::Arc;

use uuid::Uuid;

use crate::failure::Failure;
use crate::gateway::{Gateway, now};
use crate::live::{Change, Live};
use crate::names::{all_taken, candidates};
use crate::reconcile::Astray;
use crate::records::{Desired, Name, Phase, Revision, RevisionStatus, Sandbox, Severity, Spec};
use crate::store::StoreError;
use condition::exposed;
pub(crate) use condition::{ready, set};
use navigator_policy::Policy;

impl Gateway {
    /// Makes a sandbox and starts it. When that fails, nothing is left of it.
    pub(crate) async fn create(
        self: &Arc<Self>,
        name: &str,
        spec: Spec,
        policy: Option<Policy>,
        changes_of: Option<Uuid>,
    ) -> Result<Sandbox, Failure> {
        let (gateway, wanted) = (Arc::clone(self), name.to_owned());
        self.whole(async move { gateway.make(&wanted, spec, policy, changes_of).await }).await
    }

    /// Does to its end what was begun, also when the caller leaves: a part of it would be worse than none or all.
    pub(crate) async fn whole<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        let done = self.tasks.spawn(work).await;
        done.unwrap_or_else(|_| Err(Failure::Unavailable("the gateway is ending".into())))
    }

    async fn make(
        self: &Arc<Self>,
        wanted: &str,
        spec: Spec,
        policy: Option<Policy>,
        changes_of: Option<Uuid>,
    ) -> Result<Sandbox, Failure> {
        self.check_providers(&spec).await?;
        if self.store.count_sandboxes().await? >= self.most_sandboxes {
            let most = self.most_sandboxes;
            return Err(Failure::Exhausted(format!(
                "there are {most} sandboxes, which is the limit"
            )));
        }
        let id = Uuid::now_v7();
        let created = match changes_of {
            None => self.record(id, wanted, spec, policy).await?,
            Some(from) => self.record_copy(id, from, wanted, spec, policy).await?,
        };
        if let Err(error) = self.converge(id).await {
            if let Err(error) = self.undo(id).await {
                let error = &error as &dyn std::error::Error;
                tracing::error!(sandbox = %id, error, "failed to remove a sandbox that was not made");
                self.report(Astray::Unwanted(id));
            }
            return Err(error);
        }
        self.store.sandbox(id).await?.ok_or_else(|| Failure::missing("sandbox", created.name))
    }

    async fn check_providers(&self, spec: &Spec) -> Result<(), Failure> {
        let found = self.store.providers_by_name(&spec.providers).await?;
        let missing =
            spec.providers.iter().find(|name| !found.iter().any(|have| have.name == **name));
        match missing {
            None => Ok(()),
            Some(name) => Err(Failure::Precondition(format!("there is no provider `{name}`"))),
        }
    }

    /// Copies first: a record is of a sandbox that could be started at any moment. What has none is removed by the next
    /// gateway.
    async fn record_copy(
        &self,
        id: Uuid,
        from: Uuid,
        wanted: &str,
        spec: Spec,
        policy: Option<Policy>,
    ) -> Result<Sandbox, Failure> {
        let recorded = match self.driver.copy_changes(from, id).await {
            Ok(()) => self.record(id, wanted, spec, policy).await,
            Err(error) => Err(error.into()),
        };
        if recorded.is_err()
            && let Err(error) = self.driver.delete(id).await
        {
            let error = &error as &dyn std::error::Error;
            tracing::error!(sandbox = %id, error, "a copy of a sandbox stays until the next start");
        }
        recorded
    }

    async fn record(
        &self,
        id: Uuid,
        wanted: &str,
        spec: Spec,
        policy: Option<Policy>,
    ) -> Result<Sandbox, Failure> {
        let first = policy.map(first_revision);
        for name in candidates(wanted)? {
            let sandbox = new_record(id, name, spec.clone());
            match self.store.create_sandbox(&sandbox, first.as_ref()).await {
                Ok(()) => return Ok(sandbox),
                Err(StoreError::NameTaken) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(all_taken("sandbox", wanted))
    }

    /// Removes a sandbox that could not be made.
    pub(crate) async fn undo(self: &Arc<Self>, id: Uuid) -> Result<(), Failure> {
        match self.wish(id, Desired::Deleted).await {
            // Somebody else has removed it.
            Ok(()) | Err(Failure::NotFound { .. }) => self.converge(id).await,
            Err(error) => Err(error),
        }
    }

    /// Ends everything in a sandbox; `/sandbox` stays.
    pub(crate) async fn stop(self: &Arc<Self>, name: &str) -> Result<Sandbox, Failure> {
        self.desire(name, Desired::Stopped).await
    }

    /// Starts a sandbox that is stopped or failed.
    pub(crate) async fn start(self: &Arc<Self>, name: &str) -> Result<Sandbox, Failure> {
        self.desire(name, Desired::Running).await
    }

    /// Ends a sandbox and removes everything of it.
    pub(crate) async fn delete(self: &Arc<Self>, name: &str) -> Result<(), Failure> {
        self.desire(name, Desired::Deleted).await.map(drop)
    }

    async fn desire(self: &Arc<Self>, name: &str, desired: Desired) -> Result<Sandbox, Failure> {
        let sandbox = self.named(name).await?;
        let (gateway, id) = (Arc::clone(self), sandbox.id);
        self.whole(async move {
            gateway.wish(id, desired).await?;
            if desired == Desired::Running {
                gateway.report(Astray::Wanted(id));
            }
            gateway.converge(id).await.inspect_err(|_| gateway.report(Astray::Differs(id)))
        })
        .await?;
        match desired {
            Desired::Deleted => Ok(sandbox),
            Desired::Running | Desired::Stopped => {
                self.store.sandbox(id).await?.ok_or_else(|| Failure::missing("sandbox", name))
            }
        }
    }

    /// Records what should be.
    async fn wish(&self, id: Uuid, desired: Desired) -> Result<(), Failure> {
        let live = self.live(id);
        let _held = live.lifecycle.lock().await;
        let found = self.store.sandbox(id).await?;
        let mut sandbox = found.ok_or_else(|| Failure::missing("sandbox", id))?;
        if sandbox.desired == Desired::Deleted && desired != Desired::Deleted {
            return Err(Failure::Precondition("the sandbox is being deleted".into()));
        }
        sandbox.desired = desired;
        match desired {
            Desired::Deleted => {
                sandbox.phase = Phase::Deleting;
                sandbox.token_hash = None;
            }
            // Its supervisor keeps its credential until it has ended: the wish may change before that.
            Desired::Stopped | Desired::Running => {}
        }
        self.save(&live, &mut sandbox).await
    }

    /// Has a sandbox looked after later.
    pub(crate) fn report(&self, astray: Astray) {
        // Fails only when the gateway ends, and the next one looks at every sandbox.
        let _ended = self.astray.send(astray);
    }

    /// Makes a sandbox what it should be. May be repeated at any time.
    pub(crate) async fn converge(self: &Arc<Self>, id: Uuid) -> Result<(), Failure> {
        let live = self.live(id);
        let _held = live.lifecycle.lock().await;
        let Some(sandbox) = self.store.sandbox(id).await? else {
            self.driver.delete(id).await?;
            self.hub.forget(id);
            return Ok(());
        };
        match sandbox.desired {
            Desired::Running => self.bring_up(&live, sandbox).await,
            Desired::Stopped => self.bring_down(&live, sandbox).await,
            Desired::Deleted => self.remove(&live, sandbox).await,
        }
    }

    async fn bring_up(&self, live: &Live, mut sandbox: Sandbox) -> Result<(), Failure> {
        if self.driver.runs(sandbox.id).await? {
            return Ok(());
        }
        let (workload, token_hash) = self.workload(&sandbox).await?;
        sandbox.token_hash = Some(token_hash);
        sandbox.phase = Phase::Provisioning;
        set(&mut sandbox.conditions, ready("False", "Starting", "its supervisor is being started"));
        self.save(live, &mut sandbox).await?;
        self.driver.start(workload).await?;
        self.note(live, Severity::Normal, "Starting", "the supervisor was started").await;
        Ok(())
    }

    async fn bring_down(&self, live: &Live, mut sandbox: Sandbox) -> Result<(), Failure> {
        self.driver.stop(sandbox.id).await?;
        live.session.close();
        if sandbox.phase != Phase::Stopped || sandbox.token_hash.is_some() {
            sandbox.phase = Phase::Stopped;
            sandbox.token_hash = None;
            set(&mut sandbox.conditions, ready("False", "Stopped", "it was stopped"));
            self.save(live, &mut sandbox).await?;
            self.note(live, Severity::Normal, "Stopped", "the sandbox was stopped").await;
        }
        Ok(())
    }

    async fn remove(&self, live: &Live, sandbox: Sandbox) -> Result<(), Failure> {
        self.driver.delete(sandbox.id).await?;
        live.session.close();
        self.store.remove_sandbox(sandbox.id).await?;
        live.watchers.tell(|| Change::Sandbox(None));
        self.hub.forget(sandbox.id);
        tracing::info!(sandbox = %sandbox.id, name = %sandbox.name, "deleted");
        Ok(())
    }
}

fn new_record(id: Uuid, name: Name, spec: Spec) -> Sandbox {
    let mut conditions = vec![];
    set(&mut conditions, ready("False", "Created", "it was asked for"));
    if !spec.providers.is_empty() {
        set(&mut conditions, exposed());
    }
    Sandbox {
        id,
        name,
        spec,
        desired: Desired::Running,
        phase: Phase::Provisioning,
        conditions,
        layers: vec![],
        skipped: vec![],
        restarts: 0,
        created_at: now(),
        policy_in_force: 0,
        token_hash: None,
        record_version: 0,
    }
}

/// Version 1 of a policy.
pub(crate) fn first_revision(policy: Policy) -> Revision {
    Revision {
        version: 1,
        hash: policy.hash().to_string(),
        policy,
        status: RevisionStatus::Pending,
        created_at: now(),
        loaded_at: None,
    }
}
