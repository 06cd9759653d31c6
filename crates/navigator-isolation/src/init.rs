//! Process 1 of a sandbox: builds it from inside, starts what the supervisor asks for, reaps what ends.
//!
//! It is a copy of the single-threaded supervisor, taken before that held any secret. It never enters the
//! processes' Landlock domain, so none of them can signal or trace it. When the supervisor is gone it ends,
//! and the kernel ends everything in its pid namespace with it (pid_namespaces(7)).

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, WaitOptions};

use crate::access::Domain;
use crate::channel::{self, Channel, DESCRIPTORS, ExitStatus, Report, Request, Stage, WayKind};
use crate::confine::{Confinement, Launch, Session, raw};
use crate::ids::IdMap;
use crate::probe::Expectation;
use crate::seccomp::Filters;
use crate::spec::{LayerStatus, Network, ProcessSpec, SandboxSpec, SkippedPath, Stdio};
use crate::{connects, mounts, network, sys};

/// How readily the kernel ends a process of a sandbox when the machine runs out of memory, before anything
/// of the user's own. Source: proc_pid_oom_score_adj(5).
const OOM_SCORE: &str = "500";

/// What init needs from before the clone.
pub(crate) struct Init {
    pub(crate) spec: SandboxSpec,
    pub(crate) ids: IdMap,
    pub(crate) channel: Channel,
    /// Mounts that only the supervisor could open, in the order of `spec.binds`.
    pub(crate) binds: Vec<Option<OwnedFd>>,
}

impl Init {
    /// Runs process 1. Returns its exit code.
    pub(crate) fn run(self) -> i32 {
        let channel = match self.prepare() {
            Ok(()) => &self.channel,
            Err(_) => return 1,
        };
        match channel.receive::<Request>() {
            Ok(Some((Request::Proceed, _))) => {}
            Ok(_) | Err(_) => return 1,
        }
        let Self { spec, ids, channel, binds } = self;
        match set_up(&spec, ids, binds, &channel) {
            Ok(ready) => {
                let _guard = &ready.signals;
                Serving::new(&spec, ids, &channel, &ready).run()
            }
            Err(message) => i32::from(channel.send(&Report::Failed { message }, &[]).is_err()) + 1,
        }
    }

    /// Ends with the supervisor, holds nothing of its, and can be looked at by nobody.
    fn prepare(&self) -> io::Result<()> {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        let mut keep: Vec<i32> = vec![0, 1, 2, raw(&self.channel.as_fd())];
        keep.extend(self.binds.iter().flatten().map(AsRawFd::as_raw_fd));
        keep.sort_unstable();
        sys::close_all_but(&keep)?;
        rustix::thread::set_name(c"navigator-init")?;
        std::fs::write("/proc/self/oom_score_adj", OOM_SCORE)
    }
}

/// The finished sandbox, as init holds it.
struct Ready {
    domain: Domain,
    filters: Filters,
    signals: OwnedFd,
    landlock: bool,
}

/// An error with its causes, as the supervisor will show it.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn say<E: std::error::Error + 'static>(error: E) -> String {
    words(&error)
}

/// Puts the failed step in front of a system error.
fn step<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> String {
    move |error| format!("failed to {what}: {}", error.into())
}

