//! Lists, single sandboxes, logs and events, in every format and with hostile content.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use navigator_proto::datamodel::v1::{SandboxCondition, SandboxPhase, SandboxStatus};
use navigator_proto::v1::{PlatformEvent, SandboxLogLine};

use super::{program, sandbox};
use crate::{stderr, stdout};
use navigator_testkit::gateway::{self, Fault, Service};

const HOSTILE: &str = "\x1b[2J\u{9b}31m\u{202e}\r\nFAKE";

fn hostile() -> Service {
    let service = Service::new(Fault::None).with("demo", SandboxPhase::Error);
    {
        let mut state = service.state.lock().unwrap();
        let condition = SandboxCondition {
            r#type: HOSTILE.into(),
            status: "False".into(),
            reason: HOSTILE.into(),
            message: HOSTILE.into(),
            last_transition_time: HOSTILE.into(),
        };
        let conditions = vec![condition];
        state.sandboxes[0].status = Some(SandboxStatus { conditions, ..SandboxStatus::default() });
        state.sandboxes.push(gateway::sandbox(HOSTILE, SandboxPhase::Ready));
        state.logs.push(SandboxLogLine {
            level: HOSTILE.into(),
            target: HOSTILE.into(),
            message: HOSTILE.into(),
            source: HOSTILE.into(),
            fields: [(HOSTILE.to_owned(), HOSTILE.to_owned())].into(),
            ..SandboxLogLine::default()
        });
        state.events.push(PlatformEvent {
            source: HOSTILE.into(),
            r#type: HOSTILE.into(),
            reason: HOSTILE.into(),
            message: HOSTILE.into(),
            ..PlatformEvent::default()
        });
    }
    service
}

#[test]
fn nothing_from_outside_commands_a_terminal_or_makes_up_lines() {
    let service = hostile();
    for words in [
        "list",
        "list -o json",
        "list -o yaml",
        "list -o name",
        "get demo",
        "get demo -o json",
        "get demo -o yaml",
        "logs demo",
        "logs demo -o json",
        "events demo",
        "events demo -o json",
    ] {
        let output = sandbox(&service, words);
        assert_eq!(output.status.code(), Some(0), "{words}: {}", stderr(&output));
        let text = stdout(&output);
        assert!(!text.contains(['\x1b', '\u{9b}', '\u{202e}', '\r']), "{words}: {text:?}");
        assert!(!text.lines().any(|line| line.starts_with("FAKE")), "{words}: {text}");
    }
}

#[test]
fn a_list_is_a_table_json_yaml_or_names() {
    let service = Service::new(Fault::None)
        .with("one", SandboxPhase::Ready)
        .with("longer-name", SandboxPhase::Stopped);
    let table = stdout(&sandbox(&service, "list"));
    let words: Vec<Vec<&str>> =
        table.lines().map(|line| line.split_whitespace().take(2).collect()).collect();
    assert_eq!(words, [["NAME", "PHASE"], ["one", "ready"], ["longer-name", "stopped"]]);
    assert_eq!(stdout(&sandbox(&service, "list -o name")), "one\nlonger-name\n");
    let json: serde_json::Value =
        serde_json::from_str(&stdout(&sandbox(&service, "list -o json"))).unwrap();
    assert_eq!((&json[0]["name"], &json[1]["phase"]), (&"one".into(), &"stopped".into()));
    assert!(stdout(&sandbox(&service, "list -o yaml")).contains("name: longer-name"));
}

#[test]
fn an_empty_list_says_so_beside_the_data() {
    let service = Service::new(Fault::None);
    let output = sandbox(&service, "list");
    assert!(stdout(&output).starts_with("NAME") && stderr(&output).contains("no sandboxes"));
    assert_eq!(stdout(&sandbox(&service, "list -o json")), "[]\n");
    assert_eq!(stdout(&sandbox(&service, "list -o name")), "");
}

#[test]
fn long_lists_come_whole() {
    let service = Service::new(Fault::None);
    let many = (0..250).map(|number| gateway::sandbox(&format!("s{number}"), SandboxPhase::Ready));
    service.state.lock().unwrap().sandboxes.extend(many);
    assert_eq!(stdout(&sandbox(&service, "list -o name")).lines().count(), 250);
}

#[test]
fn a_watched_list_tells_what_changes() {
    let service = Service::new(Fault::None).with("one", SandboxPhase::Provisioning);
    let mut child = program(&service)
        .args(["sandbox", "list", "--watch", "-o", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("provisioning"));
    service.state.lock().unwrap().sandboxes[0].phase = SandboxPhase::Ready.into();
    assert!(lines.next().unwrap().unwrap().contains("ready"));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn logs_are_asked_for_as_they_are_wanted() {
    let service = Service::new(Fault::None).with("demo", SandboxPhase::Ready);
    let words = "logs demo -n 5 --since 2026-01-31 --level warn --source sandbox";
    assert_eq!(sandbox(&service, words).status.code(), Some(0));
    let asked = service.state.lock().unwrap().asked_for_logs.remove(0);
    assert_eq!((asked.lines, asked.min_level.as_str()), (5, "WARN"));
    assert_eq!((asked.since_ms, asked.sources), (1_769_817_600_000, vec!["sandbox".to_owned()]));
}

#[test]
fn lifecycles_wait_for_what_they_ask_for() {
    let service = Service::new(Fault::None).with("demo", SandboxPhase::Ready);
    for (words, phase) in [("stop demo", "stopped"), ("start demo", "ready")] {
        assert_eq!(stdout(&sandbox(&service, words)), "demo\n");
        assert!(stdout(&sandbox(&service, "get")).contains(&format!("phase     {phase}")));
    }
    assert_eq!(sandbox(&service, "wait demo --for ready").status.code(), Some(0));
    let output = sandbox(&service, "wait demo --for stopped --timeout 50ms");
    assert_eq!(output.status.code(), Some(124), "{}", stderr(&output));
    assert_eq!(sandbox(&service, "wait nobody").status.code(), Some(1));
    assert_eq!(sandbox(&service, "wait nobody --for deleted").status.code(), Some(0));
}

#[test]
fn deleting_what_was_not_named_is_asked_for() {
    let service =
        Service::new(Fault::None).with("one", SandboxPhase::Ready).with("two", SandboxPhase::Ready);
    sandbox(&service, "get one");
    for words in ["delete", "delete --all"] {
        let output = sandbox(&service, words);
        assert_eq!(output.status.code(), Some(2), "{words}");
        assert!(stderr(&output).contains("next: name it, or add --yes"), "{}", stderr(&output));
    }
    assert_eq!(stdout(&sandbox(&service, "delete one")), "one\n");
    assert_eq!(stdout(&sandbox(&service, "delete --all --yes")), "two\n");
    assert_eq!(sandbox(&service, "delete one").status.code(), Some(1));
    assert!(service.state.lock().unwrap().sandboxes.is_empty());
}
