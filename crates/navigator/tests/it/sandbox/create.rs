//! Creating, and what becomes of a sandbox when its command has ended.

use navigator_proto::datamodel::v1::SandboxPhase;
use rustix::process::{Pid, Signal, kill_process};

use super::{program, sandbox};
use crate::{file, stderr, stdout};
use navigator_testkit::gateway::{Fault, Service};

#[test]
fn a_command_runs_in_a_new_sandbox_which_stays() {
    let service = Service::new(Fault::None);
    let output = sandbox(&service, "create demo -- echo hi");
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), "hi\n"));
    assert_eq!(stderr(&output), "navigator: created `demo`\n");
    assert_eq!(stdout(&sandbox(&service, "list -o name")), "demo\n");
    let output = sandbox(&service, "create -q -- echo unnamed");
    assert_eq!((stdout(&output).as_str(), stderr(&output).as_str()), ("unnamed\n", ""));
    assert_eq!(stdout(&sandbox(&service, "list -o name")), "demo\ncalm-otter\n");
}

#[test]
fn rm_deletes_the_sandbox_after_a_success_a_failure_and_a_signal() {
    let service = Service::new(Fault::None);
    let code = |command: &[&str]| {
        let mut program = program(&service);
        program.args(["sandbox", "create", "-q", "--rm", "x", "--"]).args(command);
        program.output().unwrap().status.code()
    };
    assert_eq!(code(&["true"]), Some(0));
    assert_eq!(code(&["sh", "-c", "exit 7"]), Some(7));
    assert_eq!(code(&["sh", "-c", "kill -TERM $$"]), Some(128 + 15));
    assert_eq!(service.state.lock().unwrap().created.len(), 3);
    assert!(service.state.lock().unwrap().sandboxes.is_empty());
}

#[test]
fn rm_deletes_the_sandbox_when_waiting_for_it_is_interrupted() {
    let service = Service::new(Fault::NeverReady);
    let mut program = program(&service);
    let mut child = program.args(["sandbox", "create", "--rm", "x", "--", "true"]).spawn().unwrap();
    while service.state.lock().unwrap().created.is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(128 + 2));
    assert!(service.state.lock().unwrap().sandboxes.is_empty());
}

#[test]
fn a_sandbox_that_will_not_be_is_our_failure_and_rm_deletes_it() {
    let service = Service::new(Fault::Fails);
    let output = sandbox(&service, "create -q --rm x -- true");
    assert_eq!(output.status.code(), Some(125), "{}", stderr(&output));
    assert!(stderr(&output).contains("next: look at `navigator sandbox events`"));
    assert!(service.state.lock().unwrap().sandboxes.is_empty());
}

#[test]
fn what_was_asked_for_reaches_the_gateway() {
    let service = Service::new(Fault::None);
    let policy = file(&service.dir, "p.yaml", "version: 1\n");
    let mut program = program(&service);
    program
        .current_dir(service.dir.path())
        .env("NAVIGATOR_SANDBOX_POLICY", &policy)
        .env("PASSED", "on")
        .args(["sandbox", "create", "demo", "-d", "--env", "A=b=c", "--env", "PASSED"])
        .args(["--mount", ".:/sandbox/here:ro", "--memory", "512M", "--cpus", "1.5"])
        .args(["--pids", "7", "--disk", "1G", "--label", "team=red", "--log-level", "debug"]);
    let output = program.output().unwrap();
    assert_eq!(stdout(&output), "demo\n", "{}", stderr(&output));
    let created = service.state.lock().unwrap().created.remove(0);
    let spec = created.spec.unwrap();
    assert_eq!(spec.policy.unwrap().version, 1);
    assert_eq!(
        spec.environment.into_iter().collect::<Vec<_>>(),
        [("A".to_owned(), "b=c".to_owned()), ("PASSED".to_owned(), "on".to_owned())]
    );
    let here = service.dir.path().canonicalize().unwrap().display().to_string();
    assert_eq!((spec.mounts[0].source.as_str(), spec.mounts[0].read_only), (here.as_str(), true));
    assert_eq!(spec.log_level, "debug");
    let template = spec.template.unwrap();
    assert_eq!(template.labels["team"], "red");
    let limits = format!("{:?}", template.resources.unwrap());
    for value in ["536870912", "1.5", "\"7\"", "1073741824"] {
        assert!(limits.contains(value), "{value}: {limits}");
    }
}

#[test]
fn wrong_arguments_and_policies_are_told_before_anything_is_made() {
    let service = Service::new(Fault::None);
    let bad = file(&service.dir, "bad.yaml", "version: 1\nprocess: { run_as_user: root }\n");
    for words in [
        "create UPPER",
        "create x --mount /no/such/place",
        "create x --env 1=2",
        "create x --label nothing",
        "create x --root /no/such/place",
        "create x -d -- true",
        "create x --rm",
        &format!("create x --policy {bad}"),
    ] {
        let output = sandbox(&service, words);
        assert_eq!(output.status.code(), Some(2), "{words}: {}", stderr(&output));
    }
    assert!(service.state.lock().unwrap().created.is_empty());
}

#[test]
fn a_no_of_the_gateway_is_not_taken_for_the_commands_exit_code() {
    let service = Service::new(Fault::None).with("demo", SandboxPhase::Ready);
    for (words, next) in [
        ("create demo -d", "next: choose another name, or delete that one first"),
        ("create other -d --provider nobody", "next: look at `navigator sandbox get`"),
        ("exec nobody -- true", "next: `navigator sandbox list` shows what there is"),
    ] {
        let output = sandbox(&service, words);
        assert_eq!(output.status.code(), Some(125), "{words}");
        assert!(stderr(&output).contains(next), "{words}: {}", stderr(&output));
    }
}
