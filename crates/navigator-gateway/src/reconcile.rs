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

/// What was tried for one sandbox.
struct Tries {
    count: u32,
    last: Instant,
}

/// Reconciles until the gateway ends.
pub(crate) async fn run(
    gateway: Arc<Gateway>,
    mut astray: mpsc::UnboundedReceiver<Uuid>,
    mut gone: mpsc::UnboundedReceiver<Gone>,
) {
    let mut tries = HashMap::new();
    loop {
        tokio::select! {
            () = gateway.ending.cancelled() => return,
            Some(id) = astray.recv() => again(&gateway, &mut tries, id),
            Some(gone) = gone.recv() => ended(&gateway, &mut tries, gone).await,
        }
    }
}

async fn ended(gateway: &Arc<Gateway>, tries: &mut HashMap<Uuid, Tries>, gone: Gone) {
    match gateway.ended(gone.id, &gone.how).await {
        Ok(true) => again(gateway, tries, gone.id),
        Ok(false) => {}
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(sandbox = %gone.id, error, "failed to note a supervisor's end");
            again(gateway, tries, gone.id);
        }
    }
}

/// Tries once more, after a pause that grows with the number of tries.
fn again(gateway: &Arc<Gateway>, tries: &mut HashMap<Uuid, Tries>, id: Uuid) {
    tries.retain(|_, tries| tries.last.elapsed() < STEADY);
    let tried = tries.entry(id).or_insert(Tries { count: 0, last: Instant::now() });
    (tried.count, tried.last) = (tried.count + 1, Instant::now());
    let pause = match tried.count {
        1 => Duration::ZERO,
        count => (FIRST_PAUSE * 2_u32.saturating_pow(count - 2)).min(LONGEST_PAUSE),
    };
    let given_up = tried.count > STARTS;
    let gateway = Arc::clone(gateway);
    gateway.tasks.clone().spawn(async move {
        tokio::select! {
            () = gateway.ending.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        if given_up && wants_to_run(&gateway, id).await {
            if let Err(error) = gateway.give_up(id, STARTS).await {
                report(id, &error);
            }
            return;
        }
        if let Err(error) = gateway.converge(id).await {
            report(id, &error);
            gateway.report_astray(id);
        }
    });
}

/// Only starts are given up; what should be gone is tried for ever.
async fn wants_to_run(gateway: &Gateway, id: Uuid) -> bool {
    let found = gateway.store.sandbox(id).await;
    found.is_ok_and(|found| found.is_some_and(|sandbox| sandbox.desired == Desired::Running))
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
                gateway.report_astray(id);
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
