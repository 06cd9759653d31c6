//! Many sandboxes: one after the other, at once, and idle side by side; figures are printed, nothing is timed.

use std::time::{Duration, Instant};

use navigator_proto::datamodel::v1::{SandboxPhase, SandboxSpec};

use super::api::Api;
use super::machine::{self, cgroups, descriptors};
use super::running::Running;
use crate::harness::{as_root, eventually};

/// A number from the environment: small in every run, larger when somebody wants to know.
pub(super) fn number(variable: &str, usual: usize) -> usize {
    std::env::var(variable).map_or(usual, |text| text.parse().unwrap())
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

async fn cycle(api: &mut Api, name: &str) {
    let sandbox = api.create(name, SandboxSpec::default()).await.unwrap();
    api.is(name, SandboxPhase::Ready).await;
    let ended = api.exec(&sandbox.id, &["echo", name]).await.unwrap();
    assert_eq!((ended.code, ended.stdout), (Some(0), format!("{name}\n")));
    assert!(api.delete(name).await.unwrap());
}

#[test]
fn cycles_of_create_exec_and_delete_leave_nothing() {
    as_root(|case| {
        let running = Running::start(case);
        let (cycles, groups) = (number("NAVIGATOR_CYCLES", 50), cgroups());
        let clients = 4;
        let round = |count: usize| {
            std::thread::scope(|scope| {
                for client in 0..clients {
                    let running = &running;
                    scope.spawn(move || {
                        block_on(async {
                            let mut api = running.api();
                            for number in 0..count.div_ceil(clients) {
                                cycle(&mut api, &format!("c{client}-{number}")).await;
                            }
                        });
                    });
                }
            });
            running.nothing_is_left();
        };
        // Everything has been used once.
        round(20);
        let files = descriptors(running.pid());
        let before = machine::memory(running.pid(), "Rss");
        let began = Instant::now();
        round(cycles);
        let after = machine::memory(running.pid(), "Rss");
        println!("{cycles} cycles in {:?}; RSS {before} kB, then {after} kB", began.elapsed());
        eventually("the gateway has closed what it opened", || descriptors(running.pid()) <= files);
        assert!(cgroups() <= groups, "cgroups are left");
        // What a cycle leaves in memory would be thousands of bytes each.
        assert!(after < before + 16 * 1024, "the gateway grew from {before} to {after} kB");
    });
}

#[test]
fn many_creates_at_once_all_succeed() {
    as_root(|case| {
        let running = Running::start(case);
        let count = number("NAVIGATOR_AT_ONCE", 100);
        block_on(async {
            let began = Instant::now();
            create_all(&running, count).await;
            let answered = began.elapsed();
            let mut api = running.api();
            for number in 0..count {
                api.is(&format!("s{number}"), SandboxPhase::Ready).await;
            }
            println!("{count} at once: answered in {answered:?}, ready in {:?}", began.elapsed());
            delete_all(&running, count).await;
        });
        running.nothing_is_left();
    });
}

async fn create_all(running: &Running<'_>, count: usize) {
    let mut tasks = vec![];
    for number in 0..count {
        let mut api = running.api();
        tasks.push(tokio::spawn(async move {
            api.create(&format!("s{number}"), SandboxSpec::default()).await
        }));
    }
    for task in tasks {
        task.await.unwrap().unwrap();
    }
}

async fn delete_all(running: &Running<'_>, count: usize) {
    let mut api = running.api();
    let began = Instant::now();
    for number in 0..count {
        assert!(api.delete(&format!("s{number}")).await.unwrap());
    }
    println!("deleted one after the other in {:?}", began.elapsed());
    assert!(api.page(1000, 0).await.unwrap().is_empty());
}

#[test]
fn idle_sandboxes_run_side_by_side() {
    as_root(|case| {
        let running = Running::start(case);
        let count = number("NAVIGATOR_IDLE", 30);
        block_on(async {
            let mut api = running.api();
            let began = Instant::now();
            for number in 0..count {
                api.create(&format!("s{number}"), SandboxSpec::default()).await.unwrap();
                if number == 0 {
                    api.is("s0", SandboxPhase::Ready).await;
                    println!("alone: {}", weight(&running));
                }
            }
            for number in 0..count {
                api.is(&format!("s{number}"), SandboxPhase::Ready).await;
            }
            println!("{count} were ready after {:?}", began.elapsed());
            println!("{count}: {}", weight(&running));
            lists(&mut api, count).await;
            assert_eq!(watched(&running, count).await, count);
            assert_eq!(running.machine.supervisors().len(), count);
            delete_all(&running, count).await;
        });
        running.nothing_is_left();
    });
}

/// What supervisors and inits weigh, each on average, and what the gateway does.
fn weight(running: &Running<'_>) -> String {
    let supervisors = running.machine.supervisors();
    let (mut outside, mut inside) = (0, 0);
    for one in supervisors.values() {
        outside += machine::memory(one.pid, "Pss");
        inside += machine::memory(one.init.unwrap(), "Pss");
    }
    let count = supervisors.len() as u64;
    let gateway = machine::memory(running.pid(), "Rss");
    format!(
        "PSS {} kB each (supervisor {} kB, init {} kB); gateway RSS {gateway} kB",
        (outside + inside) / count,
        outside / count,
        inside / count
    )
}

/// Every page of the list is right, again and again.
async fn lists(api: &mut Api, count: usize) {
    let mut times: Vec<Duration> = vec![];
    for _ in 0..20 {
        let mut seen = vec![];
        for offset in (0..count).step_by(100) {
            let began = Instant::now();
            let page = api.page(100, offset.try_into().unwrap()).await.unwrap();
            times.push(began.elapsed());
            seen.extend(page.into_iter().map(|sandbox| sandbox.name));
        }
        let names: Vec<_> = (0..count).map(|number| format!("s{number}")).collect();
        assert_eq!(seen, names);
    }
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!("a page of 100 of {count}: p50 {:?}, p99 {:?}", at(50), at(99));
}

/// Watches every sandbox at once; how many showed themselves.
async fn watched(running: &Running<'_>, count: usize) -> usize {
    let mut api = running.api();
    let mut watches = vec![];
    for sandbox in pages(&mut api, count).await {
        watches.push(api.watch(&sandbox).await);
    }
    let mut seen = 0;
    for watch in &mut watches {
        seen += usize::from(watch.message().await.unwrap().is_some());
    }
    seen
}

async fn pages(api: &mut Api, count: usize) -> Vec<String> {
    let mut ids = vec![];
    for offset in (0..count).step_by(100) {
        let page = api.page(100, offset.try_into().unwrap()).await.unwrap();
        ids.extend(page.into_iter().map(|sandbox| sandbox.id));
    }
    ids
}
