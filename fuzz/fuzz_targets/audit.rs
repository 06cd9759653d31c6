//! Audit files: no panic, every byte belongs to one line, and what is read and checked is bounded by what is there.
#![no_main]

use std::path::Path;

use navigator_supervisor::audit::{Line, Lines, Verifier, ocsf};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut lines = Lines::new(bytes);
    let mut verifier = Verifier::new(None);
    let mut read = 0;
    while let Some(line) = lines.next_line().expect("memory can be read") {
        read += line.length + u64::from(line.ended);
        verifier.line(Path::new("audit.jsonl"), &line);
        if let Some(Ok(line)) = line.whole().map(Line::parse) {
            assert!(!ocsf::events(&line).is_empty());
        }
    }
    assert_eq!(read, bytes.len() as u64);
    let report = verifier.finish();
    // The beginning and the last span are told whatever else there is.
    let listed = [report.findings.len(), report.notes.len(), report.spans.len()];
    assert!(listed.iter().all(|count| *count <= 101));
    assert!(report.intact == report.findings.is_empty());
});
