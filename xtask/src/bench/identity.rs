//! What it costs to identify a caller, alone, next to one `sock_diag` message, and to put a policy into force.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Result;
use serde::Deserialize;

use super::row::{Check, Kind, Row, Summary};
use crate::shell;

/// Identifications for each row.
const SAMPLES: usize = 2_000;
/// Processes that do nothing, where there are many.
const MANY: usize = 500;

#[derive(Deserialize)]
struct Samples {
    identity: Vec<u64>,
    floor: Vec<u64>,
    changes: Vec<u64>,
}

/// Rows with few other processes, with many on the host, and with many in the sandbox.
pub fn rows(release: &Path) -> Result<Vec<Row>> {
    if !shell::has("unshare") || !shell::has("ip") {
        println!(
            "identity: skipped: `unshare` or `ip` is missing; install util-linux and iproute2"
        );
        return Ok(vec![]);
    }
    let mut rows = vec![];
    for (name, host, sandbox) in [
        ("few other processes", 0, 0),
        ("500 more on the host", MANY, 0),
        ("500 more in the sandbox", 0, MANY),
    ] {
        let _host = Idle::start(host)?;
        let mut command = Command::new("unshare");
        command.args(["-rnpf", "--mount-proc"]).arg(release.join("bench-identity"));
        command.args([SAMPLES.to_string(), sandbox.to_string()]);
        // What cargo adds to the environment would make the caller one that preloads.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let samples: Samples = serde_json::from_str(&shell::output(&mut command)?)?;
        let (floor, identity) = (summary(&samples.floor), summary(&samples.identity));
        let checks = vec![Check::at_most("p50", identity.p50, Duration::from_micros(100))];
        rows.push(Row::times(format!("one sock_diag message, {name}"), floor, Kind::Floor));
        let name = format!("identity of a caller, warm, {name}");
        rows.push(Row::times(name, identity, Kind::Ours(checks)));
        if (host, sandbox) == (0, 0) {
            let changes = summary(&samples.changes);
            let checks = vec![Check::at_most("max", changes.max, Duration::from_millis(50))];
            let name = "new revision of the policy → refused by it, in process";
            rows.push(Row::times(name, changes, Kind::Ours(checks)));
        }
    }
    Ok(rows)
}

fn summary(nanoseconds: &[u64]) -> Summary {
    Summary::of(&nanoseconds.iter().copied().map(Duration::from_nanos).collect::<Vec<_>>())
}

/// Processes that do nothing until they are dropped.
struct Idle(Vec<Child>);

impl Idle {
    fn start(count: usize) -> Result<Self> {
        let mut idle = Self(vec![]);
        for _ in 0..count {
            idle.0.push(Command::new("sleep").arg("600").stdin(Stdio::null()).spawn()?);
        }
        Ok(idle)
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // One that is gone already is what is wanted.
            let _gone = child.kill().and_then(|()| child.wait());
        }
    }
}
