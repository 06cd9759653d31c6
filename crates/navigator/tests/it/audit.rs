//! `navigator audit` and `navigator why` over a file with one record of each kind.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::{file, navigator, stderr, stdout};

const SAMPLE: &str = include_str!("sample.jsonl");

fn sample(dir: &tempfile::TempDir) -> String {
    file(dir, "audit.jsonl", SAMPLE)
}

fn show(options: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = sample(&dir);
    let output = navigator(&[&["audit", "show", &path], options].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    stdout(&output)
}

fn hosts(options: &[&str]) -> Vec<String> {
    let all = [options, &["-o", "json"]].concat();
    let text = show(&all);
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| line["host"].as_str().unwrap_or("-").to_owned()).collect()
}

fn verify(text: &str, options: &[&str]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, "audit.jsonl", text);
    navigator(&[&["audit", "verify", &path], options].concat())
}

#[test]
fn records_are_shown_one_a_line_and_command_no_terminal() {
    let text = show(&[]);
    assert_eq!(text.lines().count(), SAMPLE.lines().count());
    assert!(
        text.contains("deny        agent  /usr/bin/python3.11 → example.com:443  host: no policy")
    );
    assert!(text.contains("would-deny  other") && text.contains("POST /v1/items"), "{text}");
    assert!(text.contains("→ [2001:db8::1]:443") && text.contains("#0123456789".get(..7).unwrap()));
    assert!(text.contains("`teleport`, unknown to this version"));
    assert!(text.lines().last().unwrap().ends_with("exited with code 3"));
    let json = show(&["-o", "json"]);
    for output in [text, json] {
        assert!(!output.chars().any(|c| c.is_control() && c != '\n'), "{output}");
    }
}

#[test]
fn each_filter_lets_the_right_records_through() {
    assert_eq!(hosts(&["--decision", "allow"]), ["pypi.org"]);
    assert_eq!(hosts(&["--decision", "allow", "--decision", "would-deny"]).len(), 2);
    assert_eq!(hosts(&["--host", "example.com"]), ["example.com", "api.example.com"]);
    assert_eq!(hosts(&["--reason", "identity"]), ["2001:db8::1"]);
    assert_eq!(hosts(&["--program", "python3.11"]).len(), 4);
    assert_eq!(hosts(&["--sandbox", "other"]).len(), 2);
    assert_eq!(hosts(&["--since", "2026-01-03", "--until", "2026-01-03"]).len(), 2);
    assert_eq!(hosts(&["--since", "1h"]).len(), 0);
    assert_eq!(hosts(&["-n", "2", "--decision", "deny"]).len(), 2);
    assert_eq!(navigator(&["audit", "show", "--since", "yesterday"]).status.code(), Some(2));
}