fn set_up(
    spec: &SandboxSpec,
    ids: IdMap,
    binds: Vec<Option<OwnedFd>>,
    channel: &Channel,
) -> Result<Ready, String> {
    take_ids(spec, ids).map_err(step("take the sandbox's ids"))?;
    rustix::system::sethostname(spec.name.as_bytes()).map_err(step("set the host name"))?;
    let mut ways = match &spec.network {
        Network::None => vec![],
        Network::Captured { ports } => network::capture(ports).map_err(say)?,
    };
    let owner = (spec.user.uid, spec.user.gid);
    let grants = mounts::enter(spec, owner, binds).map_err(say)?;
    let mut skipped = grants.skipped;
    let (domain, landlock) =
        Domain::new(&grants.rules, &spec.network, spec.landlock, &mut skipped).map_err(say)?;
    let filters = Filters::new(&spec.network).map_err(say)?;
    let signals = sys::child_signals().map_err(step("watch for ended processes"))?;
    let enforced = domain.for_process().map_err(step("copy the Landlock rules"))?.is_some();
    let places = open_places().map_err(step("open its own /proc and /"))?;
    if matches!(spec.network, Network::Captured { .. }) {
        // From here on nothing may name a file before the supervisor listens, and it does once it is told.
        let connects = connects::install(spec.observe)
            .map_err(step("make connects wait for a look at their program"))?;
        ways.push((WayKind::Connects, connects));
    }
    send_ways(channel, ways).map_err(step("hand out the sandbox's sockets"))?;
    announce(channel, layers(landlock, ids), skipped, &places)
        .map_err(step("report that it is ready"))?;
    Ok(Ready { domain, filters, signals, landlock: enforced })
}

/// Becomes the user inside that owns what init makes; from here on init has no right outside.
fn take_ids(spec: &SandboxSpec, ids: IdMap) -> io::Result<()> {
    let (uid, gid) = ids.init_ids(&spec.user);
    let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
    rustix::thread::set_keep_capabilities(true)?;
    if ids.may_drop_groups() {
        rustix::thread::set_thread_groups(&[])?;
    }
    let all = rustix::thread::capabilities(None)?.permitted;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    let sets = rustix::thread::CapabilitySets {
        effective: all,
        permitted: all,
        inheritable: rustix::thread::CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, sets)?;
    // Changing ids cleared the death signal and may have made this process traceable: set both again.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    Ok(())
}

fn send_ways(channel: &Channel, ways: Vec<(WayKind, OwnedFd)>) -> io::Result<()> {
    for batch in ways.chunks(DESCRIPTORS) {
        let kinds = batch.iter().map(|(kind, _)| *kind).collect();
        let fds: Vec<BorrowedFd<'_>> = batch.iter().map(|(_, fd)| fd.as_fd()).collect();
        channel.send(&Report::Ways(kinds), &fds)?;
    }
    Ok(())
}

/// The sandbox's `/proc` and root, by which it is examined.
fn open_places() -> io::Result<[OwnedFd; 2]> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc = rustix::fs::open("/proc", flags, Mode::empty())?;
    Ok([proc, rustix::fs::open("/", flags, Mode::empty())?])
}

fn announce(
    channel: &Channel,
    layers: Vec<LayerStatus>,
    skipped: Vec<SkippedPath>,
    places: &[OwnedFd; 2],
) -> io::Result<()> {
    channel.send(&Report::Ready { layers, skipped }, &places.each_ref().map(AsFd::as_fd))
}

fn layers(landlock: LayerStatus, ids: IdMap) -> Vec<LayerStatus> {
    let enforced = |layer: &str, detail: &str| LayerStatus {
        layer: layer.into(),
        degraded: None,
        detail: detail.into(),
    };
    let groups = match ids {
        IdMap::Range { .. } => None,
        IdMap::Single { .. } => Some(
            "an ordinary user's supplementary groups cannot be dropped; only granted paths are mounted"
                .to_owned(),
        ),
    };
    vec![
        enforced("namespaces", "user, mount, pid, network, ipc, uts, cgroup"),
        enforced("mounts", "granted paths only"),
        landlock,
        enforced("seccomp", "filter loaded into every process"),
        LayerStatus {
            layer: "privileges".into(),
            degraded: groups,
            detail: "no capabilities, no_new_privs".into(),
        },
    ]
}

/// A process that the supervisor asked for.
struct Running {
    pid: Pid,
    has_terminal: bool,
}

/// Init's loop and what it keeps.
struct Serving<'a> {
    confinement: Confinement<'a>,
    channel: &'a Channel,
    ready: &'a Ready,
    processes: BTreeMap<u64, Running>,
    terminal: Option<OwnedFd>,
    terminal_master: Option<OwnedFd>,
}

