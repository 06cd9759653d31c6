//! The real supervisor with its lock, its directory and its log.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};

use navigator_proto::datamodel::v1::SandboxSpec;
use navigator_proto::session::v1::Launch;
use prost::Message;
use rustix::fs::FlockOperation;

use super::peer::{Joined, Peer, TOKEN};
use crate::harness::{Case, eventually};

/// A supervisor that runs. Dropping it kills it.
pub(super) struct Supervisor {
    child: Child,
    lock: PathBuf,
    log: PathBuf,
}

/// Where the gateway of a case is.
pub(super) fn socket(case: &Case) -> PathBuf {
    case.path("gateway.sock")
}

/// What a supervisor is told when nothing is special.
pub(super) fn launch(case: &Case) -> Launch {
    let directory = case.path("sandbox");
    if !directory.exists() {
        case.directory("sandbox");
    }
    Launch {
        sandbox_id: "019b7c1e-0000-7000-8000-000000000001".into(),
        sandbox_name: "e2e".into(),
        token: TOKEN.into(),
        gateway_socket: socket(case).to_str().unwrap().into(),
        directory: directory.to_str().unwrap().into(),
        spec: Some(SandboxSpec::default()),
        complete: true,
        ..Launch::default()
    }
}

/// The policy of a text, as a message.
pub(super) fn policy(text: &str) -> navigator_proto::sandbox::v1::SandboxPolicy {
    (&navigator_policy::load("policy", text).unwrap().policy).into()
}

/// The usual files and these network policies.
pub(super) fn network(policies: &str) -> navigator_proto::sandbox::v1::SandboxPolicy {
    policy(&format!(
        "version: 1\nfilesystem_policy:\n  \
         read_only: [/usr, /bin, /sbin, /lib, /lib64, /etc, /opt, /proc, /dev/urandom]\n  \
         read_write: [/sandbox, /tmp, /dev/null]\n{policies}"
    ))
}

impl Supervisor {
    /// Starts one, with the lock taken, as a driver does.
    pub(super) fn start(case: &Case, launch: &Launch) -> Self {
        let (lock, log) = (case.path("lock"), case.path("supervisor.log"));
        let held = File::options().create(true).write(true).truncate(false).open(&lock).unwrap();
        rustix::fs::flock(&held, FlockOperation::NonBlockingLockExclusive).unwrap();
        let mut command = case.navigator(&["supervise"]);
        command.stdin(Stdio::piped()).stdout(held).stderr(File::create(&log).unwrap());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(&launch.encode_to_vec()).unwrap();
        Self { child, lock, log }
    }

    /// Starts one and waits until it has joined.
    pub(super) fn joined(case: &Case, peer: &Peer, launch: &Launch) -> (Self, Joined) {
        let supervisor = Self::start(case, launch);
        (supervisor, peer.joined())
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The process that runs the sandbox, as the host sees it.
    pub(super) fn init(&self) -> u32 {
        let pid = self.pid();
        let list = format!("/proc/{pid}/task/{pid}/children");
        let children = std::fs::read_to_string(list).unwrap();
        let named = |pid: &&str| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            name.trim() == "navigator-init"
        };
        children.split_whitespace().find(named).unwrap().parse().unwrap()
    }

    /// What it wrote on standard error.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// What the lock file says.
    pub(super) fn lock(&self) -> String {
        std::fs::read_to_string(&self.lock).unwrap()
    }

    /// Whether somebody holds the lock.
    pub(super) fn is_locked(&self) -> bool {
        let file = File::open(&self.lock).unwrap();
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err()
    }

    /// Sends a signal to it.
    pub(super) fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(rustix::process::Pid::from_raw).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits until it has ended by itself.
    pub(super) fn ended(mut self) -> ExitStatus {
        let (child, status) =
            (std::cell::RefCell::new(&mut self.child), std::cell::Cell::new(None));
        eventually("the supervisor ends", || {
            status.set(child.borrow_mut().try_wait().unwrap());
            status.get().is_some()
        });
        status.get().unwrap()
    }

    /// Open descriptors of the supervisor and of init; nothing for an ordinary user, who may not look at them.
    pub(super) fn descriptors(&self) -> Option<[usize; 2]> {
        let count = |pid: u32| match std::fs::read_dir(format!("/proc/{pid}/fd")) {
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => None,
            entries => Some(entries.unwrap().count()),
        };
        Some([count(self.pid())?, count(self.init())?])
    }

    /// Kilobytes of memory that are the supervisor's own.
    pub(super) fn memory(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid())).unwrap();
        let line = text.lines().find(|line| line.starts_with("Private_Dirty:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // Both fail when it has ended.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
        let _ended = std::fs::remove_file(&self.lock);
    }
}

/// Where the home directory of the sandbox is on the host.
pub(super) fn home(case: &Case) -> PathBuf {
    Path::new(&case.path("sandbox")).join("home")
}
