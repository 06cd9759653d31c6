//! Commands in a sandbox: input, output, signals, exit codes.

use std::io::{Read, Write};
use std::process::{Child, Stdio};

use navigator_proto::datamodel::v1::SandboxPhase;
use rustix::process::{Pid, Signal, kill_process};

use super::{program, sandbox};
use crate::{stderr, stdout};
use navigator_testkit::gateway::{Fault, Service};

fn ready() -> Service {
    Service::new(Fault::None).with("demo", SandboxPhase::Ready)
}

fn exec(service: &Service, command: &[&str]) -> Child {
    program(service)
        .args(["sandbox", "exec", "demo", "--"])
        .args(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn output_and_exit_codes_are_passed_on() {
    let service = ready();
    let child = exec(&service, &["sh", "-c", "echo out; echo err >&2; exit 7"]);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert_eq!((stdout(&output).as_str(), stderr(&output).as_str()), ("out\n", "err\n"));
    let output = exec(&service, &["sh", "-c", "kill -KILL $$"]).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(128 + 9));
}

#[test]
fn megabytes_go_through_both_ways_and_end_where_they_end() {
    let service = ready();
    let mut child = exec(&service, &["cat"]);
    let data: Vec<u8> = (0..8 * 1024 * 1024u32).map(|number| number.to_le_bytes()[0]).collect();
    let (mut stdin, sent) = (child.stdin.take().unwrap(), data.clone());
    let writer = std::thread::spawn(move || stdin.write_all(&sent));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(output.stdout == data, "{} bytes came back", output.stdout.len());
}

#[test]
fn signals_reach_the_command() {
    let service = ready();
    let script = "trap 'echo got it; exit 3' TERM; echo ready; while :; do sleep 0.01; done";
    let mut child = exec(&service, &["sh", "-c", script]);
    let mut first = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(3), "got it\n"));
}

#[test]
fn a_command_that_ignores_signals_does_not_hold_who_sends_them() {
    let service = ready();
    let mut child = exec(&service, &["sh", "-c", "trap '' INT; echo ready; exec sleep 60"]);
    let mut first = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(128 + 2));
}

#[test]
fn a_reader_that_went_away_ends_the_command_as_it_would_here() {
    let service = ready();
    let mut child = exec(&service, &["yes"]);
    let mut some = [0; 4096];
    child.stdout.take().unwrap().read_exact(&mut some).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(128 + 13));
}

#[test]
fn a_slow_reader_gets_everything() {
    let service = ready();
    let mut child = exec(&service, &["head", "-c", "4000000", "/dev/zero"]);
    let (mut out, mut all, mut piece) = (child.stdout.take().unwrap(), 0, vec![0; 1000]);
    loop {
        match out.read(&mut piece).unwrap() {
            0 => break,
            length => all += length,
        }
        std::thread::yield_now();
    }
    assert_eq!((child.wait().unwrap().code(), all), (Some(0), 4_000_000));
}

#[test]
fn the_sandbox_that_was_used_last_is_meant_when_none_is_named() {
    let service = ready();
    let output = sandbox(&service, "exec -- true");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("next: name one; `navigator sandbox list` shows them"));
    sandbox(&service, "get demo");
    let output = sandbox(&service, "exec -- true");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stderr(&output), "navigator: using `demo`, the sandbox that was used last\n");
    assert!(sandbox(&service, "delete -q demo").status.success());
    assert_eq!(sandbox(&service, "get").status.code(), Some(2), "it is forgotten");
}

#[test]
fn a_terminal_is_asked_for_with_its_size_and_given_as_it_is_wanted() {
    let service = ready();
    for (option, terminal) in [("-t", true), ("-T", false)] {
        let mut program = program(&service);
        program.args(["sandbox", "exec", "demo", option, "--timeout", "1500ms", "--", "true"]);
        assert!(program.env("TERM", "dumb").output().unwrap().status.success());
        let start = service.state.lock().unwrap().execs.pop().unwrap();
        assert_eq!(start.terminal.is_some(), terminal);
        assert_eq!(start.term, if terminal { "dumb" } else { "" });
        assert_eq!(start.timeout_seconds, 2, "never less than what was asked for");
    }
}
