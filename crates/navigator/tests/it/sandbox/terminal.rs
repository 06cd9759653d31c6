//! Commands on a terminal: it is raw while they run, and as it was before when they have ended, however they did.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus};

use navigator_proto::datamodel::v1::SandboxPhase;
use navigator_testkit::gateway::{Fault, Service};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use super::program;

/// A terminal, and the program that runs in its foreground.
struct Terminal {
    keyboard: File,
    line: OwnedFd,
    child: Child,
}

impl Terminal {
    /// Runs a command in the sandbox `demo`; `None` where no program can be given a terminal.
    fn exec(service: &Service, script: &str) -> Option<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, vec![]).unwrap().into_string().unwrap();
        let line: OwnedFd = File::options().read(true).write(true).open(name).unwrap().into();
        let own = program(service);
        let mut command = Command::new("setsid");
        command.arg("-c").arg(own.get_program());
        command.args(["sandbox", "exec", "demo", "--", "sh", "-c", script]);
        command.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let end = || line.try_clone().unwrap();
        let Ok(child) = command.stdin(end()).stdout(end()).stderr(end()).spawn() else {
            eprintln!("skipped: there is no `setsid`");
            return None;
        };
        Some(Self { keyboard: File::from(master), line, child })
    }

    fn modes(&self) -> LocalModes {
        tcgetattr(&self.line).unwrap().local_modes
    }

    /// Reads what is shown until it ends with a text.
    fn until(&mut self, text: &str) {
        let (mut shown, mut byte) = (vec![], [0]);
        while !shown.ends_with(text.as_bytes()) {
            self.keyboard.read_exact(&mut byte).unwrap();
            shown.push(byte[0]);
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end and returns the terminal's modes after it.
    fn end(mut self) -> (ExitStatus, LocalModes) {
        (self.child.wait().unwrap(), self.modes())
    }
}

fn ready() -> Service {
    Service::new(Fault::None).with("demo", SandboxPhase::Ready)
}

#[test]
fn keys_go_to_the_sandbox_and_the_terminal_is_given_back() {
    let service = ready();
    let Some(mut terminal) = Terminal::exec(&service, "echo ready; exec cat") else { return };
    terminal.until("ready\n");
    let raw = terminal.modes();
    assert!(!raw.intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG), "{raw:?}");
    // Ctrl-C is a key like others.
    terminal.keyboard.write_all(b"a\x03b").unwrap();
    terminal.until("a\x03b");
    terminal.signal(Signal::TERM);
    let (status, after) = terminal.end();
    assert_eq!(status.code(), Some(128 + 15));
    assert!(after.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG), "{after:?}");
}

#[test]
fn a_new_size_is_passed_on() {
    let service = ready();
    let script = "trap 'exit 0' USR1; echo ready; while :; do sleep 0.01; done";
    let Some(mut terminal) = Terminal::exec(&service, script) else { return };
    terminal.until("ready\n");
    let size = Winsize { ws_row: 33, ws_col: 99, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&terminal.line, size).unwrap();
    while service.state.lock().unwrap().resizes.last() != Some(&(33, 99)) {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    terminal.signal(Signal::USR1);
    assert_eq!(terminal.end().0.code(), Some(0));
}

#[test]
fn the_terminal_is_given_back_when_the_gateway_is_gone() {
    let service = ready();
    let Some(mut terminal) = Terminal::exec(&service, "echo ready; exec cat") else { return };
    terminal.until("ready\n");
    drop(service);
    let (status, after) = terminal.end();
    assert_eq!(status.code(), Some(125));
    assert!(after.contains(LocalModes::ICANON | LocalModes::ECHO), "{after:?}");
}
