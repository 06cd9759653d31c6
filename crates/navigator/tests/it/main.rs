//! The command line as its users see it.

mod examples;
mod exit_codes;
mod help;
mod neutral;
mod output;
mod policy;

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
