//! The rows of the way out, measured inside a fake internet: each next to the same without Navigator.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use super::row::{Check, Kind, Row, Summary};
use crate::shell;

/// The origin that streams go to.
const ORIGIN: &str = "203.0.113.10:7";
/// The one that ends connections at once, for what a new connection costs.
const CLOSE: &str = "203.0.113.10:8";
/// Connections for each row.
const COUNT: usize = 2_000;

/// Rows of latency, rates and throughput.
pub fn rows(release: &Path) -> Result<Vec<Row>> {
    if !shell::has("ip") {
        println!("network rows: skipped: `ip` is missing; install iproute2");
        return Ok(vec![]);
    }
    let mut rows = vec![];
    for concurrency in [1, 16, 64] {
        rows.extend(connections(release, concurrency)?);
    }
    let direct = throughput(release, "stream-direct")?;
    let tunnel = throughput(release, "stream-proxy")?;
    rows.push(Row::one("throughput of 1 GiB, direct", direct, "GB/s", Kind::Floor));
    let checks = vec![Check::at_least(tunnel, 0.7 * direct, "GB/s (70 % of direct)")];
    rows.push(Row::one(
        "throughput of 1 GiB, through a tunnel",
        tunnel,
        "GB/s",
        Kind::Ours(checks),
    ));
    Ok(rows)
}

/// Latency and rate of new connections, direct and through the proxy.
fn connections(release: &Path, concurrency: usize) -> Result<[Row; 4]> {
    let (direct, direct_rate) = load(release, "direct", concurrency)?;
    let (proxy, proxy_rate) = load(release, "proxy", concurrency)?;
    let over = direct.p50 + Duration::from_micros(250);
    let (latency, rate) = match concurrency {
        1 => (vec![Check::at_most("p50 (250 µs over direct)", proxy.p50, over)], Some(2_500.0)),
        16 => (vec![], Some(5_000.0)),
        _ => (vec![Check::at_most("p99", proxy.p99, Duration::from_millis(40))], None),
    };
    let rate = rate.map(|limit| Check::at_least(proxy_rate, limit, "/s")).into_iter().collect();
    let name = |what: &str| format!("{what}, concurrency {concurrency}");
    Ok([
        Row::times(name("direct connect"), direct, Kind::Floor),
        Row::times(name("CONNECT through the sandbox's proxy"), proxy, Kind::Ours(latency)),
        Row::one(name("rate of direct connects"), direct_rate, "/s", Kind::Floor),
        Row::one(name("rate of CONNECT"), proxy_rate, "/s", Kind::Ours(rate)),
    ])
}

fn load(release: &Path, mode: &str, concurrency: usize) -> Result<(Summary, f64)> {
    let mut samples = client(release, mode, COUNT, concurrency)?;
    let total = samples.pop().context("the load printed nothing")?;
    let rate = samples.len() as f64 / (total / 1e6);
    let times: Vec<_> = samples.iter().map(|us| Duration::from_secs_f64(us / 1e6)).collect();
    Ok((Summary::of(&times), rate))
}

/// GB/s, the median of five runs.
fn throughput(release: &Path, mode: &str) -> Result<f64> {
    let mut runs = vec![];
    for _ in 0..5 {
        runs.extend(client(release, mode, 1, 1)?);
    }
    runs.sort_by(f64::total_cmp);
    Ok(1.073_741_824 / runs[runs.len() / 2])
}

fn client(release: &Path, mode: &str, count: usize, concurrency: usize) -> Result<Vec<f64>> {
    let dir = std::env::temp_dir().join(format!("navigator-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let result = measure(release, &dir, mode, &[&count.to_string(), &concurrency.to_string()]);
    std::fs::remove_dir_all(&dir)?;
    result
}

fn measure(release: &Path, dir: &Path, mode: &str, numbers: &[&str]) -> Result<Vec<f64>> {
    let internet = json!({ "names": {}, "origins": [[ORIGIN, "Sink"], [CLOSE, "Close"]] });
    std::fs::write(dir.join("internet.json"), internet.to_string())?;
    let policy = dir.join("policy.yaml");
    std::fs::write(
        &policy,
        "version: 1\nfilesystem_policy: { read_only: [/usr, /bin, /lib, /lib64, /etc, /proc] }\n\
         network_policies:\n  bench:\n    endpoints: [{ host: 203.0.113.10, ports: [7, 8] }]\n    \
         binaries: [{ path: /sandbox/bench-client }]\n",
    )?;
    let load = release.join("bench-client");
    let mut command = Command::new(release.join("fake-internet"));
    command.arg(dir);
    if mode.ends_with("proxy") {
        let mount = format!("{}:/sandbox/bench-client:ro", load.display());
        command.arg(release.join("navigator")).args([
            "run",
            "-q",
            "-T",
            "--audit",
            "/dev/null",
            "--policy",
        ]);
        command.arg(&policy).args(["--mount", &mount, "--", "/sandbox/bench-client"]);
    } else {
        command.arg(load);
    }
    let origin = if mode.starts_with("stream") { ORIGIN } else { CLOSE };
    command.args([mode, origin]).args(numbers);
    let text = shell::output(&mut command)?;
    Ok(serde_json::from_str(text.trim())?)
}
