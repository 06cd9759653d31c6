//! Everything that a change must pass, cheapest first.

use std::process::Command;

use anyhow::Result;

use crate::{shell, test, tidy};

/// Runs all checks.
pub fn run() -> Result<()> {
    shell::cargo("fmt --all --check")?;
    tidy::run()?;
    shell::cargo("clippy --workspace --all-targets -- -D warnings")?;
    let mut doc = Command::new(env!("CARGO"));
    doc.args(["doc", "--workspace", "--no-deps", "--document-private-items"]);
    shell::run(doc.env("RUSTDOCFLAGS", "-D warnings"))?;
    test::run()
}
