//! The command line as its users see it, without starting sandboxes.

mod audit;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn navigator(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_navigator")).args(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn example(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name).display().to_string()
}

fn file(dir: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

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

#[test]
fn check_reports_errors_with_their_place_as_text_and_json() {
    let dir = tempfile::tempdir().unwrap();
    let bad = file(&dir, "bad.yaml", "version: 1\nprocess:\n  run_as_user: root\n  nonsense: 1\n");
    let output = navigator(&["policy", "check", &bad]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("bad.yaml:3:16") && stderr(&output).contains("bad.yaml:4:3"));
    let output = navigator(&["policy", "check", "-o", "json", &bad]);
    assert_eq!(output.status.code(), Some(2));
    let report: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["valid"], false);
    assert_eq!(report["errors"].as_array().unwrap().len(), 2);
    assert_eq!(report["errors"][0]["line"], 3);
}

#[test]
fn why_tells_the_decision_and_the_change() {
    let ask = |host: &str| {
        let policy = example("pypi.yaml");
        navigator(&["policy", "why", &policy, "--binary", "/usr/bin/python3", "--host", host])
    };
    assert!(stdout(&ask("pypi.org")).starts_with("allowed: "));
    let denied = stdout(&ask("example.com"));
    assert!(denied.starts_with("denied: ") && denied.contains("host: example.com"), "{denied}");
    assert_eq!(ask("exa mple").status.code(), Some(2));
}

#[test]
fn allow_changes_a_policy_as_asked_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let before = file(&dir, "p.yaml", &std::fs::read_to_string(example("pypi.yaml")).unwrap());
    let after = file(&dir, "q.yaml", &std::fs::read_to_string(example("pypi.yaml")).unwrap());
    let right = ["--host", "a.example", "--port", "443", "--binary", "/usr/bin/curl"];
    let mut args = vec!["policy", "allow", &after, "--write"];
    args.extend(right);
    assert_eq!(navigator(&args).status.code(), Some(0));
    let diff = navigator(&["policy", "diff", &before, &after]);
    assert_eq!(stdout(&diff), "+ /usr/bin/curl → a.example:443\n");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing else is left");
}

#[test]
fn changing_a_policy_keeps_links_and_modes() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let real = file(&dir, "real.yaml", "version: 1\n");
    std::fs::set_permissions(&real, PermissionsExt::from_mode(0o600)).unwrap();
    let link = dir.path().join("link.yaml");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let right = ["--host", "a.example", "--port", "443", "--binary", "/b", "--write"];
    let mut args = vec!["policy", "allow", link.to_str().unwrap()];
    args.extend(right);
    assert_eq!(navigator(&args).status.code(), Some(0));
    assert!(link.is_symlink());
    assert!(std::fs::read_to_string(&real).unwrap().contains("a.example"));
    assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn fmt_is_stable_and_explain_uses_plain_words() {
    let once = stdout(&navigator(&["policy", "fmt", &example("github-readonly.yaml")]));
    let dir = tempfile::tempdir().unwrap();
    let again = stdout(&navigator(&["policy", "fmt", &file(&dir, "f.yaml", &once)]));
    assert_eq!(once, again);
    let words = stdout(&navigator(&["policy", "explain", &example("github-readonly.yaml")]));
    assert!(
        words.contains("api.github.com on port 443") && words.contains("GET, HEAD and OPTIONS")
    );
}

#[test]
fn the_schema_is_json() {
    let schema: serde_json::Value =
        serde_json::from_str(&stdout(&navigator(&["policy", "schema"]))).unwrap();
    assert_eq!(schema["title"], "Navigator policy");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    for path in ["/no/such/policy", "/", "/dev/zero"] {
        let output = navigator(&["policy", "check", path]);
        assert_eq!(output.status.code(), Some(2), "{path}");
        assert!(stderr(&output).contains(path), "{path}: {}", stderr(&output));
    }
}

#[test]
fn completions_exist_for_every_shell() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(stdout(&navigator(&["completions", shell])).contains("navigator"), "{shell}");
    }
}

#[test]
fn the_committed_manual_is_the_one_that_is_made_now() {
    let dir = tempfile::tempdir().unwrap();
    assert!(navigator(&["man", "--dir", dir.path().to_str().unwrap()]).status.success());
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
    let mut count = 0;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let made = entry.unwrap();
        let known = std::fs::read_to_string(committed.join(made.file_name())).unwrap_or_default();
        let text = std::fs::read_to_string(made.path()).unwrap();
        assert!(known == text, "{:?} has changed; run `cargo xtask pages`", made.file_name());
        count += 1;
    }
    assert_eq!(std::fs::read_dir(committed).unwrap().count(), count, "a page is too many");
}

#[test]
fn wrong_usage_is_two_and_the_version_names_the_program() {
    assert_eq!(navigator(&["run"]).status.code(), Some(2));
    assert_eq!(navigator(&["nonsense"]).status.code(), Some(2));
    assert!(stdout(&navigator(&["--version"])).starts_with("navigator 0.1.0"));
}
