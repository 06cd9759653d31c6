//! Requests that two readers could read differently. What reaches the origin is read by readers of its own, and must
//! be what was allowed and recorded: nothing else, nothing more, and with one meaning.

use std::io::Write;
use std::process::{Command, Stdio};

use navigator_egress::{AuditDecision, AuditRecord};

use crate::corpus::{Case, cases, unescape};
use crate::internet::{After, By, Dialler, WAYS, origins, policy};
use crate::python;
use crate::sandbox::{Sandbox, allowing, in_namespaces};
use crate::wire::{self, Seen};

const REQUESTS: &str = include_str!("../corpus/requests.txt");

/// A case's bytes for one way out.
fn bytes(case: &Case, by: By) -> Vec<u8> {
    let prefix = if by == By::Absolute { "http://origin.example" } else { "" };
    let text = case
        .bytes
        .replace("{POST}", "POST {o}/open/a HTTP/1.1\\r\\nHost: {h}\\r\\n")
        .replace("{GET}", "GET {o}/open/a HTTP/1.1\\r\\nHost: {h}\\r\\n")
        .replace("{EVIL}", "GET {o}/denied HTTP/1.1\\r\\nHost: {h}\\r\\n\\r\\n")
        .replace("{o}", prefix)
        .replace("{h}", "origin.example");
    unescape(&text)
}

/// What a case says about one way out.
fn expected(case: &Case, by: By) -> &str {
    let mut parts = case.expected.split("; ");
    let usual = parts.next().unwrap_or_default();
    parts.find_map(|part| part.strip_prefix(&format!("{by:?} "))).unwrap_or(usual)
}

/// `METHOD path`, sorted, of the requests that were allowed.
pub(crate) fn allowed(records: &[AuditRecord]) -> Vec<String> {
    let mut allowed: Vec<_> = records
        .iter()
        .filter(|record| record.decision == AuditDecision::Allow)
        .filter_map(|record| record.request.as_ref())
        .map(|request| format!("{} {}", request.method, request.path))
        .collect();
    allowed.sort();
    allowed
}

fn named<'a>(seen: impl Iterator<Item = &'a Seen>) -> Vec<String> {
    let mut names: Vec<_> = seen
        .map(|request| format!("{} {}", request.method, wire::decoded_path(&request.target)))
        .collect();
    names.sort();
    names
}

/// Compares what reached the origin with what was allowed and what the case says. The last word of an expected
/// request is `cut` when its body breaks off: such a one may arrive in part, or not at all.
pub(crate) fn judge(
    expected: &str,
    streams: &[Vec<u8>],
    records: &[AuditRecord],
) -> Result<(), String> {
    let mut seen = vec![];
    for stream in streams {
        seen.extend(wire::requests(stream)?);
    }
    let (mut whole, mut cut) = (vec![], vec![]);
    for expected in expected.split(", ").filter(|expected| *expected != "-") {
        match expected.strip_suffix(" cut") {
            Some(expected) => cut.push(expected.to_owned()),
            None => whole.push(expected.to_owned()),
        }
    }
    whole.sort();
    let arrived = named(seen.iter().filter(|request| request.whole));
    if arrived != whole {
        return Err(format!("whole requests {arrived:?} reached the origin"));
    }
    let broken = named(seen.iter().filter(|request| !request.whole));
    if !broken.iter().all(|name| cut.contains(name)) {
        return Err(format!("broken requests {broken:?} reached the origin"));
    }
    // One that breaks off in HTTP/2 may be over before it was looked at.
    let mut allowed = allowed(records);
    for name in &whole {
        let Some(at) = allowed.iter().position(|allowed| allowed == name) else {
            return Err(format!("{name} was not recorded as allowed"));
        };
        allowed.remove(at);
    }
    if allowed.len() > cut.len() || !allowed.iter().all(|name| cut.contains(name)) {
        return Err(format!("{allowed:?} were recorded as allowed as well"));
    }
    if seen.iter().any(|request| !wire::decoded_path(&request.target).starts_with("/open/")) {
        return Err("a path that is not allowed".to_owned());
    }
    Ok(())
}

fn run(name: &'static str, by: By) {
    in_namespaces(name, move || {
        let (arrivals, trust) = origins(After::Close);
        let sandbox = Sandbox::trusting(&policy(), trust);
        let dialler = Dialler::new(&sandbox, "http/1.1");
        let cases = cases(REQUESTS);
        let mut wrong = vec![];
        for case in &cases {
            sandbox.records.take();
            let (dialler, bytes) = (dialler.clone(), bytes(case, by));
            let answer = sandbox.inside(move || dialler.dial(by).exchange(&bytes));
            // Else what one case broke off could arrive during the next.
            sandbox.until_quiet();
            let streams = arrivals.take();
            if let Err(why) = judge(expected(case, by), &streams, &sandbox.records.take()) {
                let first = String::from_utf8_lossy(&answer);
                let first = first.lines().next().unwrap_or_default().to_owned();
                wrong.push(format!(
                    "{}: {why}; expected {}; answer {first:?}",
                    case.name, case.expected
                ));
            }
        }
        eprintln!("{} requests by {by:?}", cases.len());
        assert!(wrong.is_empty(), "{} wrong by {by:?}:\n{}", wrong.len(), wrong.join("\n"));
    });
}

