//! The command line as its users see it.

mod audit;
mod examples;
mod exit_codes;
mod help;
mod image;
mod neutral;
mod output;
mod policy;
mod sandbox;

use std::path::Path;
use std::process::{Command, Output};

pub(crate) fn navigator(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_navigator")).args(args).output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub(crate) fn example(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name).display().to_string()
}

pub(crate) fn file(dir: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// Runs a command in a sandbox; `None`, with the reason, where none can start.
pub(crate) fn run(args: &[&str], command: &[&str]) -> Option<Output> {
    let doctor = navigator(&["doctor"]);
    if doctor.status.code() != Some(0) {
        eprintln!("skipped: no sandbox can start here:\n{}", stdout(&doctor));
        return None;
    }
    let all = [&["run", "-T", "--audit", "/dev/null"], args, &["--"], command].concat();
    Some(Command::new(env!("CARGO_BIN_EXE_navigator")).args(all).output().unwrap())
}
