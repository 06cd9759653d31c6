//! Policies of sandboxes that run.

use navigator_proto::datamodel::v1::SandboxPhase;

use super::{call, sandbox};
use crate::{file, stderr, stdout};
use navigator_testkit::gateway::{Fault, Service};

const FIRST: &str = "version: 1\nfilesystem_policy: { read_only: [/usr] }\n";
const SECOND: &str = "version: 1\nfilesystem_policy: { read_only: [/usr, /opt] }\n";
const FAILS: &str = "version: 1\ninference: { allowed_routes: [a] }\n";

#[test]
fn a_policy_is_set_shown_listed_and_taken_back() {
    let service = Service::new(Fault::None).with("demo", SandboxPhase::Ready);
    let [first, second] =
        [("1.yaml", FIRST), ("2.yaml", SECOND)].map(|(name, text)| file(&service.dir, name, text));
    let set = sandbox(&service, &format!("policy set demo {first} --wait"));
    assert_eq!(stdout(&set), "version 1: in force\n", "{}", stderr(&set));
    // The same command of `navigator policy`, with the sandbox that was used last.
    assert_eq!(stdout(&call(&service, &format!("policy set {second}"))), "version 2: pending\n");
    assert!(stdout(&sandbox(&service, "policy get demo")).contains("/opt"));
    assert!(!stdout(&call(&service, "policy get demo --version 1 -o json")).contains("/opt"));
    let history = stdout(&sandbox(&service, "policy history demo"));
    assert!(
        history.contains("2        in force") && history.contains("1        loaded"),
        "{history}"
    );
    let back = sandbox(&service, "policy rollback --wait");
    assert_eq!(stdout(&back), "version 3: in force\n", "{}", stderr(&back));
    assert!(!stdout(&sandbox(&service, "policy get demo")).contains("/opt"));
    assert_eq!(stdout(&sandbox(&service, "policy rollback demo 2")), "version 4: pending\n");
}

#[test]
fn a_policy_that_cannot_be_in_force_tells_why_and_the_history_too() {
    let service = Service::new(Fault::None).with("demo", SandboxPhase::Ready);
    let [first, fails] =
        [("1.yaml", FIRST), ("2.yaml", FAILS)].map(|(name, text)| file(&service.dir, name, text));
    sandbox(&service, &format!("policy set demo {first}"));
    let output = sandbox(&service, &format!("policy set demo {fails} --wait"));
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(stderr(&output), @r"
    error: failed to put version 2 into force: no room\u{1b}[2J
      next: correct the policy and set it again; the old one is in force
    ");
    let history = stdout(&sandbox(&service, "policy list demo"));
    assert!(history.contains("failed") && history.contains(r"no room\u{1b}[2J"), "{history}");
    assert_eq!(sandbox(&service, "policy rollback demo").status.code(), Some(1), "none is earlier");
}

#[test]
fn an_invalid_policy_is_told_with_its_place_and_never_sent() {
    let service = Service::new(Fault::None).with("demo", SandboxPhase::Ready);
    let bad = file(&service.dir, "bad.yaml", "version: 1\nprocess: { run_as_user: root }\n");
    for words in ["sandbox policy", "policy"] {
        let output = call(&service, &format!("{words} set demo {bad}"));
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("bad.yaml:2:25"), "{}", stderr(&output));
    }
    assert!(service.state.lock().unwrap().revisions.is_empty());
    assert_eq!(sandbox(&service, "policy get demo").status.code(), Some(1));
}