impl<'a> Serving<'a> {
    fn new(spec: &'a SandboxSpec, ids: IdMap, channel: &'a Channel, ready: &'a Ready) -> Self {
        let network = spec.network.port_without_listener();
        let expected = Expectation { landlock: ready.landlock, network };
        let confinement = Confinement {
            user: &spec.user,
            processes: spec.processes,
            drop_groups: ids.may_drop_groups(),
            filters: &ready.filters,
            expected,
        };
        Self {
            confinement,
            channel,
            ready,
            processes: BTreeMap::new(),
            terminal: None,
            terminal_master: None,
        }
    }

    /// Serves until the supervisor goes away or something fails; either ends the sandbox.
    fn run(mut self) -> i32 {
        loop {
            let mut wait = [
                PollFd::new(self.channel, PollFlags::IN),
                PollFd::new(&self.ready.signals, PollFlags::IN),
            ];
            match rustix::event::poll(&mut wait, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return 1,
            }
            let [asked, ended] = [wait[0].revents(), wait[1].revents()];
            if !ended.is_empty() && self.reap().is_err() {
                return 1;
            }
            if asked.is_empty() {
                continue;
            }
            match self.channel.receive::<Request>() {
                Ok(Some((request, mut fds))) => {
                    if self.serve(request, fds.pop_front()).is_err() {
                        return 1;
                    }
                }
                Ok(None) => return 0,
                Err(_) => return 1,
            }
        }
    }

