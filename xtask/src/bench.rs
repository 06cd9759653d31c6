//! Measures what a user waits for, each row next to its floor in the same run and beside its budget.
//!
//! Rows are interleaved: floor, peer, ours, and again, so that a machine that drifts moves all of them.

mod gateway;
mod identity;
mod inspected;
mod network;
mod row;
mod start;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use crate::shell;
pub use inspected::inside;
use row::{Check, Kind, Row, Summary};

/// Runs every row and prints one table.
pub fn run() -> Result<()> {
    shell::cargo("build --release -p navigator -p navigator-testkit -p xtask --bins")?;
    let release = target().join("release");
    let mut rows = start::rows(&release)?;
    rows.push(decisions(&release, 15, Duration::from_nanos(500))?);
    rows.push(decisions(&release, 1_000, Duration::from_micros(2))?);
    rows.extend(gateway::rows(&release)?);
    rows.extend(identity::rows(&release)?);
    rows.extend(network::rows(&release)?);
    rows.extend(inspected::rows(&release)?);
    println!("{}", Row::heading());
    for row in &rows {
        println!("{}", row.line());
    }
    let file = target().join("bench/bench.json");
    std::fs::create_dir_all(target().join("bench"))?;
    let report: Value = rows.iter().map(Row::json).collect();
    std::fs::write(&file, serde_json::to_string_pretty(&report)?)?;
    println!("written to {}", file.display());
    Ok(())
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| shell::root().join("target"), PathBuf::from)
}

/// Measured by the load program, which is built for release as the product is.
fn decisions(release: &Path, size: usize, budget: Duration) -> Result<Row> {
    let mut load = Command::new(release.join("bench-client"));
    load.args(["decide", "-", &size.to_string(), "1"]);
    let nanoseconds: Vec<u64> = serde_json::from_str(&shell::output(&mut load)?)?;
    let samples: Vec<_> = nanoseconds.into_iter().map(Duration::from_nanos).collect();
    let summary = Summary::of(&samples);
    let checks = vec![Check::at_most("p50", summary.p50, budget)];
    Ok(Row::times(format!("decision, policy of {size} endpoints"), summary, Kind::Ours(checks)))
}
