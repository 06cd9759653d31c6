//! Gateways, supervisors and inits are killed at random moments under load: no sandbox runs without its supervisor, no
//! record is without reality for long, no reality without a record, and nothing leaks.

mod clients;
mod promises;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use navigator_proto::datamodel::v1::SandboxSpec;

use super::machine::{self, cgroups, descriptors, kill};
use super::running::Running;
use crate::harness::{as_root, eventually};
use clients::{CLIENTS, Random};
use promises::Promises;

/// Kills, unless `NAVIGATOR_KILLS` says otherwise.
const KILLS: u64 = 40;
/// Longest pause between two kills.
const PAUSE_MS: u64 = 400;

fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |text| text.parse().unwrap())
}

/// What is killed next, and how often each kind was.
#[derive(Debug, Default)]
struct Kills {
    gateways: u32,
    supervisors: u32,
    inits: u32,
    missed: u32,
}

impl Kills {
    fn one(&mut self, running: &Running<'_>, random: &mut Random) {
        let kind = random.below(3);
        if kind == 0 {
            running.kill();
            // A gateway may be away for a while, too.
            std::thread::sleep(Duration::from_millis(random.below(200)));
            running.start_again();
            self.gateways += 1;
            return;
        }
        let supervisors: Vec<_> = running.machine.supervisors().into_values().collect();
        let chosen = supervisors.get(random.below(supervisors.len().max(1) as u64) as usize);
        let victim = chosen.and_then(|one| if kind == 1 { Some(one.pid) } else { one.init });
        match victim.filter(|pid| running.machine.is_ours(*pid)) {
            Some(pid) => {
                kill(pid);
                *(if kind == 1 { &mut self.supervisors } else { &mut self.inits }) += 1;
            }
            None => self.missed += 1,
        }
    }

    fn total(&self) -> u64 {
        u64::from(self.gateways + self.supervisors + self.inits)
    }
}

#[test]
fn kills_at_random_moments_break_no_promise() {
    as_root(|case| {
        let seed = number("NAVIGATOR_SEED", 20_260);
        println!("seed {seed}");
        let groups = cgroups();
        let running = Running::start(case);
        let usual = warm_descriptors(&running);
        storm(&running, number("NAVIGATOR_KILLS", KILLS), seed);
        delete_everything(&running);
        running.nothing_is_left();
        eventually("no cgroup is left", || cgroups() <= groups);
        eventually("the gateway has closed what it opened", || descriptors(running.pid()) <= usual);
        let rss = machine::memory(running.pid(), "Rss");
        println!("descriptors {usual}, RSS of the last gateway {rss} kB");
    });
}

/// Descriptors of a gateway that has served everything once.
fn warm_descriptors(running: &Running<'_>) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut api = running.api();
        let sandbox = api.create("warm", SandboxSpec::default()).await.unwrap();
        api.is("warm", clients::READY).await;
        assert_eq!(api.exec(&sandbox.id, &["true"]).await.unwrap().code, Some(0));
        api.delete("warm").await.unwrap();
    });
    drop(runtime);
    running.nothing_is_left();
    descriptors(running.pid())
}

/// Clients work, something is killed again and again, and promises are watched all the while.
fn storm(running: &Running<'_>, kills: u64, seed: u64) {
    let over = AtomicBool::new(false);
    let ended = || over.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        // Whatever panics here ends the others, too.
        struct Over<'a>(&'a AtomicBool);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let end = Over(&over);
        let workers: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let random = Random::new(seed ^ (number + 1));
                scope.spawn(move || clients::work(running, random, &ended))
            })
            .collect();
        let watch = scope.spawn(|| {
            let _end = Over(&over);
            Promises::watch(running, &ended)
        });
        let mut random = Random::new(seed);
        let mut count = Kills::default();
        while count.total() < kills && !ended() {
            std::thread::sleep(Duration::from_millis(random.below(PAUSE_MS)));
            count.one(running, &mut random);
        }
        drop(end);
        let mut done = clients::Done::default();
        workers.into_iter().for_each(|worker| done.add(worker.join().unwrap()));
        println!("{count:?}\n{done:?}\n{:?}", watch.join().unwrap());
        assert!(done.succeeded() > 0, "nothing was done");
    });
}

fn delete_everything(running: &Running<'_>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut api = running.api();
        for sandbox in api.page(1000, 0).await.unwrap() {
            assert!(api.delete(&sandbox.name).await.unwrap(), "{}", sandbox.name);
        }
        assert!(api.page(1000, 0).await.unwrap().is_empty());
    });
}
