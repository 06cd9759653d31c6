//! Where output goes, and what happens when it cannot go there.

use std::fs::File;
use std::process::{Command, Output, Stdio};

use crate::{example, stderr};

/// Every command that prints data, and the exit code that it has otherwise.
fn printing() -> Vec<(Vec<String>, i32)> {
    let (pypi, cases) = (example("pypi.yaml"), example("pypi.cases.yaml"));
    let other = example("offline.yaml");
    let right = "--host a.example --port 443 --binary /b";
    [
        ("--help".to_owned(), 0),
        ("--version".into(), 0),
        ("run --help".into(), 0),
        ("completions bash".into(), 0),
        ("man".into(), 0),
        (format!("policy check {pypi}"), 0),
        (format!("policy check -o json {pypi}"), 0),
        (format!("policy fmt {pypi}"), 0),
        (format!("policy fmt --check {pypi}"), 1),
        (format!("policy explain {pypi}"), 0),
        (format!("policy why {pypi} --binary /b --host a.example"), 0),
        (format!("policy test {pypi} {cases}"), 0),
        (format!("policy test {other} {cases}"), 1),
        (format!("policy diff {pypi} {other}"), 0),
        (format!("policy allow {pypi} {right}"), 0),
        ("policy schema".into(), 0),
    ]
    .into_iter()
    .map(|(words, code)| (words.split(' ').map(str::to_owned).collect(), code))
    .collect()
}

fn to(args: &[String], stdout: Stdio) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_navigator"));
    let child = command.args(args).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn output_that_finds_no_room_is_our_failure() {
    for (args, _) in printing() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = to(&args, full.into());
        assert_eq!(output.status.code(), Some(125), "{args:?}: {}", stderr(&output));
        let text = stderr(&output);
        assert!(text.contains("failed to write to standard output"), "{args:?}: {text}");
        assert!(text.contains("\n  next: "), "{args:?}: {text}");
    }
}

#[test]
fn a_reader_that_went_away_ends_it_quietly() {
    for (args, code) in printing() {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = to(&args, writer.into());
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", stderr(&output));
        assert_eq!(stderr(&output), "", "{args:?}");
    }
}

#[test]
fn the_doctor_says_when_it_cannot_be_heard() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = to(&["doctor".into()], full.into());
    assert_eq!(output.status.code(), Some(125), "{}", stderr(&output));
}
