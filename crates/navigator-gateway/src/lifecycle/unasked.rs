//! What becomes of sandboxes that nobody asked for: supervisors that end or fall silent.

use uuid::Uuid;

use super::{ready, set};
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::records::{Desired, Phase, Severity};

impl Gateway {
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

    /// Says that a sandbox that ended so many times in a row is not started again before somebody asks for it.
    pub(crate) async fn give_up(&self, id: Uuid, ends: u32) -> Result<(), Failure> {
        let live = self.live(id);
        let _held = live.lifecycle.lock().await;
        let Some(mut sandbox) = self.store.sandbox(id).await? else {
            self.hub.forget(id);
            return Ok(());
        };
        if sandbox.desired != Desired::Running || self.driver.runs(id).await? {
            return Ok(());
        }
        let message = format!(
            "its supervisor ended {ends} times in a row; it is started when somebody asks for it"
        );
        set(&mut sandbox.conditions, ready("False", "GivenUp", &message));
        self.save(&live, &mut sandbox).await?;
        self.note(&live, Severity::Warning, "GivenUp", &message).await;
        Ok(())
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
