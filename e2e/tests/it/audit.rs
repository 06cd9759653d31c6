//! The audit file of real runs: it verifies whatever happens to them, and what is changed in it is found.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use crate::harness::{Case, as_everyone, code, eventually, stderr, stdout};

const POLICY: &str = "network_policies:\n  p:\n    endpoints: [{ host: example.com, port: 443 }]\n    \
                      binaries: [{ path: /usr/bin/curl }]\n";
const REFUSED: &str = "curl -s -m 5 -o /dev/null http://refused.invalid/";

fn verify(case: &Case, file: &Path) -> (i32, String) {
    let output = case.navigator(&["audit", "verify", file.to_str().unwrap()]).output().unwrap();
    (code(&output), stdout(&output) + &stderr(&output))
}

fn lines(file: &Path) -> usize {
    std::fs::read_to_string(file).unwrap_or_default().lines().count()
}

#[test]
fn the_audit_of_a_run_verifies_and_changed_copies_do_not() {
    as_everyone(|case| {
        let policy = case.policy(POLICY);
        let script = format!("{REFUSED}; {REFUSED}");
        code(&case.run(&["--policy", &policy], &["sh", "-c", &script]));
        let file = case.path("audit.jsonl");
        let (intact, said) = verify(case, &file);
        assert_eq!(intact, 0, "{said}");
        let text = std::fs::read_to_string(&file).unwrap();
        let all: Vec<&str> = text.lines().collect();
        assert!(all.len() >= 4, "{text}");
        for (name, changed) in [
            ("altered", text.replacen("refused.invalid", "allowed.invalid", 1)),
            ("shorter", [&all[..1], &all[2..]].concat().join("\n") + "\n"),
            ("moved", [all[0], all[2], all[1], all[3]].join("\n") + "\n"),
            ("torn", text[..text.len() - 9].to_owned()),
        ] {
            let copy = case.file(&format!("{name}.jsonl"), &changed);
            assert_eq!(verify(case, &copy).0, 1, "{name} as {:?}", case.who);
        }
        // Root may read everything.
        if case.who == crate::harness::Who::Ordinary {
            let secret = case.file("secret.jsonl", &text);
            std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o000)).unwrap();
            let (refused, said) = verify(case, &secret);
            assert!(
                refused == 2 && said.contains("next: name an audit file that you may read"),
                "{said}"
            );
        }
    });
}

#[test]
fn why_finds_the_last_refusal_in_the_usual_place() {
    as_everyone(|case| {
        let policy = case.policy(POLICY);
        let run = ["run", "-q", "--name", "mine", "--policy", &policy, "--", "sh", "-c", REFUSED];
        // Root's usual place belongs to the machine, not to this test.
        let file = case.path(".local/state/navigator/audit.jsonl");
        let named = ["--audit", file.to_str().unwrap()];
        let mut words: Vec<&str> = run[..2].to_vec();
        let root = case.who == crate::harness::Who::Root;
        words.extend(named.iter().filter(|_| root));
        words.extend(&run[2..]);
        case.navigator(&words).output().unwrap();
        let mut why = vec!["why", "--last-denied", "--sandbox", "mine"];
        why.extend(named.iter().filter(|_| root));
        let said = stdout(&case.navigator(&why).output().unwrap());
        assert!(said.starts_with("denied: /usr/bin/curl → refused.invalid:80"), "{said}");
        assert!(said.contains("to allow it, add to the policy:"), "{said}");
    });
}

#[test]
fn twenty_runs_at_once_write_one_chain() {
    as_everyone(|case| {
        let policy = case.policy(POLICY);
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    let output = case.run(&["-q", "--policy", &policy], &["sh", "-c", REFUSED]);
                    assert_ne!(code(&output), 125, "{}", stderr(&output));
                });
            }
        });
        let file = case.path("audit.jsonl");
        let (intact, said) = verify(case, &file);
        assert_eq!(intact, 0, "{said}");
        assert!(lines(&file) >= 60, "a start, a refusal and an end for each");
        assert_eq!(case.decisions().iter().filter(|one| one["decision"] == "deny").count(), 20);
    });
}

#[test]
fn a_supervisor_that_is_killed_leaves_a_file_that_verifies() {
    as_everyone(|case| {
        let policy = case.policy(POLICY);
        let file = case.path("audit.jsonl");
        for round in 1..=3 {
            let script = format!("while :; do {REFUSED} & {REFUSED}; done");
            let mut args = vec!["run", "-q", "--audit", file.to_str().unwrap()];
            args.extend(["--policy", &policy, "--", "sh", "-c", &script]);
            let mut child =
                case.navigator(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            eventually("refusals are recorded", || lines(&file) > round * 15);
            child.kill().unwrap();
            child.wait().unwrap();
            let (intact, said) = verify(case, &file);
            assert_eq!(intact, 0, "round {round} as {:?}: {said}", case.who);
        }
        assert_eq!(code(&case.run(&["-q"], &["true"])), 0);
        assert_eq!(verify(case, &file).0, 0);
    });
}

#[test]
fn records_that_cannot_be_written_are_counted_and_said() {
    as_everyone(|case| {
        if case.who == crate::harness::Who::Ordinary {
            println!("skipped: an ordinary user may mount no small filesystem here");
            return;
        }
        let policy = case.policy(POLICY);
        let small = case.directory("small");
        let small = small.to_str().unwrap();
        // In a mount namespace of its own, so that nothing is left whatever happens.
        let script = format!(
            "mount -t tmpfs -o size=8k small {small} && {navigator} run --audit {small}/audit.jsonl \
             --policy {policy} -- sh -c 'for n in $(seq 40); do {REFUSED}; done' ; \
             {navigator} audit verify {small}/audit.jsonl",
            navigator = case.path("navigator").display(),
        );
        let output = std::process::Command::new("unshare")
            .args(["-m", "sh", "-c", &script])
            .output()
            .unwrap();
        let said = stderr(&output);
        assert!(said.contains("records could not be written to the audit file"), "{said}");
        // The last line was cut off by the full disk and nothing came after it.
        let report = stdout(&output);
        assert!(report.contains("was cut off") || code(&output) == 0, "{report}");
        assert!(!report.contains("altered: ") && !report.contains("missing;"), "{report}");
    });
}
