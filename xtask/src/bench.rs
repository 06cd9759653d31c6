//! Measures what a user waits for, each row next to its floor in the same run and beside its budget.
//!
//! Rows are interleaved: floor, peer, ours, and again, so that a machine that drifts moves all of them.

mod access;
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
use clap::ValueEnum;
use serde_json::Value;

use crate::shell;
pub use inspected::inside;
use row::{Check, Kind, Row, Summary};

/// What can be measured by itself.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Group {
    Start,
    Decisions,
    Gateway,
    Access,
    Identity,
    Network,
    Inspected,
}

/// Runs the rows of some groups, or of all, and prints one table.
pub fn run(groups: &[Group]) -> Result<()> {
    shell::cargo("build --release -p navigator -p navigator-testkit -p xtask --bins")?;
    let release = target().join("release");
    let groups = if groups.is_empty() { Group::value_variants() } else { groups };
    let mut rows = vec![];
    for group in groups {
        rows.extend(match group {
            Group::Start => start::rows(&release)?,
            Group::Decisions => vec![
                decisions(&release, 15, Duration::from_nanos(500))?,
                decisions(&release, 1_000, Duration::from_micros(2))?,
            ],
            Group::Gateway => gateway::rows(&release)?,
            Group::Access => access::rows(&release)?,
            Group::Identity => identity::rows(&release)?,
            Group::Network => network::rows(&release)?,
            Group::Inspected => inspected::rows(&release)?,
        });
    }
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