#[test]
fn what_is_added_is_shown_while_it_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let path = sample(&dir);
    let mut child = Command::new(env!("CARGO_BIN_EXE_navigator"))
        .args(["audit", "show", &path, "-f", "-n", "1", "-o", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("\"seq\":8,"));
    let mut added = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    writeln!(added, "{}", SAMPLE.lines().nth(1).unwrap().replace("\"seq\":2,", "\"seq\":9,"))
        .unwrap();
    assert!(lines.next().unwrap().unwrap().contains("\"seq\":9,"));
    drop(lines);
    // It ends by itself when it has something to say and nobody reads.
    writeln!(added, "{}", SAMPLE.lines().nth(1).unwrap().replace("\"seq\":2,", "\"seq\":10,"))
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn an_intact_file_verifies_and_its_hash_can_be_kept() {
    let output = verify(SAMPLE, &["-o", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&report["intact"], &report["lines"]), (&true.into(), &8.into()));
    let hash = report["last_hash"].as_str().unwrap();
    let kept = verify(SAMPLE, &["--expect", hash]);
    assert_eq!(kept.status.code(), Some(0));
    assert!(stdout(&kept).contains("everything up to there is proven"), "{}", stdout(&kept));
    let shorter: String = SAMPLE.lines().take(7).map(|line| format!("{line}\n")).collect();
    assert_eq!(verify(&shorter, &[]).status.code(), Some(0));
    assert_eq!(verify(&shorter, &["--expect", hash]).status.code(), Some(1));
    assert_eq!(verify(SAMPLE, &["--expect", "abc"]).status.code(), Some(2));
}

#[test]
fn each_change_is_found_and_its_line_is_named() {
    let lines: Vec<&str> = SAMPLE.lines().collect();
    let swapped = [lines[0], lines[2], lines[1], lines[3], lines[4]].join("\n") + "\n";
    let removed = [&lines[..2], &lines[4..]].concat().join("\n") + "\n";
    for (text, line, words) in [
        (SAMPLE.replace("pypi.org\",\"port", "evil.org\",\"port"), 2, "was altered"),
        (removed, 3, "2 lines before this one are missing"),
        (swapped, 2, "before this one is missing"),
        (SAMPLE.trim_end().to_owned(), 8, "was cut off"),
        (format!("{SAMPLE}{}\n", lines[7]), 9, "line number 8 stands where 9 belongs"),
        (lines[1..].join("\n") + "\n", 1, "the lines before it are missing"),
        (format!("{SAMPLE}{{}}\n"), 9, "no audit line"),
    ] {
        let output = verify(&text, &[]);
        assert_eq!(output.status.code(), Some(1), "{words}");
        let said = stdout(&output);
        assert!(said.contains(&format!("audit.jsonl:{line}: ")) && said.contains(words), "{said}");
    }
}

#[test]
fn what_is_no_audit_file_is_told_from_one_that_cannot_be_read() {
    for path in ["/", "/no/such/file"] {
        for command in ["show", "verify"] {
            let output = navigator(&["audit", command, path]);
            assert_eq!(output.status.code(), Some(2), "{command} {path}");
            assert!(stderr(&output).contains(path) && stderr(&output).contains("next: "));
        }
    }
    let junk = verify("\u{0}\u{1}\nnothing\n", &[]);
    assert_eq!(junk.status.code(), Some(1));
    assert!(stdout(&junk).contains("nothing is proven"));
    let dir = tempfile::tempdir().unwrap();
    let output = navigator(&["audit", "show", &file(&dir, "junk", "a\n{}\nhalf")]);
    assert!(output.stdout.is_empty() && stderr(&output).contains("3 lines are no audit records"));
    assert!(verify("", &[]).status.success());
}

#[test]
fn exports_are_json_lines() {
    let dir = tempfile::tempdir().unwrap();
    let path = sample(&dir);
    let export = |format: &str| -> Vec<Value> {
        let output = navigator(&["audit", "export", "--format", format, &path]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    assert_eq!(export("json").len(), 8);
    let classes: Vec<u64> =
        export("ocsf").iter().map(|event| event["class_uid"].as_u64().unwrap()).collect();
    assert_eq!(classes, [1007, 4001, 4001, 4002, 4003, 4001, 2004, 0, 1007]);
    assert_eq!(navigator(&["audit", "export", &path]).status.code(), Some(2));
}

#[test]
fn why_explains_a_recorded_decision() {
    let dir = tempfile::tempdir().unwrap();
    let path = sample(&dir);
    let why = |options: &[&str]| navigator(&[&["why", "--audit", &path], options].concat());
    let last = stdout(&why(&["--last-denied"]));
    assert!(last.starts_with("denied: /usr/bin/python3.11 → [2001:db8::1]:443\n"), "{last}");
    let other = stdout(&why(&["--last-denied", "--sandbox", "other"]));
    assert!(other.contains("asked by  a DNS question") && !other.contains('\u{1b}'), "{other}");
    let one = stdout(&why(&["--id", "#012345678902"]));
    assert!(one.contains("why       no policy allows example.com:443"), "{one}");
    assert!(
        one.contains("      - { host: example.com, port: 443 }\nor run: navigator policy allow")
    );
    let whole = why(&["--id", "019b7c1e-2f00-7abc-8def-012345678903", "-o", "json"]);
    let record: Value = serde_json::from_str(&stdout(&whole)).unwrap();
    assert_eq!(record["request"]["method"], "POST");
}

#[test]
fn why_says_when_there_is_no_answer_or_no_question() {
    let dir = tempfile::tempdir().unwrap();
    let path = sample(&dir);
    let why = |options: &[&str]| navigator(&[&["why", "--audit", &path], options].concat());
    assert_eq!(why(&["--id", "ffffffff"]).status.code(), Some(1));
    assert_eq!(why(&["--last-denied", "--sandbox", "nobody"]).status.code(), Some(1));
    assert_eq!(why(&["--id", "xyz"]).status.code(), Some(2));
    assert_eq!(why(&[]).status.code(), Some(2));
    let twice = file(&dir, "twice", &format!("{SAMPLE}{SAMPLE}"));
    let output = navigator(&["why", "--audit", &twice, "--id", "012345678902"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("2 decisions end in"));
    assert_eq!(navigator(&["why", "--last-denied", "--audit", "/no/such"]).status.code(), Some(2));
}

#[test]
fn why_asks_a_policy_like_policy_why() {
    let policy = crate::example("pypi.yaml");
    let question = ["--binary", "/usr/bin/python3", "--host", "example.com", "--port", "8443"];
    let short = navigator(&[&["why", &policy], &question[..]].concat());
    let long = navigator(&[&["policy", "why", &policy], &question[..]].concat());
    assert_eq!(short, long);
    assert!(stdout(&short).starts_with("denied: "));
    assert_eq!(navigator(&["why", &policy]).status.code(), Some(2));
}
