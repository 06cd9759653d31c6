//! What a start costs, in time and memory.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::row::{Check, Kind, Row, Summary};
use crate::shell;

/// Runs of each command; enough for a p99 that is not one outlier.
const RUNS: usize = 200;
/// Runs before those that count.
const WARM_UP: usize = 10;

/// Starts, interleaved with their floor and the peer, and the memory of one that does nothing.
pub fn rows(release: &Path) -> Result<Vec<Row>> {
    let mut ours = navigator(release);
    ours.args(["--", "/bin/true"]);
    let mut floor = Command::new(release.join("bench-floor"));
    let mut exec = Command::new("/bin/true");
    let mut peer = Command::new("bwrap");
    peer.args(["--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]);
    peer.arg("/bin/true");
    let has_peer = shell::has("bwrap");
    if !has_peer {
        println!("bubblewrap: skipped: not installed");
    }
    let [mut floors, mut execs, mut starts, mut peers] = [const { vec![] }; 4];
    for round in 0..RUNS + WARM_UP {
        let times = (inside(&mut floor)?, once(&mut exec)?, once(&mut ours)?);
        let peer = has_peer.then(|| once(&mut peer)).transpose()?;
        if round >= WARM_UP {
            floors.push(times.0);
            execs.push(times.1);
            starts.push(times.2);
            peers.extend(peer);
        }
    }
    let (floor, start) = (Summary::of(&floors), Summary::of(&starts));
    let checks = vec![
        Check::at_most("p50 (5 × floor)", start.p50, floor.p50 * 5),
        Check::at_most("p50", start.p50, Duration::from_millis(25)),
        Check::at_most("p99", start.p99, Duration::from_millis(60)),
    ];
    let mut rows = vec![
        Row::times("all namespaces in one clone3 + exec", floor, Kind::Floor),
        Row::times("navigator run -- /bin/true, strict, with egress", start, Kind::Ours(checks)),
        Row::times("fork + exec of true", Summary::of(&execs), Kind::Floor),
    ];
    if !peers.is_empty() {
        let name = "bubblewrap, no network policy";
        rows.push(Row::times(name, Summary::of(&peers), Kind::Peer));
    }
    rows.push(idle_memory(release)?);
    Ok(rows)
}

fn navigator(release: &Path) -> Command {
    let mut command = Command::new(release.join("navigator"));
    command.args(["run", "-q", "-T", "--audit", "/dev/null", "--policy"]);
    command.arg(shell::root().join("examples/pypi.yaml"));
    command
}

fn once(command: &mut Command) -> Result<Duration> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let start = Instant::now();
    let status = command.status().with_context(|| format!("failed to start {command:?}"))?;
    let time = start.elapsed();
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(time)
}

/// The time that a program took by its own clock, so that its own start is not in it.
fn inside(command: &mut Command) -> Result<Duration> {
    Ok(Duration::from_nanos(shell::output(command)?.trim().parse()?))
}

/// Proportional set size of a sandbox that does nothing: supervisor and init, not the command.
fn idle_memory(release: &Path) -> Result<Row> {
    let mut sandbox = navigator(release).args(["--", "sleep", "2"]).spawn()?;
    std::thread::sleep(Duration::from_secs(1));
    let total = memory(sandbox.id())?;
    sandbox.wait()?;
    let checks = vec![Check::no_more(total, 6.0 * 1024.0, "KiB")];
    Ok(Row::one("idle sandbox, PSS of supervisor and init", total, "KiB", Kind::Ours(checks)))
}

/// KiB of a supervisor and its init, as proportional set sizes.
pub fn memory(supervisor: u32) -> Result<f64> {
    let children = format!("/proc/{supervisor}/task/{supervisor}/children");
    let mut total = pss(supervisor)?;
    for init in std::fs::read_to_string(children)?.split_whitespace() {
        total += pss(init.parse()?)?;
    }
    Ok(total)
}

fn pss(pid: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find(|line| line.starts_with("Pss:")).context("no Pss line")?;
    Ok(line.split_whitespace().nth(1).context("no number")?.parse()?)
}
