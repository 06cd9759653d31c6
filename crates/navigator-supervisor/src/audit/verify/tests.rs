use super::*;
use crate::audit::chain::Link;
use crate::audit::reader::Lines;

/// Lines of an intact chain, numbered from 1.
fn chain(count: u64) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = vec![];
    for seq in 1..=count {
        let prev = lines.last().map(|line| Digest::of(line));
        lines.push(linked(seq, prev));
    }
    lines
}

fn linked(seq: u64, prev: Option<Digest>) -> Vec<u8> {
    let mut line = vec![];
    let body = format!(
        "{{\"event\":\"end\",\"time\":\"2026-01-02T03:04:05Z\",\"sandbox_id\":\"s\",\"outcome\":\"{seq}\",\"lost\":0}}"
    );
    Link { seq, prev }.write(body.as_bytes(), &mut line);
    line
}

fn text(lines: &[Vec<u8>]) -> Vec<u8> {
    let mut text = lines.join(&b'\n');
    text.push(b'\n');
    text
}

fn check_expecting(bytes: &[u8], expect: Option<Digest>) -> Report {
    let mut verifier = Verifier::new(expect);
    let mut lines = Lines::new(bytes);
    while let Some(line) = lines.next_line().unwrap() {
        verifier.line(Path::new("audit.jsonl"), &line);
    }
    verifier.finish()
}

fn check(bytes: &[u8]) -> Report {
    check_expecting(bytes, None)
}

fn found(report: &Report) -> Vec<(u64, Problem)> {
    report.findings.iter().map(|found| (found.place.line, found.problem.clone())).collect()
}

fn spans(report: &Report) -> Vec<(u64, u64)> {
    report.spans.iter().map(|span| (span.first.line, span.last.line)).collect()
}

#[test]
fn an_intact_file_is_intact() {
    let lines = chain(5);
    let report = check(&text(&lines));
    assert!(report.intact && report.findings.is_empty() && report.notes.is_empty());
    assert_eq!((report.lines, report.last_seq), (5, Some(5)));
    assert_eq!(report.last_hash, Some(Digest::of(&lines[4])));
    assert_eq!(spans(&report), [(1, 5)]);
    assert!(check(b"").intact);
}

#[test]
fn an_altered_line_is_named_and_what_is_proven_is_told() {
    let mut lines = chain(6);
    let at = lines[2].len() - 5;
    lines[2][at] ^= 1;
    let report = check(&text(&lines));
    assert!(!report.intact);
    assert_eq!(found(&report), [(3, Problem::Altered)]);
    assert_eq!(spans(&report), [(1, 3), (4, 6)]);
}

#[test]
fn a_line_made_unreadable_is_altered_too() {
    let mut lines = chain(4);
    lines[1] = b"\0\xff junk".to_vec();
    assert_eq!(found(&check(&text(&lines))), [(2, Problem::Altered)]);
    let mut lines = chain(4);
    lines[0] = b"junk".to_vec();
    assert!(!check(&text(&lines)).intact);
}

#[test]
fn missing_lines_are_counted() {
    let mut lines = chain(8);
    lines.drain(2..5);
    let report = check(&text(&lines));
    assert_eq!(found(&report), [(3, Problem::Missing { count: 3 })]);
    assert_eq!(spans(&report), [(1, 2), (3, 5)]);
    let mut lines = chain(4);
    lines.remove(0);
    let missing = Problem::MissingBeginning { seq: 2, from: None };
    assert_eq!(found(&check(&text(&lines))), [(1, missing)]);
}

#[test]
fn moved_and_repeated_lines_are_found() {
    let mut lines = chain(5);
    lines.swap(1, 3);
    let report = check(&text(&lines));
    assert!(
        found(&report).contains(&(3, Problem::Misplaced { seq: 3, expected: 5 })),
        "{report:?}"
    );
    let mut lines = chain(3);
    lines.insert(2, lines[1].clone());
    assert_eq!(found(&check(&text(&lines)))[0], (3, Problem::Misplaced { seq: 2, expected: 3 }));
}

