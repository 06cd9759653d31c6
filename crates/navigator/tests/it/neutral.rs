//! Names that command a terminal do nothing, whatever prints them: as text, as JSON, in an error.

use std::process::Output;

use crate::{example, file, navigator, run, stderr, stdout};

/// Recolours, retitles, moves by a C1 control, turns the text around.
const EVIL: &str = "\x1b[31m\x1b]0;owned\x07\u{9b}2J\u{202e}";

/// Whatever an output has that a terminal obeys, apart from ends of lines.
fn commands(output: &Output) -> Vec<char> {
    let text = stdout(output) + &stderr(output);
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().filter(|c| *c != '\n' && (c.is_control() || turns(*c))).collect()
}

fn check(args: &[&str], shown: &str) {
    let output = navigator(args);
    assert_eq!(commands(&output), [] as [char; 0], "{args:?}: {output:?}");
    let text = stdout(&output) + &stderr(&output);
    assert!(text.contains(shown), "{args:?} does not show it: {text}");
}

#[test]
fn programs_and_hosts_in_questions() {
    let dir = tempfile::tempdir().unwrap();
    let policy = file(&dir, "p.yaml", "version: 1\n");
    let (binary, host) = (format!("/tmp/{EVIL}"), format!("a{EVIL}.example"));
    for format in ["text", "json"] {
        let mut why = vec!["policy", "why", &policy, "-o", format, "--binary"];
        check(&[&why[..], &[&binary, "--host", "a.example"]].concat(), "{1b}[31m");
        check(&[&why[..], &["/b", "--host", &host]].concat(), "{1b}[31m");
        let turned = "/tmp/\u{202e}x";
        why.extend([turned, "--host", "a.example"]);
        check(&why, "202e");
    }
    let allow = ["policy", "allow", &policy, "--port", "443"];
    check(&[&allow[..], &["--binary", &binary, "--host", "a.example"]].concat(), "{1b}[31m");
    check(&[&allow[..], &["--binary", "/b", "--host", &host]].concat(), "{1b}[31m");
    let path = format!("/{EVIL}");
    let request = ["--binary", "/b", "--host", "a.example", "--method", "GET", "--path", &path];
    check(&[&["policy", "why", &policy][..], &request].concat(), "{1b}[31m");
}

#[test]
fn names_of_files() {
    let dir = tempfile::tempdir().unwrap();
    let good = file(&dir, &format!("good{EVIL}\nerror: no"), "version: 1\n");
    let bad = file(&dir, &format!("bad{EVIL}"), "version: 2\n");
    let missing = format!("{bad}.missing");
    let plain = file(&dir, "plain.yaml", "version: 1\n");
    for format in ["text", "json"] {
        let shown = if format == "json" { "\"valid\": true" } else { "{1b}[31m" };
        check(&["policy", "check", "-o", format, &good], shown);
        check(&["policy", "check", "-o", format, &bad], "1b");
        check(&["policy", "fmt", "--check", "-o", format, &good], "1b");
    }
    let output = navigator(&["policy", "check", &good]);
    assert_eq!(stdout(&output).lines().count(), 1, "a name makes up no line of its own");
    for path in [&bad, &missing] {
        for command in ["fmt", "explain"] {
            check(&["policy", command, path], "{1b}[31m");
        }
        check(&["policy", "diff", &plain, path], "{1b}[31m");
        check(&["policy", "test", &plain, path], "{1b}[31m");
        check(&["run", "--policy", path, "--", "true"], "{1b}[31m");
    }
    check(&["man", "--dir", &format!("{bad}/x")], "{1b}[31m");
}

#[test]
fn what_policies_and_cases_say() {
    let dir = tempfile::tempdir().unwrap();
    let escaped = "\\e[31m\\a\\u009b2J\\u202e\\n";
    let policy = file(
        &dir,
        "p.yaml",
        &format!(
            "version: 1\n\"x{escaped}\": 1\nnetwork_policies:\n  \"k{escaped}\":\n    name: \"n{escaped}\"\n    endpoints: [{{ host: \"h{escaped}\", port: 443 }}]\n    binaries: [{{ path: \"/b{escaped}\" }}]\n"
        ),
    );
    for command in ["check", "explain", "fmt"] {
        check(&["policy", command, &policy], "{1b}[31m");
        check(&["policy", command, "-o", "json", &policy], "1b");
    }
    let plain = file(&dir, "plain.yaml", "version: 1\n");
    let cases = file(
        &dir,
        "cases.yaml",
        &format!("cases:\n  - {{ binary: \"/b{escaped}\", host: \"a{escaped}\", expect: deny }}\n"),
    );
    check(&["policy", "test", &plain, &cases], "{1b}[31m");
    check(&["policy", "test", "-o", "json", &plain, &cases], "001b");
    let output = navigator(&["policy", "test", &plain, &cases]);
    assert_eq!(stdout(&output).lines().count(), 2, "a case makes up no line of its own");
}

#[test]
fn arguments_that_are_repeated() {
    let argument = format!("x\u{9b}2J\u{202e}{EVIL}");
    for args in [
        vec![argument.as_str()],
        vec!["run", "--mount", &argument, "--", "true"],
        vec!["run", "--name", &argument, "--", "true"],
        vec!["run", "--env", &argument, "--", "true"],
        vec!["run", "--timeout", &argument, "--", "true"],
        vec!["run", "--root", &argument, "--", "true"],
        vec!["run", "--workdir", &argument, "--", "true"],
        vec!["run", "--audit", &argument, "--root", "/no/such", "--", "true"],
        vec!["policy", "why", "-o", &argument, "x"],
    ] {
        let output = navigator(&args);
        assert!(!output.status.success(), "{args:?}");
        assert_eq!(commands(&output), [] as [char; 0], "{args:?}: {output:?}");
    }
}

/// A shell by another name, inside, asks for a host that it is not allowed.
#[test]
fn programs_that_were_denied() {
    // It waits for the end of the connection: a program that is gone cannot be named.
    let ask = "exec 3<>/dev/tcp/203.0.113.7/443; read -r <&3";
    let script = format!("cp /bin/bash \"$0\" && exec \"$0\" -c '{ask}' 2> /dev/null");
    let program = format!("/sandbox/{EVIL}\nnavigator: all is well");
    for (format, shown) in [("text", "/sandbox/\\u{1b}[31m"), ("json", "/sandbox/\\u001b[31m")] {
        let policy = ["--policy", &example("pypi.yaml"), "-o", format];
        let Some(output) = run(&policy, &["bash", "-c", &script, &program]) else { return };
        let text = stderr(&output);
        assert!(text.contains(shown), "{text}");
        assert_eq!(commands(&output), [] as [char; 0], "{text}");
        assert!(!text.lines().any(|line| line == "navigator: all is well"), "{text}");
    }
}
