//! Sees to it that sandboxes are what they should be: at the gateway's start, and when one goes astray.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use navigator_drivers::Gone;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::records::{Desired, Phase};

/// Supervisors that are started or ended at once after the gateway's start.
const AT_ONCE: usize = 8;
/// How long a supervisor may be silent before nothing is known of its sandbox.
pub(crate) const SILENCE: Duration = Duration::from_secs(4);
/// Pause before the second try; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Longest pause between tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Tries in a row to start a sandbox whose supervisor ends by itself again and again; then a person has to.
const STARTS: u32 = 6;
/// How long a sandbox must have run for its earlier ends to be forgotten.
const STEADY: Duration = Duration::from_secs(60);

/// Why a sandbox needs to be looked after.
#[derive(Debug)]
pub(crate) enum Astray {
    /// Something failed, so that it is not what it should be.
    Differs(Uuid),
    /// It could be neither made nor removed.
    Unwanted(Uuid),
    /// Somebody asks for it: how often it ended before does not count any more.
    Wanted(Uuid),
}

/// What happened to one sandbox lately.
struct Trouble {
    /// Its supervisor ended by itself so many times in a row.
    ends: u32,
    /// So many tries in a row to do something about it failed. Those never end: a store or a disk comes back.
    failures: u32,
    last: Instant,
}

/// The sandboxes with trouble.
#[derive(Default)]
struct Troubles(HashMap<Uuid, Trouble>);

impl Troubles {
    fn of(&mut self, id: Uuid) -> &mut Trouble {
        self.0.retain(|_, trouble| trouble.last.elapsed() < STEADY);
        let new = || Trouble { ends: 0, failures: 0, last: Instant::now() };
        let trouble = self.0.entry(id).or_insert_with(new);
        trouble.last = Instant::now();
        trouble
    }

    fn ended(&mut self, id: Uuid) -> u32 {
        let trouble = self.of(id);
        trouble.ends += 1;
        trouble.ends
    }

    fn failed(&mut self, id: Uuid) -> u32 {
        let trouble = self.of(id);
        trouble.failures = trouble.failures.saturating_add(1);
        trouble.failures
    }
}

/// Something to be done for a sandbox.
enum Work {
    Converge,
    Undo,
    GiveUp { ends: u32 },
}

/// Reconciles until the gateway ends.
pub(crate) async fn run(
    gateway: Arc<Gateway>,
    mut astray: mpsc::UnboundedReceiver<Astray>,
    mut gone: mpsc::UnboundedReceiver<Gone>,
) {
    let mut troubles = Troubles::default();
    loop {
        tokio::select! {
            () = gateway.ending.cancelled() => return,
            Some(astray) = astray.recv() => match astray {
                Astray::Differs(id) => again(&gateway, id, Work::Converge, troubles.failed(id)),
                Astray::Unwanted(id) => again(&gateway, id, Work::Undo, troubles.failed(id)),
                Astray::Wanted(id) => drop(troubles.0.remove(&id)),
            },
            Some(gone) = gone.recv() => ended(&gateway, &mut troubles, gone).await,
        }
    }
}

async fn ended(gateway: &Arc<Gateway>, troubles: &mut Troubles, gone: Gone) {
    let id = gone.id;
    match gateway.ended(id, &gone.how).await {
        Ok(true) => match troubles.ended(id) {
            ends if ends > STARTS => again(gateway, id, Work::GiveUp { ends }, 1),
            ends => again(gateway, id, Work::Converge, ends),
        },
        Ok(false) => {}
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(sandbox = %id, error, "failed to note a supervisor's end");
            again(gateway, id, Work::Converge, troubles.failed(id));
        }
    }
}

/// The pause before a try: none before the first.
fn pause(tried: u32) -> Duration {
    match tried {
        0 | 1 => Duration::ZERO,
        count => FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(count - 2)).min(LONGEST_PAUSE),
    }
}

/// Does something for a sandbox, after a pause that grows with the number of tries.
fn again(gateway: &Arc<Gateway>, id: Uuid, work: Work, tried: u32) {
    let gateway = Arc::clone(gateway);
    gateway.tasks.clone().spawn(async move {
        tokio::select! {
            () = gateway.ending.cancelled() => return,
            () = tokio::time::sleep(pause(tried)) => {}
        }
        let (done, astray) = match work {
            Work::Converge => (gateway.converge(id).await, Astray::Differs(id)),
            Work::Undo => (gateway.undo(id).await, Astray::Unwanted(id)),
            Work::GiveUp { ends } => (gateway.give_up(id, ends).await, Astray::Differs(id)),
        };
        if let Err(error) = done {
            report(id, &error);
            gateway.report(astray);
        }
    });
}

fn report(id: Uuid, error: &Failure) {
    let error = error as &dyn std::error::Error;
    tracing::error!(sandbox = %id, error, "failed to make a sandbox what it should be");
}

/// Brings records and reality together when the gateway starts: supervisors that run are kept, those without a record
/// are ended, sandboxes that should run are started.
pub(crate) async fn at_start(gateway: &Arc<Gateway>) -> Result<(), Failure> {
    let found = gateway.driver.adopt().await?;
    let records = gateway.store.all_sandboxes().await?;
    let running = |id: Uuid| found.iter().any(|found| found.id == id && found.running);
    let mut differ: Vec<Uuid> = vec![];
    for record in &records {
        let as_it_should_be = match record.desired {
            Desired::Running => running(record.id),
            Desired::Stopped => !running(record.id) && record.phase == Phase::Stopped,
            Desired::Deleted => false,
        };
        if as_it_should_be && record.desired == Desired::Running {
            expect_session(gateway, record.id);
        } else if !as_it_should_be {
            differ.push(record.id);
        }
    }
    let unknown = found.iter().filter(|found| !records.iter().any(|record| record.id == found.id));
    differ.extend(unknown.map(|found| found.id));
    let room = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
    for id in differ {
        let (gateway, room) = (Arc::clone(gateway), Arc::clone(&room));
        gateway.tasks.clone().spawn(async move {
            // Never closed.
            let _place = room.acquire_owned().await;
            if let Err(error) = gateway.converge(id).await {
                report(id, &error);
                gateway.report(Astray::Differs(id));
            }
        });
    }
    Ok(())
}

/// Gives a supervisor some time to connect.
pub(crate) fn expect_session(gateway: &Arc<Gateway>, id: Uuid) {
    let gateway = Arc::clone(gateway);
    gateway.tasks.clone().spawn(async move {
        tokio::select! {
            () = gateway.ending.cancelled() => return,
            () = tokio::time::sleep(SILENCE) => {}
        }
        if let Err(error) = gateway.doubt(id).await {
            report(id, &error);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_from_none_to_the_longest() {
        let pauses: Vec<_> = (1..=10).map(|tried| pause(tried).as_millis()).collect();
        assert_eq!(pauses, [0, 250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        assert_eq!(pause(u32::MAX), LONGEST_PAUSE);
    }

    #[test]
    fn failures_are_no_ends() {
        let (mut troubles, id) = (Troubles::default(), Uuid::now_v7());
        for count in 1..=3 * STARTS {
            assert_eq!(troubles.failed(id), count);
        }
        assert_eq!(troubles.ended(id), 1);
    }
}
