//! Gateways that misbehave, are not there, or belong to somebody else.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::process::Stdio;

use navigator_proto::datamodel::v1::SandboxPhase;

use super::{call, program, sandbox};
use crate::{stderr, stdout};
use navigator_testkit::gateway::{Fault, Service};

/// A gateway whose socket somebody else serves: each connection is handed to `serve`.
fn served(serve: fn(std::os::unix::net::UnixStream)) -> Service {
    let service = Service::new(Fault::None);
    std::fs::remove_file(service.socket()).unwrap();
    let listener = UnixListener::bind(service.socket()).unwrap();
    std::thread::spawn(move || listener.incoming().flatten().for_each(serve));
    service
}

/// A gateway that accepts connections and says nothing.
fn silent() -> Service {
    served(|mut stream| {
        std::thread::spawn(move || {
            let mut all = vec![];
            let _until_it_leaves = stream.read_to_end(&mut all);
        });
    })
}

#[test]
fn garbage_is_our_failure_and_stays_text() {
    let service = served(|mut stream| {
        let _whatever = stream.write_all(b"HTTP/1.1 200 \x1b[2JOK\r\n\r\n\xff\xfe\x00garbage");
    });
    for words in ["sandbox list", "sandbox create x -- true", "gateway status"] {
        let output = call(&service, words);
        assert_eq!(output.status.code(), Some(125), "{words}");
        let text = stderr(&output);
        assert!(text.starts_with("error: failed to talk with the gateway `unix:"), "{text}");
        assert!(!text.contains('\x1b') && text.contains("\n  next: "), "{text}");
    }
}

#[test]
fn a_gateway_that_says_nothing_is_given_up() {
    let output = sandbox(&silent(), "list");
    assert_eq!(output.status.code(), Some(125));
    assert!(stderr(&output).contains("failed to get an answer from the gateway"));
}

#[test]
fn streams_that_end_before_the_command_are_no_success() {
    let service = Service::new(Fault::CutsStreams).with("demo", SandboxPhase::Ready);
    let output = sandbox(&service, "exec demo -- true");
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(125), "half"));
    assert!(stderr(&output).contains("failed to follow the command"), "{}", stderr(&output));
    let output = sandbox(&service, "logs -f demo");
    assert_eq!(output.status.code(), Some(125));
    assert!(stderr(&output).contains(r"because: the stream\u{1b}[2J broke"), "{}", stderr(&output));
}

#[test]
fn nobody_listens_and_nothing_is_started_where_the_gateway_is_not_local() {
    let service = Service::new(Fault::None);
    std::fs::remove_file(service.socket()).unwrap();
    let output = sandbox(&service, "list");
    assert_eq!(output.status.code(), Some(125));
    assert!(stderr(&output).contains("nobody listens on"), "{}", stderr(&output));
    assert!(!service.dir.path().join("state").exists());
    let status = call(&service, "status");
    assert_eq!(status.status.code(), Some(1));
    assert!(stdout(&status).contains("unreachable"), "{}", stdout(&status));
}

#[test]
fn what_the_gateway_is_called_is_said() {
    let service = Service::new(Fault::None).with("demo", SandboxPhase::Ready);
    let output = call(&service, "gateway status");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains(r"version   9.9\u{1b}[31m"), "{}", stdout(&output));
    let output = program(&service).args(["gateway", "list", "-o", "name"]).output().unwrap();
    assert_eq!(stdout(&output), "local\n");
    let mut unknown = program(&service);
    unknown.env("NAVIGATOR_GATEWAY", "no\x1b[2Jbody").args(["sandbox", "list"]);
    let output = unknown.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains(r"no\u{1b}[2Jbody"), "{}", stderr(&output));
}

#[test]
fn completions_know_names_and_start_nothing() {
    let service = Service::new(Fault::None)
        .with("demo", SandboxPhase::Ready)
        .with("delta", SandboxPhase::Ready)
        .with("$(touch x)", SandboxPhase::Ready);
    let complete = |service: &Service| {
        let output = program(service)
            .env("NAVIGATOR_COMPLETE", "bash")
            .env("_CLAP_COMPLETE_INDEX", "3")
            .env("_CLAP_IFS", "\n")
            .args(["--", "navigator", "sandbox", "get", "de"])
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        (stdout(&output), stderr(&output))
    };
    assert_eq!(complete(&service), ("demo\ndelta".into(), String::new()));
    assert_eq!(complete(&silent()), (String::new(), String::new()), "it does not wait");
    std::fs::remove_file(service.socket()).unwrap();
    assert_eq!(complete(&service), (String::new(), String::new()));
    assert!(!service.dir.path().join("state").exists());
}
