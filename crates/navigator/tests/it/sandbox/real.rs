//! The gateway of this machine itself: started by who needs it, gone and back, while sandboxes go on.

use std::os::unix::net::UnixStream;
use std::process::{Command, Output};

use rustix::process::{Signal, kill_process};

use crate::{navigator, stderr, stdout};

/// Directories of a gateway of the test's own; it ends with them.
struct Machine(tempfile::TempDir);

impl Machine {
    /// `None`, with the reason, where no sandbox can start.
    fn new() -> Option<Self> {
        let doctor = navigator(&["doctor"]);
        if doctor.status.code() != Some(0) {
            eprintln!("skipped: no sandbox can start here:\n{}", stdout(&doctor));
            return None;
        }
        Some(Self(tempfile::tempdir().unwrap()))
    }

    fn program(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_navigator"));
        for (name, place) in [("CONFIG", "config"), ("STATE", "state"), ("RUNTIME", "run")] {
            command.env(format!("NAVIGATOR_{name}_DIR"), self.0.path().join(place));
        }
        command.env_remove("NAVIGATOR_GATEWAY").env_remove("NAVIGATOR_SANDBOX_POLICY");
        command
    }

    fn call(&self, words: &str) -> Output {
        self.program().args(words.split(' ')).output().unwrap()
    }

    /// Ends the gateway as a crash would.
    fn crash(&self) {
        let socket = self.0.path().join("run/gateway.sock");
        let stream = UnixStream::connect(&socket).unwrap();
        let pid = rustix::net::sockopt::socket_peercred(&stream).unwrap().pid;
        kill_process(pid, Signal::KILL).unwrap();
        while UnixStream::connect(&socket).is_ok() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // A sandbox outlives its gateway, and must not outlive its test.
        for words in ["sandbox delete --all --yes", "gateway stop"] {
            let output = self.call(words);
            if !output.status.success() {
                eprintln!("{words}: {}", stderr(&output));
            }
        }
    }
}

#[test]
fn from_nothing_a_command_runs_and_its_sandbox_outlives_the_gateway() {
    let Some(machine) = Machine::new() else { return };
    let output = machine.call("sandbox create demo -- echo hi");
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), "hi\n"), "{output:?}");
    assert!(stdout(&machine.call("sandbox exec demo -- sh")).is_empty(), "no terminal, no prompt");
    machine.crash();
    let output = machine.call("sandbox wait demo --timeout 30s");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&machine.call("sandbox list")).contains("demo  ready"));
    assert_eq!(stdout(&machine.call("sandbox exec demo -- echo again")), "again\n");
    assert!(stdout(&machine.call("sandbox events demo")).contains("Ready"));
    let output = machine.call("gateway stop");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(machine.call("gateway status").status.code(), Some(125), "it has ended");
}

#[test]
fn twenty_clients_at_once_share_one_gateway() {
    let Some(machine) = Machine::new() else { return };
    let list = || machine.program().args(["sandbox", "list", "-o", "name"]).output().unwrap();
    let outputs: Vec<Output> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..20).map(|_| scope.spawn(list)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    for output in outputs {
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    let log = std::fs::read_to_string(machine.0.path().join("state/gateway.log")).unwrap();
    assert_eq!(log.matches(" ready ").count(), 1, "{log}");
}

#[test]
fn a_policy_that_would_change_what_is_fixed_is_refused_and_the_old_one_stays() {
    let Some(machine) = Machine::new() else { return };
    let policy = machine.0.path().join("p.yaml");
    std::fs::write(&policy, "version: 1\nfilesystem_policy: { read_only: [/usr] }\n").unwrap();
    assert_eq!(machine.call("sandbox create -q demo -- true").status.code(), Some(0));
    let output = machine.call(&format!("sandbox policy set demo {} --wait", policy.display()));
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("cannot be changed"), "{}", stderr(&output));
    assert!(stdout(&machine.call("sandbox policy history demo")).contains("1        in force"));
}
