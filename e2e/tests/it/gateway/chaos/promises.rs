//! What must hold at every moment, looked at again and again while everything changes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::super::running::Running;
use super::clients::{PREFIX, READY};

/// How long a record may be without reality, and reality without a record.
const PROMISED: Duration = Duration::from_secs(5);
/// How long the kernel may take to end what it has been told to end. It is busy here.
const ENDING: Duration = Duration::from_secs(2);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// What does not hold now, and since when.
pub(super) struct Promises {
    broken: BTreeMap<(&'static str, String), Instant>,
    looks: u32,
    worst: BTreeMap<&'static str, Duration>,
}

/// What was seen.
#[derive(Debug)]
#[expect(dead_code, reason = "it is printed")]
pub(super) struct Seen {
    looks: u32,
    worst: BTreeMap<&'static str, Duration>,
}

impl Promises {
    /// Looks until it is over; panics when a promise is broken for too long.
    pub(super) fn watch(running: &Running<'_>, over: &dyn Fn() -> bool) -> Seen {
        let mut promises = Self { broken: BTreeMap::new(), looks: 0, worst: BTreeMap::new() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            while !over() {
                promises.look(running).await;
                tokio::time::sleep(PAUSE).await;
            }
            // What does not hold at the end must hold soon.
            for _ in 0..600 {
                if promises.broken.is_empty() {
                    break;
                }
                promises.look(running).await;
                tokio::time::sleep(PAUSE).await;
            }
        });
        assert!(promises.broken.is_empty(), "{:?}\n{}", promises.broken, running.log());
        Seen { looks: promises.looks, worst: promises.worst }
    }

    async fn look(&mut self, running: &Running<'_>) {
        let unwatched = running.machine.unwatched(PREFIX);
        self.judge("without a supervisor", unwatched, ENDING, running);
        let Ok(list) = running.api().page(1000, 0).await else { return };
        let supervisors = running.machine.supervisors();
        let empty = list.iter().filter(|one| one.phase() == READY);
        let empty = empty.filter(|one| !supervisors.contains_key(&one.id));
        let empty = empty.map(|one| format!("{} {}", one.name, one.id));
        self.judge("without reality", empty.collect(), PROMISED, running);
        let unknown = supervisors.keys().filter(|id| !list.iter().any(|one| one.id == **id));
        self.judge("without a record", unknown.cloned().collect(), PROMISED, running);
        self.looks += 1;
    }

    fn judge(
        &mut self,
        kind: &'static str,
        now: Vec<String>,
        limit: Duration,
        running: &Running<'_>,
    ) {
        self.broken.retain(|(other, what), _| *other != kind || now.contains(what));
        for what in now {
            let begun = self.broken.entry((kind, what.clone())).or_insert_with(Instant::now);
            let since = begun.elapsed();
            let worst = self.worst.entry(kind).or_default();
            *worst = since.max(*worst);
            assert!(since < limit, "{kind} for {since:?}: {what}\n{}", running.log());
        }
    }
}
