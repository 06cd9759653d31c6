//! Bad input gives one clear message with the next step and the documented exit code.

use crate::harness::{as_everyone, code, stderr};

#[test]
fn bad_policies_are_refused_with_their_place() {
    let cases = [
        ("version: 1\nfilesystem_polcy: {}\n", "filesystem_policy"),
        ("version: 1\nfilesystem_policy: { read_only: 5 }\n", "a list is wanted"),
        ("version: 1\nfilesystem_policy: { read_only: [/a/../b] }\n", "traversal"),
        ("version: 1\nfilesystem_policy: { read_write: [/] }\n", "broad"),
        ("version: 1\nprocess: { run_as_user: root }\n", "root"),
        ("version: 1\nnetwork_policies: { a: { endpoints: [], binaries: [] } }\n", "binaries"),
        (": : :\n", "error"),
    ];
    as_everyone(|case| {
        for (text, wanted) in cases {
            let policy = case.file("bad.yaml", text);
            let output = case.run(&["--policy", policy.to_str().unwrap()], &["true"]);
            assert_eq!(code(&output), 2, "{text}");
            assert!(stderr(&output).contains(wanted), "{text}: {}", stderr(&output));
        }
    });
}

#[test]
fn bad_arguments_are_refused() {
    as_everyone(|case| {
        let policy = case.file("user.yaml", "version: 1\nprocess: { run_as_user: nobody-such }\n");
        let policy = policy.to_str().unwrap();
        let cases: [(&[&str], i32, &str); 10] = [
            (&["--policy", "/no/such/file"], 2, "/no/such/file"),
            (&["--policy", "/"], 2, "directory"),
            (&["--policy", policy], 2, "nobody-such"),
            (&["--mount", "/no/such/dir"], 2, "/no/such/dir"),
            (&["--mount", "/:/sandbox/x"], 2, "broad"),
            (&["--mount", ".:relative"], 2, "SRC:DST"),
            (&["--memory", "lots"], 2, "512M"),
            (&["--root", "/no/such/dir"], 2, "/no/such/dir"),
            (&["--audit", "/proc/x/y"], 125, "--audit"),
            (&["--audit", "/dev/full"], 125, "--audit"),
        ];
        for (options, wanted, text) in cases {
            let output = case.run(options, &["true"]);
            assert_eq!(code(&output), wanted, "{options:?}: {}", stderr(&output));
            assert!(stderr(&output).contains(text), "{options:?}: {}", stderr(&output));
        }
    });
}

#[test]
fn a_missing_program_says_what_to_do() {
    as_everyone(|case| {
        let output = case.run(&[], &["/root/bin/agent"]);
        assert_eq!(code(&output), 127);
        assert!(stderr(&output).contains("--mount"), "{}", stderr(&output));
    });
}

#[test]
fn an_audit_file_that_the_sandbox_could_change_is_refused() {
    as_everyone(|case| {
        let project = case.directory("project");
        let audit = project.join("new/audit.jsonl");
        let (mount, audit) = (project.to_str().unwrap(), audit.to_str().unwrap());
        let output = case.run(&["--mount", mount, "--audit", audit], &["true"]);
        assert_eq!(code(&output), 2, "{}", stderr(&output));
        assert!(stderr(&output).contains("name another file with --audit"), "{}", stderr(&output));
        let read_only = format!("{mount}:ro");
        let output = case.run(&["--mount", &read_only, "--audit", audit], &["true"]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
    });
}
