//! The policies that are handed out.

use std::path::PathBuf;

use crate::{example, navigator, stderr, stdout};

#[test]
fn every_example_is_valid() {
    let mut count = 0;
    for entry in std::fs::read_dir(example("")).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        if path.to_string_lossy().ends_with(".cases.yaml") {
            continue;
        }
        let output = navigator(&["policy", "check", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{}: {}", path.display(), stderr(&output));
        assert!(output.stderr.is_empty(), "{}", stderr(&output));
        count += 1;
    }
    assert!(count >= 3);
}

#[test]
fn examples_answer_their_cases() {
    let output = navigator(&["policy", "test", &example("pypi.yaml"), &example("pypi.cases.yaml")]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert!(stdout(&output).ends_with("5 passed, 0 failed\n"), "{}", stdout(&output));
    let other =
        navigator(&["policy", "test", &example("offline.yaml"), &example("pypi.cases.yaml")]);
    assert_eq!(other.status.code(), Some(1));
}
