//! The rows of the way out, measured inside a fake internet: each next to the same without Navigator.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Row;
use crate::shell;

/// The origin that streams go to.
const ORIGIN: &str = "203.0.113.10:7";
/// The one that ends connections at once, for what a new connection costs.
const CLOSE: &str = "203.0.113.10:8";
/// Connections for each row.
const COUNT: usize = 2_000;

/// Rows of latency, and lines about rates and throughput.
pub fn rows(release: &Path) -> Result<(Vec<Row>, Vec<Value>)> {
    if !shell::has("ip") {
        println!("network rows: skipped: `ip` is missing; install iproute2");
        return Ok((vec![], vec![]));
    }
    let mut rows = vec![];
    let mut values = vec![];
    for concurrency in [1, 16, 64] {
        for (mode, name) in
            [("direct", "direct connect (floor)"), ("proxy", "CONNECT through the sandbox's proxy")]
        {
            let mut samples = client(release, mode, COUNT, concurrency)?;
            let total = samples.pop().context("the load printed nothing")?;
            let rate = samples.len() as f64 / (total / 1e6);
            println!("{name}, concurrency {concurrency}: {rate:.0}/s");
            values.push(json!({ "row": name, "concurrency": concurrency, "per_second": rate }));
            let times = samples.iter().map(|us| Duration::from_secs_f64(us / 1e6)).collect();
            rows.push((format!("{name}, concurrency {concurrency}"), times));
        }
    }
    for (mode, name) in
        [("stream-direct", "1 GiB, direct (floor)"), ("stream-proxy", "1 GiB, through a tunnel")]
    {
        let mut runs = vec![];
        for _ in 0..5 {
            runs.extend(client(release, mode, 1, 1)?);
        }
        runs.sort_by(f64::total_cmp);
        let rate = 1.073_741_824 / runs[runs.len() / 2];
        println!("{name}: {rate:.2} GB/s (median of {})", runs.len());
        values.push(json!({ "row": name, "gb_per_second": rate }));
    }
    Ok((rows, values))
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