#[test]
fn added_lines_are_found() {
    let mut lines = chain(4);
    lines.insert(2, br#"{"event":"end"}"#.to_vec());
    assert!(!check(&text(&lines)).intact);
    let mut lines = chain(4);
    lines.push(b"no link".to_vec());
    assert_eq!(found(&check(&text(&lines))), [(5, Problem::Unproven)]);
    // Held by its successor it is a line that was cut off, as the next writer found it.
    lines.push(linked(6, Some(Digest::of(&lines[4]))));
    assert!(check(&text(&lines)).intact);
    lines.insert(4, b"one more".to_vec());
    assert_eq!(found(&check(&text(&lines)))[0], (5, Problem::Unproven));
}

#[test]
fn a_wrong_number_with_the_right_hash_is_found() {
    let mut lines = chain(2);
    lines.push(linked(9, Some(Digest::of(&lines[1]))));
    assert_eq!(found(&check(&text(&lines))), [(3, Problem::Numbered { seq: 9, expected: 3 })]);
}

#[test]
fn a_cut_line_is_a_torn_end_until_the_next_line_seals_it() {
    for keep in [3, 100] {
        let mut lines = chain(3);
        lines[2].truncate(keep);
        let mut bytes = text(&lines);
        bytes.pop();
        assert_eq!(found(&check(&bytes)), [(3, Problem::TornEnd)], "{keep}");
        lines.push(linked(4, Some(Digest::of(&lines[2]))));
        let report = check(&text(&lines));
        assert!(report.intact, "{keep}: {report:?}");
        let place = Place { file: "audit.jsonl".into(), line: 3 };
        assert_eq!(report.notes, [Note::Sealed { place }]);
    }
}

#[test]
fn a_removed_end_is_found_by_a_hash_that_was_kept() {
    let mut lines = chain(5);
    let hash = Some(Digest::of(&lines[4]));
    let report = check_expecting(&text(&lines), hash);
    assert!(report.intact && report.expected.unwrap().found.unwrap().line == 5);
    lines.push(linked(6, hash));
    assert!(check_expecting(&text(&lines), hash).intact, "lines may be added");
    lines.truncate(4);
    assert!(check(&text(&lines)).intact, "nothing else shows it");
    assert!(!check_expecting(&text(&lines), hash).intact);
}

#[test]
fn a_chain_that_was_written_anew_is_found_by_a_hash_that_was_kept() {
    let hash = Digest::of(&chain(5)[4]);
    let mut forged: Vec<Vec<u8>> = vec![];
    for seq in 1..=5 {
        let prev = forged.last().map(|line| Digest::of(line));
        let mut line = linked(seq, prev);
        let at = line.len() - 12;
        line[at] = b'9';
        forged.push(line);
    }
    assert!(check(&text(&forged)).intact);
    assert!(!check_expecting(&text(&forged), Some(hash)).intact);
}

#[test]
fn files_of_versions_without_a_chain_are_told_precisely() {
    let old =
        br#"{"event":"end","time":"2026-01-02T03:04:05Z","sandbox_id":"s","outcome":"x","lost":0}"#;
    let mut lines = vec![old.to_vec(), old.to_vec()];
    assert_eq!(found(&check(&text(&lines))), [(2, Problem::NoChain)]);
    lines.push(linked(1, Some(Digest::of(old))));
    lines.push(linked(2, Some(Digest::of(&lines[2]))));
    let report = check(&text(&lines));
    assert!(report.intact, "{report:?}");
    assert_eq!(report.notes, [Note::Unchained { lines: 2 }]);
    lines[1] = b"changed".to_vec();
    assert_eq!(found(&check(&text(&lines))), [(2, Problem::Altered)]);
}

#[test]
fn unknown_events_are_verified_as_well() {
    let mut lines = chain(2);
    let mut new = vec![];
    let link = Link { seq: 3, prev: Some(Digest::of(&lines[1])) };
    link.write(br#"{"event":"teleport","to":{"x":1}}"#, &mut new);
    lines.push(new);
    lines.push(linked(4, Some(Digest::of(&lines[2]))));
    let report = check(&text(&lines));
    assert!(report.intact);
    assert_eq!(report.notes, [Note::Unknown { lines: 1 }]);
    let at = lines[2].len() - 3;
    lines[2][at] = b'2';
    assert!(!check(&text(&lines)).intact);
}

#[test]
fn junk_is_no_audit_file_and_ends_in_bounded_findings() {
    let junk: Vec<u8> =
        (0..200_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    assert!(found(&check(&junk)).iter().all(|(_, problem)| *problem == Problem::NoChain));
    let mut lines = chain(1);
    lines.extend((0..500).map(|_| b"junk".to_vec()));
    let report = check(&text(&lines));
    assert_eq!(report.findings.len(), LISTED);
    assert_eq!(report.more_findings, 400);
    // The same for breaks and notes, which somebody could make by the million.
    let breaks: Vec<Vec<u8>> = (0..500).map(|_| linked(1, None)).collect();
    assert_eq!(check(&text(&breaks)).spans.len(), LISTED + 1);
    let mut lines = chain(1);
    for seq in (2..1000).step_by(2) {
        lines.push(format!("cut off {seq}").into_bytes());
        lines.push(linked(seq + 1, lines.last().map(|line| Digest::of(line))));
    }
    let report = check(&text(&lines));
    assert!(report.intact && report.notes.len() == LISTED && report.more_notes == 399);
}

#[test]
fn clocks_that_jump_are_no_fault() {
    let mut lines = chain(1);
    for (seq, time) in [(2, "2030-01-01T00:00:00Z"), (3, "1999-01-01T00:00:00Z")] {
        let mut line = vec![];
        let body = format!("{{\"event\":\"rotated\",\"time\":\"{time}\",\"to\":\"x\"}}");
        let link = Link { seq, prev: lines.last().map(|line| Digest::of(line)) };
        link.write(body.as_bytes(), &mut line);
        lines.push(line);
    }
    assert!(check(&text(&lines)).intact);
}

proptest::proptest! {
    /// Whatever single change is made anywhere but in the last line, it is found.
    #[test]
    fn every_change_before_the_last_line_is_found(line in 0_usize..5, at in 0_usize..400, bit in 0_u8..8) {
        let mut lines = chain(6);
        let at = at % lines[line].len();
        lines[line][at] ^= 1 << bit;
        proptest::prop_assert!(!check(&text(&lines)).intact);
    }
}
