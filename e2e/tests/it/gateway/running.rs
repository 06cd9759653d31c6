//! A gateway of one case: its process, its private directories, and its end.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;

use super::api::Api;
use super::machine::{self, Machine};
use crate::harness::{Case, eventually, stderr};

/// A gateway that runs. Dropping it ends it, its supervisors and everything in their sandboxes.
pub(super) struct Running<'a> {
    case: &'a Case,
    child: Mutex<Child>,
    launcher: Vec<String>,
    pub(super) machine: Machine,
}

impl<'a> Running<'a> {
    /// Starts a gateway and waits until it answers.
    pub(super) fn start(case: &'a Case) -> Self {
        case.directory("state");
        Self::start_in(case, vec![])
    }

    /// Starts a gateway by another program, which becomes the gateway.
    pub(super) fn start_in(case: &'a Case, launcher: Vec<String>) -> Self {
        case.directory("run");
        case.directory("config");
        let child = Mutex::new(spawn(case, &launcher));
        let running = Self { case, child, launcher, machine: Machine::of(case) };
        running.wait_until_it_answers();
        running
    }

    fn wait_until_it_answers(&self) {
        eventually("the gateway answers", || {
            let ended = self.child.lock().unwrap().try_wait().unwrap();
            assert_eq!(ended, None, "{}", self.log());
            self.answers()
        });
    }

    /// Whether somebody takes connections on the socket.
    pub(super) fn answers(&self) -> bool {
        std::os::unix::net::UnixStream::connect(self.socket()).is_ok()
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.lock().unwrap().id()
    }

    /// Kills the gateway.
    pub(super) fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts the gateway again after its end.
    pub(super) fn start_again(&self) {
        *self.child.lock().unwrap() = spawn(self.case, &self.launcher);
        self.wait_until_it_answers();
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.case.path("run/gateway.sock")
    }

    /// A client of its own connection, for the user that the tests run as.
    pub(super) fn api(&self) -> Api {
        Api::new(&self.socket())
    }

    /// What the gateways of this case logged.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.case.path("gateway.log")).unwrap()
    }

    /// The command line, as the user of this case.
    pub(super) fn command(&self, args: &[&str]) -> Command {
        command(self.case, args)
    }

    /// Runs the command line, which must succeed.
    pub(super) fn succeeds(&self, args: &[&str]) -> String {
        let output = self.output(args);
        assert!(output.status.success(), "{args:?}: {}\n{}", stderr(&output), self.log());
        crate::harness::stdout(&output)
    }

    /// Runs the command line.
    pub(super) fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Asserts that nothing is left of any sandbox.
    pub(super) fn nothing_is_left(&self) {
        let alone = || self.machine.processes() == [self.pid()];
        eventually("only the gateway runs", alone);
        eventually("no directory is left", || self.machine.directories().is_empty());
        assert_eq!(self.machine.mounts(), Vec::<String>::new());
        let sockets: Vec<_> = std::fs::read_dir(self.case.path("run")).unwrap().collect();
        assert_eq!(sockets.len(), 1, "{sockets:?}");
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.kill();
        self.machine.processes().into_iter().for_each(machine::kill);
        let gone = || self.machine.processes().is_empty();
        for _ in 0..1000 {
            if gone() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        eprintln!("still there: {:?}", self.machine.processes());
    }
}

/// The command line with the private directories of a case.
pub(super) fn command(case: &Case, args: &[&str]) -> Command {
    let mut command = case.navigator(args);
    for (name, directory) in [("STATE", "state"), ("RUNTIME", "run"), ("CONFIG", "config")] {
        command.env(format!("NAVIGATOR_{name}_DIR"), case.path(directory));
    }
    command
}

fn spawn(case: &Case, launcher: &[String]) -> Child {
    let log = File::options().create(true).append(true).open(case.path("gateway.log")).unwrap();
    let direct = command(case, &["gateway", "run"]);
    let mut gateway = match launcher {
        [] => direct,
        [program, words @ ..] => {
            let mut gateway = Command::new(program);
            gateway.args(words).arg(direct.get_program()).args(direct.get_args());
            let variables = direct.get_envs().filter_map(|(name, value)| Some((name, value?)));
            gateway.envs(variables).stdin(Stdio::null());
            gateway
        }
    };
    gateway.stdout(Stdio::null()).stderr(log).spawn().unwrap()
}