#[test]
fn nothing_is_smuggled_through_tls() {
    run("smuggling::nothing_is_smuggled_through_tls", By::Tls);
}

#[test]
fn nothing_is_smuggled_through_a_captured_connection() {
    run("smuggling::nothing_is_smuggled_through_a_captured_connection", By::Captured);
}

#[test]
fn nothing_is_smuggled_through_the_proxy() {
    run("smuggling::nothing_is_smuggled_through_the_proxy", By::Absolute);
}

/// Where requests are not inspected, any path may be asked; what is sent has one meaning and one host all the same.
#[test]
fn requests_that_are_not_inspected_have_one_meaning_too() {
    in_namespaces("smuggling::requests_that_are_not_inspected_have_one_meaning_too", || {
        let (arrivals, _) = origins(After::Keep);
        let sandbox = Sandbox::start(&allowing(&[("origin.example", 80)]));
        let dialler = Dialler::new(&sandbox, "http/1.1");
        for case in cases(REQUESTS) {
            let (dialler, bytes) = (dialler.clone(), bytes(&case, By::Absolute));
            sandbox.inside(move || dialler.dial(By::Absolute).exchange(&bytes));
        }
        let records = sandbox.records.take();
        drop(sandbox);
        let mut seen = vec![];
        for stream in arrivals.take() {
            let text = String::from_utf8_lossy(&stream).into_owned();
            seen.extend(wire::requests(&stream).unwrap_or_else(|why| panic!("{why}: {text:?}")));
        }
        let host = ("host".to_owned(), "origin.example".to_owned());
        assert!(seen.iter().all(|request| request.fields.contains(&host)));
        let allowed = records.iter().filter(|record| record.decision == AuditDecision::Allow);
        assert!(seen.len() <= allowed.count(), "more requests than were allowed");
    });
}

/// Sends every case over kept connections; returns what arrived and what was allowed.
fn all_kept() -> (Vec<Vec<u8>>, Vec<AuditRecord>) {
    let (arrivals, trust) = origins(After::Keep);
    let sandbox = Sandbox::trusting(&policy(), trust);
    let dialler = Dialler::new(&sandbox, "http/1.1");
    for by in WAYS {
        for case in cases(REQUESTS) {
            let (dialler, bytes) = (dialler.clone(), bytes(&case, by));
            sandbox.inside(move || dialler.dial(by).exchange(&bytes));
        }
    }
    let records = sandbox.records.take();
    drop(sandbox);
    (arrivals.take(), records)
}

#[test]
fn kept_connections_carry_what_was_allowed_and_nothing_else() {
    in_namespaces("smuggling::kept_connections_carry_what_was_allowed_and_nothing_else", || {
        let (streams, records) = all_kept();
        let mut allowed = allowed(&records);
        let seen: Vec<Seen> =
            streams.iter().flat_map(|stream| wire::requests(stream).unwrap()).collect();
        assert!(streams.len() * 2 < seen.len(), "{} connections were not kept", streams.len());
        for name in named(seen.iter()) {
            let at = allowed.iter().position(|allowed| *allowed == name);
            allowed.remove(at.unwrap_or_else(|| panic!("{name} was not allowed")));
        }
        // Only requests whose body broke off may be missing.
        let cut = cases(REQUESTS).iter().filter(|case| case.expected.contains(" cut")).count();
        assert!(allowed.len() <= cut * WAYS.len(), "allowed, but did not arrive: {allowed:?}");
    });
}

#[test]
fn another_http1_library_reads_what_was_judged() {
    let Some(python) = python::with("h11") else { return };
    in_namespaces("smuggling::another_http1_library_reads_what_was_judged", || {
        let (streams, _) = all_kept();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/h11_requests.py");
        let mut child = Command::new(python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let hex = |stream: &Vec<u8>| stream.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let lines: Vec<String> = streams.iter().map(hex).collect();
        let writer = std::thread::spawn(move || input.write_all(lines.join("\n").as_bytes()));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        assert!(output.status.success());
        type Read = Vec<(String, String, usize, bool)>;
        let theirs = String::from_utf8(output.stdout).unwrap();
        let theirs: Vec<Read> =
            theirs.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(theirs.len(), streams.len());
        for (stream, theirs) in streams.iter().zip(theirs) {
            let ours: Read = wire::requests(stream)
                .unwrap()
                .into_iter()
                .map(|seen| (seen.method, seen.target, seen.body.len(), seen.whole))
                .collect();
            assert_eq!(ours, theirs, "{:?}", String::from_utf8_lossy(stream));
        }
    });
}
