//! `navigator`: runs AI agents in sandboxes that a declarative policy governs.
#![forbid(unsafe_code)]

mod audit;
mod cli;
mod doctor;
mod exit;
mod gateway;
mod image;
mod output;
mod pages;
mod policy;
mod run;
mod sandbox;
mod ssh;
mod status;
mod supervise;
mod text_file;
mod why;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
