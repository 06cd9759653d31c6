//! Developer commands: `cargo xtask ci | test | tidy | bench | pages | codegen`.
#![forbid(unsafe_code)]

mod bench;
mod ci;
mod clients;
mod shell;
mod test;
mod tidy;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Developer commands
#[derive(Parser)]
struct Xtask {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check everything that a change must pass
    Ci,
    /// Install what the tests need and run all tests
    Test,
    /// Check the rules about files and dependencies
    Tidy,
    /// Measure next to the floor, in a release build; all, or what is named
    Bench { groups: Vec<bench::Group> },
    /// The part of `bench` that runs inside a fake internet
    #[command(hide = true)]
    BenchInside { release: PathBuf, dir: PathBuf },
    /// Write the committed manual pages again
    Pages,
    /// Write the committed code of the wire types again
    Codegen,
}

fn main() -> anyhow::Result<()> {
    std::env::set_current_dir(shell::root())?;
    match Xtask::parse().command {
        Command::Ci => ci::run(),
        Command::Test => test::run(),
        Command::Tidy => tidy::run(),
        Command::Bench { groups } => bench::run(&groups),
        Command::BenchInside { release, dir } => bench::inside(&release, &dir),
        Command::Pages => {
            shell::cargo("run --quiet -p navigator -- man --dir crates/navigator/man")
        }
        Command::Codegen => shell::cargo("run --quiet -p navigator-codegen"),
    }
}
