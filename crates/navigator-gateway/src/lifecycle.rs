//! Sandboxes come, stop, start and go: what should be is recorded first, then made so.

mod condition;
mod launch;

use std::sync::Arc;

use uuid::Uuid;

use crate::failure::Failure;
use crate::gateway::{Gateway, now};
use crate::live::{Change, Live};
use crate::records::{Desired, Name, Phase, Revision, RevisionStatus, Sandbox, Severity, Spec};
use crate::store::StoreError;
use condition::exposed;
pub(crate) use condition::{ready, set};
use navigator_policy::Policy;

/// Made-up names that are tried before a number would have to help.
const NAME_TRIES: usize = 16;

impl Gateway {
    /// Makes a sandbox and starts it. When that fails, nothing is left of it.
    pub(crate) async fn create(
        self: &Arc<Self>,
        name: &str,
        spec: Spec,
        policy: Option<Policy>,
    ) -> Result<Sandbox, Failure> {
        let wanted = if name.is_empty() { None } else { Some(Name::parse(name)?) };
        self.check_providers(&spec).await?;
        if self.store.count_sandboxes().await? >= self.most_sandboxes {
            let most = self.most_sandboxes;
            return Err(Failure::Exhausted(format!(
                "there are {most} sandboxes, which is the limit"
            )));
        }
        let created = self.record(wanted, spec, policy).await?;
        let id = created.id;
        // The caller may leave; what was begun is brought to its end.
        let gateway = Arc::clone(self);
        let started = self.tasks.spawn(async move { gateway.first_start(id).await });
        started.await.map_err(|_| Failure::Unavailable("the gateway is ending".into()))??;
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

    async fn record(
        &self,
        wanted: Option<Name>,
        spec: Spec,
        policy: Option<Policy>,
    ) -> Result<Sandbox, Failure> {
        let first = policy.map(first_revision);
        for _ in 0..NAME_TRIES {
            let name = wanted.clone().map_or_else(made_up_name, Ok)?;
            let sandbox = new_record(name, spec.clone());
            match (self.store.create_sandbox(&sandbox, first.as_ref()).await, &wanted) {
                (Ok(()), _) => return Ok(sandbox),
                (Err(StoreError::NameTaken), None) => {}
                (Err(error), _) => return Err(Failure::storing("sandbox", &sandbox.name)(error)),
            }
        }
        Err(Failure::Exhausted("no free name was found; choose one".into()))
    }

    async fn first_start(self: &Arc<Self>, id: Uuid) -> Result<(), Failure> {
        let started = self.converge(id).await;
        if started.is_err() {
            self.wish(id, Desired::Deleted).await?;
            if self.converge(id).await.is_err() {
                self.report_astray(id);
            }
        }
        started
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
        let done = self.tasks.spawn(async move {
            gateway.wish(id, desired).await?;
            gateway.converge(id).await.inspect_err(|_| gateway.report_astray(id))
        });
        done.await.map_err(|_| Failure::Unavailable("the gateway is ending".into()))??;
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
            Desired::Stopped => sandbox.token_hash = None,
            Desired::Running => {}
        }
        self.save(&live, &mut sandbox).await
    }

    /// Sees to it later that a sandbox becomes what it should be.
    pub(crate) fn report_astray(&self, id: Uuid) {
        // Fails only when the gateway ends, and the next one looks at every sandbox.
        let _ended = self.astray.send(id);
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
        if sandbox.phase != Phase::Stopped {
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

    /// A supervisor has ended, whatever ended it. Whether the sandbox should run all the same.
    pub(crate) async fn ended(&self, id: Uuid, how: &str) -> Result<bool, Failure> {
        let live = self.live(id);
        let _held = live.lifecycle.lock().await;
        let Some(mut sandbox) = self.store.sandbox(id).await? else {
            self.hub.forget(id);
            return Ok(false);
        };
        // A newer one may run by now.
        if sandbox.desired != Desired::Running || self.driver.runs(id).await? {
            return Ok(false);
        }
        live.session.close();
        let reported = sandbox.phase == Phase::Error;
        if !reported {
            self.metrics.ended.inc();
            sandbox.restarts = sandbox.restarts.saturating_add(1);
            let message = format!("its supervisor ended, and everything in it: {how}");
            set(&mut sandbox.conditions, ready("False", "SupervisorEnded", &message));
            self.note(&live, Severity::Warning, "SupervisorEnded", &message).await;
        }
        sandbox.phase = Phase::Error;
        sandbox.token_hash = None;
        self.save(&live, &mut sandbox).await?;
        Ok(!reported)
    }

    /// Says that nothing is known of a sandbox whose supervisor runs and has been silent for too long.
    pub(crate) async fn doubt(&self, id: Uuid) -> Result<(), Failure> {
        let live = self.live(id);
        let _held = live.lifecycle.lock().await;
        let Some(mut sandbox) = self.store.sandbox(id).await? else {
            self.hub.forget(id);
            return Ok(());
        };
        if sandbox.phase == Phase::Ready && live.session.get().is_none() {
            sandbox.phase = Phase::Unknown;
            let message = "its supervisor is not connected; it goes on enforcing the policy it has";
            set(&mut sandbox.conditions, ready("Unknown", "NotConnected", message));
            self.save(&live, &mut sandbox).await?;
            self.note(&live, Severity::Warning, "NotConnected", message).await;
        }
        Ok(())
    }
}

impl Gateway {
    /// Leaves a sandbox as it is until a person starts it, and says so.
    pub(crate) async fn give_up(&self, id: Uuid, starts: u32) -> Result<(), Failure> {
        let live = self.live(id);
        let _held = live.lifecycle.lock().await;
        let Some(mut sandbox) = self.store.sandbox(id).await? else { return Ok(()) };
        if sandbox.phase == Phase::Error {
            let message = format!(
                "it was started {starts} times and ended each time; start it when the cause is gone"
            );
            set(&mut sandbox.conditions, ready("False", "GivenUp", &message));
            self.save(&live, &mut sandbox).await?;
            self.note(&live, Severity::Warning, "GivenUp", &message).await;
        }
        Ok(())
    }
}

fn new_record(name: Name, spec: Spec) -> Sandbox {
    let mut conditions = vec![];
    set(&mut conditions, ready("False", "Created", "it was asked for"));
    if !spec.providers.is_empty() {
        set(&mut conditions, exposed());
    }
    Sandbox {
        id: Uuid::now_v7(),
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

/// Two words of lower-case letters.
fn made_up_name() -> Result<Name, Failure> {
    let name = petname::petname(2, "-").unwrap_or_default().to_ascii_lowercase();
    Name::parse(&name)
        .map_err(|_| Failure::Exhausted("no name could be made up; choose one".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_names_are_two_words_of_letters() {
        for _ in 0..200 {
            let name = made_up_name().unwrap();
            let words: Vec<_> = name.as_str().split('-').collect();
            let letters =
                |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
            assert!(words.len() == 2 && words.iter().all(letters), "{name}");
        }
    }
}
