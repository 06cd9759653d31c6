//! Kernels that cannot do what a sandbox needs: it does not start, or says what is weaker when the policy accepts that.

use crate::harness::{Case, as_everyone, code, stderr, stdout};

/// A launcher after which the kernel seems to have no Landlock.
fn without_landlock(case: &Case) -> Vec<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/attacks/without_landlock.py");
    let own = case.file("without_landlock.py", &std::fs::read_to_string(script).unwrap());
    vec!["/usr/bin/python3".into(), own.to_str().unwrap().into()]
}

#[test]
fn without_landlock_nothing_starts() {
    as_everyone(|case| {
        let ran = case.path("ran");
        let mount = format!("{}:/sandbox/out", case.directory("out").display());
        let run = ["run", "-T", "--mount", &mount, "--", "touch", "/sandbox/out/ran"];
        let output = case.launched(&without_landlock(case), &run);
        assert_eq!(code(&output), 125, "{}", stderr(&output));
        assert!(stderr(&output).contains("Landlock"), "{}", stderr(&output));
        assert!(!ran.exists() && !case.path("out/ran").exists());
        let doctor = case.launched(&without_landlock(case), &["doctor"]);
        assert_eq!(code(&doctor), 1, "{}", stdout(&doctor));
        assert!(stdout(&doctor).to_lowercase().contains("landlock"), "{}", stdout(&doctor));
    });
}

#[test]
fn without_landlock_a_best_effort_policy_starts_and_says_so() {
    as_everyone(|case| {
        let policy = case.policy("landlock: { compatibility: best_effort }\n");
        let audit = case.path("audit.jsonl");
        let options = ["run", "-T", "--policy", &policy, "--audit", audit.to_str().unwrap()];
        let program = ["--", "sh", "-c", "cat /etc/passwd && ! touch /etc/x && echo held"];
        let output = case.launched(&without_landlock(case), &[&options[..], &program].concat());
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        assert!(stdout(&output).ends_with("held\n"), "the mounts alone still hold");
        assert!(stderr(&output).contains("landlock is degraded"), "{}", stderr(&output));
        let start = case.events("start").remove(0);
        let layers = start["layers"].as_array().unwrap();
        let landlock = layers.iter().find(|layer| layer["layer"] == "landlock").unwrap();
        assert!(landlock["degraded"].is_string(), "{landlock}");
    });
}

#[test]
fn without_user_namespaces_nothing_starts() {
    as_everyone(|case| {
        let forbid = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
        let launcher = ["/usr/bin/unshare", "-Ur", "/bin/sh", "-c", forbid, "sh"];
        let launcher: Vec<String> = launcher.iter().map(|word| (*word).to_owned()).collect();
        // Whoever is root of a user namespace only cannot write where root does.
        let audit = case.path("audit.jsonl");
        let run = ["run", "-T", "--audit", audit.to_str().unwrap(), "--", "true"];
        let output = case.launched(&launcher, &run);
        assert_eq!(code(&output), 125, "{}", stderr(&output));
        assert!(stderr(&output).contains("navigator doctor"), "{}", stderr(&output));
        let doctor = case.launched(&launcher, &["doctor"]);
        assert_eq!(code(&doctor), 1, "{}", stdout(&doctor));
        assert!(stdout(&doctor).contains("user namespaces"), "{}", stdout(&doctor));
    });
}
