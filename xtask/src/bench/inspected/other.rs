//! What else is looked at while requests are inspected: streams, changes of the policy, memory.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::load::{Load, Place, policy_text};
use super::{EVENTS_PORT, over};
use crate::bench::row::{Check, Kind, Row, Summary};
use crate::bench::start;
use crate::shell;

/// Time of one load that is watched from outside.
const WATCHED: Duration = Duration::from_secs(4);
/// Time in which the changes of the policy file must take effect, each in some looks at the file.
const CHANGING: Duration = Duration::from_secs(8);
/// Changes of the policy file.
const CHANGES: usize = 10;
/// Connections of the sandbox whose memory is looked at.
const BUSY: usize = 64;

#[derive(Deserialize)]
struct Events {
    nanoseconds: Vec<u64>,
    others: u64,
    apart: u64,
}

/// The first event of a stream, and whether the others come one by one.
pub fn events(load: &Load) -> Result<[Row; 3]> {
    let time = Duration::from_secs(3);
    let run = |place| -> Result<(Summary, f64)> {
        let mut command = load.command(place, &[], "events", EVENTS_PORT, time, 1);
        let events: Events = serde_json::from_str(&shell::output(&mut command)?)?;
        let times: Vec<_> = events.nanoseconds.into_iter().map(Duration::from_nanos).collect();
        Ok((Summary::of(&times), 100.0 * events.apart as f64 / events.others as f64))
    };
    let ((direct, _), (ours, apart)) = (run(Place::Direct)?, run(Place::Sandbox)?);
    let first = vec![over(&direct, &ours, Duration::from_millis(1))];
    let alone = vec![Check::at_least(apart, 100.0, "%")];
    Ok([
        Row::times("first event of a stream, direct", direct, Kind::Floor),
        Row::times("first event of a stream, inspected", ours, Kind::Ours(first)),
        Row::one("events that come one by one, inspected", apart, "%", Kind::Ours(alone)),
    ])
}

/// From a change of the watched policy file to the first request that is decided by it. The file is looked at ten times
/// a second, so the budget is not for this.
pub fn watched(load: &Load) -> Result<Row> {
    let options = ["--watch-policy"];
    let mut command = load.command(Place::Sandbox, &options, "watch", 80, CHANGING, 1);
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut changes = BufReader::new(child.stdout.take().context("no output")?).lines();
    let mut next = || -> Result<Duration> {
        let line = changes.next().context("a change of the policy file had no effect")??;
        Ok(Duration::from_nanos(line.parse()?))
    };
    // The first line is the beginning.
    next()?;
    let mut samples = vec![];
    for change in 0..CHANGES {
        let fresh = load.policy().with_extension("new");
        std::fs::write(&fresh, policy_text(if change % 2 == 0 { "/none" } else { "/**" }))?;
        let start = SystemTime::now().duration_since(UNIX_EPOCH)?;
        std::fs::rename(fresh, load.policy())?;
        samples.push(next()?.saturating_sub(start));
    }
    child.wait()?;
    let name = "policy file changed → request decided by it";
    Ok(Row::times(name, Summary::of(&samples), Kind::Ours(vec![])))
}

/// The memory of a sandbox with many busy connections, the highest of some looks.
pub fn memory(load: &Load) -> Result<Row> {
    let mut command = load.command(Place::Sandbox, &[], "tls", 443, WATCHED, BUSY);
    let mut sandbox = command.stdout(Stdio::null()).spawn()?;
    let mut highest = 0.0_f64;
    for _ in 0..6 {
        std::thread::sleep(WATCHED / 8);
        highest = highest.max(start::memory(sandbox.id())?);
    }
    sandbox.wait()?;
    let name = format!("sandbox with {BUSY} busy HTTPS connections, PSS");
    let checks = vec![Check::no_more(highest, 24.0 * 1024.0, "KiB")];
    Ok(Row::one(name, highest, "KiB", Kind::Ours(checks)))
}
