//! Who a program is: names, libraries and moments that must not give it the rights of another (lines 21, 22).

use navigator_testkit::{FakeInternet, Origin, Seen};
use serde_json::Value;

use crate::harness::{Case, as_everyone, stderr, stdout};

fn policy(case: &Case) -> String {
    case.policy(
        "network_policies:\n  p:\n    endpoints: [{ host: pypi.org, port: 443 }]\n    \
         binaries: [{ path: /usr/bin/curl }, { path: /sandbox/tool }, { path: /sandbox/allowed.py }, \
         { path: /sandbox/dir/allowed.py }, { path: /sandbox/link.py }, { path: /sandbox/mounted }]\n",
    )
}

fn scripts(case: &Case, times: &str) -> Value {
    let found = case.attack(&["--policy", &policy(case)], "scripts.py", &[times]);
    assert_eq!(found["first"], "open", "the allowed script itself: {found}");
    assert_eq!(found["tool"], "open", "the allowed tool itself: {found}");
    found
}

/// What a library in an allowed program reached, or nothing where none can be built.
fn libraries(case: &Case) -> Option<Value> {
    let options = ["--policy", &policy(case), "--mount", "/usr/bin/curl:/sandbox/mounted:ro"];
    let found = case.attack(&options, "libraries.py", &[]);
    if let Some(reason) = found["skipped"].as_str() {
        println!("skipped: {reason}");
        return None;
    }
    Some(found)
}

#[test]
fn a_name_does_not_make_another_program() {
    as_everyone(|case| {
        let found = scripts(case, "0");
        for attack in [
            "a hard link under another name",
            "a symbolic link with an allowed name",
            "a name set by the program itself",
        ] {
            assert_eq!(found["attacks"][attack], "denied", "{attack} as {:?}", case.who);
        }
    });
}

#[test]
fn a_library_of_the_agent_takes_the_trust_away() {
    as_everyone(|case| {
        let Some(found) = libraries(case) else { return };
        assert_eq!(found["nothing"], "open", "curl itself: {found}");
        for (attack, result) in found["attacks"].as_object().unwrap() {
            assert_eq!(result, "denied", "{attack} as {:?}: {found}", case.who);
        }
        assert!(found["attacks"].as_object().unwrap().len() >= 8);
    });
}

#[test]
fn interpreters_may_load_modules_of_the_agent() {
    as_everyone(|case| {
        let policy = case.policy(
            "network_policies:\n  p:\n    endpoints: [{ host: pypi.org, port: 443 }]\n    \
             binaries: [{ path: \"/usr/bin/python3*\" }, { path: /usr/bin/perl }, { path: /usr/bin/node }]\n",
        );
        let found = case.attack(&["--policy", &policy], "modules.py", &[]);
        for (program, result) in found.as_object().unwrap() {
            match result.as_str() {
                Some("open") => {}
                Some(other) if other.starts_with("skipped") => println!("{program}: {other}"),
                _ => panic!("{program} as {:?}: {found}", case.who),
            }
        }
    });
}

#[test]
fn a_script_that_is_put_back_is_not_the_one_that_was_started() {
    as_everyone(|case| {
        let found = scripts(case, "50");
        for attack in [
            "the allowed script put back after the start of another",
            "the allowed script linked back, with an old date",
            "the directory of the allowed script put back",
            "the link to the allowed script turned back",
        ] {
            assert_eq!(found["attacks"][attack], "denied", "{attack} as {:?}", case.who);
        }
        assert_eq!(found["put back at once"], serde_json::json!(["denied"]), "{found}");
        for allowed in [
            "the allowed script that was put back",
            "the script in a directory",
            "the script by a link",
        ] {
            assert_eq!(found[allowed], "open", "{allowed} as {:?}: {found}", case.who);
        }
    });
}

#[test]
fn a_script_with_other_content_is_another_script() {
    as_everyone(|case| {
        let found = scripts(case, "0");
        let attack = "a script with other content";
        assert_eq!(found["attacks"][attack], "denied", "as {:?}", case.who);
    });
}

/// What `races.py` prints, and what the internet saw of it.
fn races(case: &Case, times: &str) -> (Value, Vec<Seen>) {
    let internet = FakeInternet::new()
        .name("a.example.net", &["203.0.113.10"])
        .name("b.example.net", &["203.0.113.11"])
        .origin("203.0.113.10:7", Origin::Echo)
        .origin("203.0.113.11:80", Origin::Http);
    let policy = case.policy(
        "network_policies:\n  a:\n    endpoints: [{ host: a.example.net, port: 7 }]\n    \
         binaries: [{ path: /usr/bin/sleep }, { path: /usr/bin/curl }, { path: /sandbox/allowed.py }]\n  \
         b:\n    endpoints: [{ host: b.example.net, port: 80 }]\n    \
         binaries: [{ path: /usr/bin/timeout }, { path: /usr/bin/curl }, { path: /sandbox/allowed.py }]\n",
    );
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("attacks/races.py");
    let script = case.file("races.py", &std::fs::read_to_string(script).unwrap());
    let mount = format!("{}:/sandbox/races.py:ro", script.display());
    let audit = case.path("audit.jsonl");
    let audit = audit.to_str().unwrap();
    let options = ["run", "-q", "--audit", audit, "--policy", &policy, "--mount", &mount];
    let program = ["--", "/usr/bin/python3", "/sandbox/races.py", times];
    let dir = case.directory("internet");
    let output = case.inside(&internet, &dir, &[&options[..], &program].concat());
    let found = serde_json::from_str(&stdout(&output))
        .unwrap_or_else(|error| panic!("as {:?}: {error}: {}", case.who, stderr(&output)));
    let seen = std::fs::read_to_string(dir.join("seen.jsonl")).unwrap();
    (found, seen.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn nobody_connects_as_one_program_and_is_taken_for_another() {
    as_everyone(|case| {
        // A hundred of the likeliest three find what is open; many more are for a long run by hand.
        let times = std::env::var("NAVIGATOR_RACES").unwrap_or_else(|_| "100".into());
        let (found, seen) = races(case, &times);
        let stolen: Vec<_> =
            seen.iter().filter(|seen| seen.what.contains("203.0.113.10")).collect();
        assert!(stolen.is_empty(), "as {:?}: {} connections: {found}", case.who, stolen.len());
        let allowed = &found["allowed"];
        for who in ["script", "curl", "child"] {
            assert_eq!(allowed[who], "200", "{who} as {:?}: {found}", case.who);
        }
    });
}
