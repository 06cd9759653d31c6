//! Measures what a user waits for, each row next to its floor in the same run.
//!
//! Rows are interleaved: floor, peer, ours, and again, so that a machine that drifts moves all of them.

mod network;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::shell;

/// Runs of each command; enough for a p99 that is not one outlier.
const RUNS: usize = 200;
/// Runs before those that count.
const WARM_UP: usize = 10;

/// Runs every row and prints one table.
pub fn run() -> Result<()> {
    shell::cargo("build --release -p navigator -p navigator-testkit -p xtask --bins")?;
    let navigator = target().join("release/navigator");
    let mut rows = cold_start(&navigator)?;
    rows.push(("fork + exec of true (exec floor)".into(), times(&mut Command::new("/bin/true"))?));
    for size in [10, 1_000, 10_000] {
        rows.push((format!("decision, {size} endpoints"), decisions(size)?));
    }
    let (network, values) = network::rows(&target().join("release"))?;
    rows.extend(network);
    println!("{:<52} {:>10} {:>10} {:>10} {:>10}", "row", "p50", "p95", "p99", "max");
    let mut report = values;
    for (name, samples) in &rows {
        let row = Summary::of(samples);
        println!(
            "{name:<52} {:>10} {:>10} {:>10} {:>10}",
            us(row.p50),
            us(row.p95),
            us(row.p99),
            us(row.max)
        );
        report.push(row.json(name));
    }
    let memory = idle_memory(&navigator)?;
    println!("idle sandbox, PSS of supervisor and init: {memory} KiB (budget 6144 KiB)");
    report.push(json!({ "row": "idle memory", "pss_kib": memory }));
    let file = target().join("bench/bench.json");
    std::fs::create_dir_all(target().join("bench"))?;
    std::fs::write(&file, serde_json::to_string_pretty(&Value::from(report))?)?;
    println!("written to {}", file.display());
    Ok(())
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| shell::root().join("target"), PathBuf::from)
}

type Row = (String, Vec<Duration>);

fn cold_start(navigator: &Path) -> Result<Vec<Row>> {
    let policy = shell::root().join("examples/pypi.yaml");
    let mut ours = Command::new(navigator);
    ours.args(["run", "-q", "-T", "--audit", "/dev/null", "--policy"]).arg(policy);
    ours.args(["--", "/bin/true"]);
    let mut floor = Command::new("unshare");
    floor.args(["-Urmnpiuf", "/bin/true"]);
    let mut rows: Vec<(String, Command, Vec<Duration>)> = vec![
        ("unshare, all namespaces one by one (floor)".into(), floor, vec![]),
        ("navigator run -- /bin/true, strict, with egress".into(), ours, vec![]),
    ];
    if shell::has("bwrap") {
        let mut peer = Command::new("bwrap");
        peer.args(["--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]);
        peer.arg("/bin/true");
        rows.push(("bubblewrap, no network policy (peer)".into(), peer, vec![]));
    } else {
        println!("bubblewrap: skipped: not installed");
    }
    for round in 0..RUNS + WARM_UP {
        for (_, command, samples) in &mut rows {
            let time = once(command)?;
            if round >= WARM_UP {
                samples.push(time);
            }
        }
    }
    Ok(rows.into_iter().map(|(name, _, samples)| (name, samples)).collect())
}

fn once(command: &mut Command) -> Result<Duration> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let start = Instant::now();
    let status = command.status().with_context(|| format!("failed to start {command:?}"))?;
    let time = start.elapsed();
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(time)
}

fn times(command: &mut Command) -> Result<Vec<Duration>> {
    (0..RUNS).map(|_| once(command)).collect()
}

/// Measured by the load program, which is built for release as the product is.
fn decisions(size: usize) -> Result<Vec<Duration>> {
    let mut load = Command::new(target().join("release/bench-client"));
    load.args(["decide", "-", &size.to_string(), "1"]);
    let nanoseconds: Vec<u64> = serde_json::from_str(&shell::output(&mut load)?)?;
    Ok(nanoseconds.into_iter().map(Duration::from_nanos).collect())
}

/// Proportional set size of a sandbox that does nothing, in KiB: supervisor and init, not the command.
fn idle_memory(navigator: &Path) -> Result<u64> {
    let policy = shell::root().join("examples/pypi.yaml");
    let mut sandbox = Command::new(navigator)
        .args(["run", "-q", "-T", "--audit", "/dev/null", "--policy"])
        .arg(policy)
        .args(["--", "sleep", "2"])
        .spawn()?;
    std::thread::sleep(Duration::from_secs(1));
    let supervisor = sandbox.id();
    let children = format!("/proc/{supervisor}/task/{supervisor}/children");
    let mut total = pss(supervisor)?;
    for init in std::fs::read_to_string(children)?.split_whitespace() {
        total += pss(init.parse()?)?;
    }
    sandbox.wait()?;
    Ok(total)
}

fn pss(pid: u32) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find(|line| line.starts_with("Pss:")).context("no Pss line")?;
    Ok(line.split_whitespace().nth(1).context("no number")?.parse()?)
}

struct Summary {
    p50: Duration,
    p95: Duration,
    p99: Duration,
    max: Duration,
}

impl Summary {
    fn of(samples: &[Duration]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_unstable();
        let at = |percent: usize| sorted[(sorted.len() - 1) * percent / 100];
        Self { p50: at(50), p95: at(95), p99: at(99), max: at(100) }
    }

    fn json(&self, name: &str) -> Value {
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        json!({
            "row": name, "p50_ns": ns(self.p50), "p95_ns": ns(self.p95), "p99_ns": ns(self.p99),
            "max_ns": ns(self.max),
        })
    }
}

fn us(time: Duration) -> String {
    if time < Duration::from_micros(10) {
        return format!("{} ns", time.as_nanos());
    }
    format!("{:.0} µs", time.as_secs_f64() * 1e6)
}
