//! The policies that are handed out.

use std::path::PathBuf;

use crate::{example, file, navigator, stderr, stdout};

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
    let mut count = 0;
    for entry in std::fs::read_dir(example("")).unwrap() {
        let cases = entry.unwrap().path().display().to_string();
        let Some(name) = cases.strip_suffix(".cases.yaml") else { continue };
        let output = navigator(&["policy", "test", &format!("{name}.yaml"), &cases]);
        assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
        count += 1;
    }
    assert!(count >= 2);
    let (offline, cases) = (example("offline.yaml"), example("pypi.cases.yaml"));
    assert_eq!(navigator(&["policy", "test", &offline, &cases]).status.code(), Some(1));
}

#[test]
fn formatting_an_example_keeps_its_meaning_and_its_comments() {
    let dir = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(example("")).unwrap() {
        let path = entry.unwrap().path().display().to_string();
        if path.ends_with(".cases.yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let copy = file(&dir, "copy.yaml", &text);
        assert_eq!(navigator(&["policy", "fmt", "--write", &copy]).status.code(), Some(0));
        assert_eq!(stdout(&navigator(&["policy", "diff", &path, &copy])), "", "{path}");
        assert_eq!(navigator(&["policy", "fmt", "--check", &copy]).status.code(), Some(0));
        let formatted = std::fs::read_to_string(&copy).unwrap();
        for comment in text.lines().map(str::trim).filter(|line| line.starts_with('#')) {
            assert!(formatted.contains(&format!("{comment}\n")), "{path}: {comment}");
        }
    }
}
