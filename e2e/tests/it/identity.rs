//! Who a program is: names, libraries and moments that must not give it the rights of another (lines 21, 22).

use serde_json::Value;

use crate::harness::{Case, as_everyone};

fn policy(case: &Case) -> String {
    case.policy(
        "network_policies:\n  p:\n    endpoints: [{ host: pypi.org, port: 443 }]\n    \
         binaries: [{ path: /usr/bin/curl }, { path: /sandbox/tool }, { path: /sandbox/allowed.py }]\n",
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
    let found = case.attack(&["--policy", &policy(case)], "libraries.py", &[]);
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
fn a_preloaded_library_takes_the_trust_away() {
    as_everyone(|case| {
        let Some(found) = libraries(case) else { return };
        for attack in ["preloaded", "audit library"] {
            assert_eq!(found[attack], "denied", "{attack} as {:?}", case.who);
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
