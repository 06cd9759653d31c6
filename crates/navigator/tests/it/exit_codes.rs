//! Each documented exit code, with the message that explains it. Those of a run start a real sandbox.

use crate::{file, navigator, run, stderr};

#[test]
fn the_commands_own() {
    let Some(output) = run(&[], &["sh", "-c", "exit 7"]) else { return };
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(7), ""));
}

#[test]
fn two_is_wrong_usage() {
    let output = navigator(&["run", "--timeout", "soon", "--", "true"]);
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(stderr(&output), @r"
    error: invalid value 'soon' for '--timeout <DURATION>': failed to understand the duration `soon`; write a number with ms, s, m or h, such as 90s

    For more information, try '--help'.
    ");
}

#[test]
fn two_is_an_invalid_policy() {
    let dir = tempfile::tempdir().unwrap();
    let policy = file(&dir, "p.yaml", "version: 1\nprocess: { run_as_user: root }\n");
    let output = navigator(&["run", "--policy", &policy, "--", "true"]);
    assert_eq!(output.status.code(), Some(2));
    insta::assert_snapshot!(stderr(&output).replace(&policy, "p.yaml"), @r"
    error: a sandbox never runs as root
     --> p.yaml:2:25
      |
    2 | process: { run_as_user: root }
      |                         ^^^^ process.run_as_user
      |
    help: write `sandbox`

    error: failed to use the policy p.yaml: it has 1 error
      next: correct it and run `navigator policy check p.yaml`
    ");
}

#[test]
fn two_is_a_file_that_the_sandbox_could_change_while_it_counts() {
    let dir = tempfile::tempdir().unwrap();
    let policy = file(&dir, "p.yaml", "version: 1\n");
    let (mount, out) = (dir.path().to_str().unwrap(), dir.path().join("out.yaml"));
    let out = out.to_str().unwrap();
    for options in [&["--learn", out][..], &["--policy", &policy, "--watch-policy"]] {
        let output =
            navigator(&[&["run", "--mount", mount][..], options, &["--", "true"]].concat());
        assert_eq!(output.status.code(), Some(2), "{options:?}");
        let said = stderr(&output);
        assert!(said.contains("the sandbox may write there"), "{said}");
    }
}

#[test]
fn a_hundred_and_twenty_four_is_the_time_limit() {
    let Some(output) = run(&["--timeout", "200ms"], &["sleep", "60"]) else { return };
    assert_eq!(output.status.code(), Some(124));
    insta::assert_snapshot!(stderr(&output), @r"
    navigator: stopped after 200ms (--timeout)
    ");
}

#[test]
fn a_hundred_and_twenty_five_is_our_failure() {
    let output = navigator(&["run", "--audit", "/proc/none/audit.jsonl", "--", "true"]);
    assert_eq!(output.status.code(), Some(125));
    insta::assert_snapshot!(stderr(&output), @r"
    error: failed to write the audit file /proc/none/audit.jsonl; name another with --audit FILE
      because: No such file or directory (os error 2)
    ");
}

#[test]
fn a_hundred_and_twenty_six_is_not_executable() {
    let Some(output) = run(&[], &["/etc/passwd"]) else { return };
    assert_eq!(output.status.code(), Some(126));
    insta::assert_snapshot!(stderr(&output), @r"
    error: failed to run `/etc/passwd`
      because: failed to execute the program
      because: Permission denied (os error 13)
      next: check that the policy lets it be read, that it has the executable bit, and that it is built for this machine
    ");
}

#[test]
fn a_hundred_and_twenty_seven_is_not_found() {
    let Some(output) = run(&[], &["no-such-program"]) else { return };
    assert_eq!(output.status.code(), Some(127));
    insta::assert_snapshot!(stderr(&output), @r"
    error: failed to run `no-such-program`
      because: failed to find the program in the sandbox
      next: the program must be in a directory that the policy lists; mount others with --mount
    ");
}

#[test]
fn a_hundred_and_twenty_eight_and_more_is_a_signal() {
    let Some(output) = run(&[], &["sh", "-c", "kill -TERM $$"]) else { return };
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(128 + 15), ""));
}

#[test]
fn a_program_whose_name_commands_a_terminal_is_named_harmlessly() {
    let Some(output) = run(&[], &["/tmp/\x1b[31mx\u{9b}2J\u{202e}\nerror: no"]) else { return };
    assert_eq!(output.status.code(), Some(127));
    let text = stderr(&output);
    assert!(text.contains("\\u{1b}[31mx\\u{9b}2J\\u{202e}\\u{a}"), "{text}");
}