    fn serve(&mut self, request: Request, fd: Option<OwnedFd>) -> io::Result<()> {
        match request {
            Request::Proceed => Ok(()),
            Request::Spawn { id } => {
                let process = channel::open_process(fd.ok_or(io::ErrorKind::InvalidData)?)?;
                let report = match self.spawn(id, &process) {
                    Ok(pid) => {
                        let has_terminal = process.terminal.is_some();
                        self.processes.insert(id, Running { pid, has_terminal });
                        Report::Started { id, pid: pid.as_raw_nonzero().get() }
                    }
                    Err((stage, errno)) => Report::NotStarted { id, stage, errno },
                };
                self.channel.send(&report, &[])
            }
            Request::Signal { id, signal } => {
                // A process that is gone needs no signal.
                if let Some(running) = self.processes.get(&id)
                    && let Some(signal) = Signal::from_named_raw(signal)
                {
                    match rustix::process::kill_process_group(running.pid, signal) {
                        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Ok(())
            }
            Request::Resize { size, .. } => {
                let Some(master) = &self.terminal_master else { return Ok(()) };
                rustix::termios::tcsetwinsize(master, winsize(size)).map_err(Into::into)
            }
        }
    }

    fn spawn(&mut self, id: u64, process: &ProcessSpec) -> Result<Pid, (Stage, i32)> {
        let session = match process.terminal {
            Some(size) => Session::Foreground(raw(self.open_terminal(id, size)?)),
            None => Session::Own,
        };
        let launch = Launch::new(process, session, &self.confinement)
            .map_err(|_| (Stage::Exec, libc::EINVAL))?;
        let failed =
            |stage| move |error: io::Error| (stage, error.raw_os_error().unwrap_or(libc::EIO));
        let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| (Stage::Descriptors, error.raw_os_error()))?;
        let terminal = self.terminal.as_ref().map_or(raw(&null), raw);
        let mut stdio = [0; 3];
        for (number, (place, kind)) in stdio.iter_mut().zip(process.stdio).enumerate() {
            *place = match kind {
                Stdio::Inherit => number as i32,
                Stdio::Terminal => terminal,
                Stdio::Null => raw(&null),
            };
        }
        let domain = self.ready.domain.for_process().map_err(failed(Stage::Landlock))?;
        let flags = rustix::pipe::PipeFlags::CLOEXEC;
        let (answer, report) =
            rustix::pipe::pipe_with(flags).map_err(|error| (Stage::Fork, error.raw_os_error()))?;
        match sys::fork().map_err(failed(Stage::Fork))? {
            None => launch.run(stdio, domain, raw(&report)),
            Some(pid) => {
                drop(report);
                started(answer).map(|()| pid)
            }
        }
    }

    /// Makes a terminal in the sandbox, makes it init's own, and hands its other side to the supervisor.
    fn open_terminal(
        &mut self,
        id: u64,
        size: crate::spec::TerminalSize,
    ) -> Result<&OwnedFd, (Stage, i32)> {
        let failed =
            |error: io::Error| (Stage::Terminal, error.raw_os_error().unwrap_or(libc::EIO));
        let (master, terminal) = self.make_terminal(size).map_err(failed)?;
        self.channel.send(&Report::Terminal { id }, &[master.as_fd()]).map_err(failed)?;
        self.terminal_master = Some(master);
        Ok(self.terminal.insert(terminal))
    }

    fn make_terminal(&self, size: crate::spec::TerminalSize) -> io::Result<(OwnedFd, OwnedFd)> {
        use rustix::pty::OpenptFlags;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let master = rustix::fs::open(Path::new("/dev/pts/ptmx"), flags, Mode::empty())?;
        rustix::pty::unlockpt(&master)?;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let terminal = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
        rustix::termios::tcsetwinsize(&master, winsize(size))?;
        let user = self.confinement.user;
        let (uid, gid) = (rustix::fs::Uid::from_raw(user.uid), rustix::fs::Gid::from_raw(user.gid));
        rustix::fs::fchown(&terminal, Some(uid), Some(gid))?;
        match rustix::process::setsid() {
            // Init leads its session already when it makes a second terminal.
            Ok(_) | Err(rustix::io::Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
        rustix::process::ioctl_tiocsctty(&terminal)?;
        Ok((master, terminal))
    }

    /// Collects every ended or stopped process; reports those that the supervisor asked for.
    fn reap(&mut self) -> io::Result<()> {
        let mut info = [0; 128];
        loop {
            match rustix::io::read(&self.ready.signals, &mut info) {
                Ok(_) => {}
                Err(rustix::io::Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        loop {
            let options = WaitOptions::NOHANG | WaitOptions::UNTRACED;
            let (pid, status) = match rustix::process::wait(options) {
                Ok(Some(ended)) => ended,
                Ok(None) | Err(rustix::io::Errno::CHILD) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let Some(id) = self.id_of(pid) else { continue };
            if status.stopped() {
                self.channel.send(&Report::Stopped { id }, &[])?;
                continue;
            }
            if self.processes.remove(&id).is_some_and(|ended| ended.has_terminal) {
                // Whoever reads the other side sees its end once no process holds the terminal.
                self.terminal = None;
                self.terminal_master = None;
            }
            let status = match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => ExitStatus::Code(code),
                (None, Some(signal)) => ExitStatus::Signal(signal),
                (None, None) => continue,
            };
            self.channel.send(&Report::Exited { id, status }, &[])?;
        }
    }

    fn id_of(&self, pid: Pid) -> Option<u64> {
        self.processes.iter().find(|(_, running)| running.pid == pid).map(|(id, _)| *id)
    }
}

fn winsize(size: crate::spec::TerminalSize) -> rustix::termios::Winsize {
    rustix::termios::Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 }
}

/// Waits until the program runs, which closes the pipe, or the reason why not arrives.
fn started(answer: OwnedFd) -> Result<(), (Stage, i32)> {
    let mut bytes = Vec::new();
    let mut pipe = std::fs::File::from(answer);
    pipe.read_to_end(&mut bytes).map_err(|_| (Stage::Fork, libc::EIO))?;
    let number = |at: usize| {
        bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes)
    };
    match (number(0), number(4)) {
        (None, _) => Ok(()),
        (Some(stage), Some(error)) => {
            let stage = usize::try_from(stage).ok().and_then(|index| Stage::ALL.get(index));
            Err((stage.copied().unwrap_or(Stage::Fork), error))
        }
        (Some(_), None) => Err((Stage::Fork, libc::EIO)),
    }
}
