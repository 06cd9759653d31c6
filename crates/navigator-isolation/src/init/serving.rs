//! Init's loop: starts what the supervisor asks for, signals it, reaps what ends.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, WaitOptions, WaitStatus};

use super::{Ready, sessions, terminals};
use crate::channel::{self, Channel, ExitStatus, Report, Request, Stage};
use crate::confine::{Confinement, Launch, Session, raw};
use crate::ids::IdMap;
use crate::probe::Expectation;
use crate::spec::{Family, Leader, ProcessSpec, SandboxSpec, Stdio};
use crate::sys;

/// A process that the supervisor asked for.
struct Running {
    pid: Pid,
    /// The terminal that init's own session has for it.
    _terminal: Option<OwnedFd>,
}

/// Init's loop and what it keeps.
pub(super) struct Serving<'a> {
    confinement: Confinement<'a>,
    channel: &'a Channel,
    ready: &'a Ready,
    processes: BTreeMap<u64, Running>,
    /// Whether the supervisor waits for the end of every process.
    ending: bool,
}

/// Whether somebody is at the other end of the channel.
enum Supervisor {
    There,
    Gone,
}

/// Whether any process of the sandbox is left.
#[derive(PartialEq, Eq)]
enum Left {
    Some,
    None,
}

impl<'a> Serving<'a> {
    pub(super) fn new(
        spec: &'a SandboxSpec,
        ids: IdMap,
        channel: &'a Channel,
        ready: &'a Ready,
    ) -> Self {
        let network = spec.network.port_without_listener();
        let expected = Expectation { landlock: ready.landlock, network };
        let confinement = Confinement {
            user: &spec.user,
            processes: spec.processes,
            drop_groups: ids.may_drop_groups(),
            filters: &ready.filters,
            expected,
            builtin: spec.builtin,
        };
        Self { confinement, channel, ready, processes: BTreeMap::new(), ending: false }
    }

    /// Serves until the supervisor goes away or something fails; either ends the sandbox.
    pub(super) fn run(mut self) -> i32 {
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
            // A request that came before a process ended is about that process: killing what it started, once it is
            // reaped, would be too late.
            match if asked.is_empty() { Ok(Supervisor::There) } else { self.serve_all() } {
                Ok(Supervisor::There) => {}
                Ok(Supervisor::Gone) => return 0,
                Err(_) => return 1,
            }
            if !ended.is_empty() && self.reap().is_err() {
                return 1;
            }
        }
    }

    /// Serves every request that is there.
    fn serve_all(&mut self) -> io::Result<Supervisor> {
        loop {
            match self.channel.try_receive::<Request>() {
                Ok(Some((request, fds))) => self.serve(request, fds)?,
                Ok(None) => return Ok(Supervisor::Gone),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Supervisor::There);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn serve(&mut self, request: Request, mut fds: VecDeque<OwnedFd>) -> io::Result<()> {
        match request {
            Request::Proceed => Ok(()),
            Request::Spawn { id } => {
                let process = fds.pop_front().ok_or(io::ErrorKind::InvalidData)?;
                self.start(id, &channel::open_process(process)?, fds)
            }
            // A process that is gone needs no signal.
            Request::Signal { id, signal } => {
                let running = self.processes.get(&id);
                running.map_or(Ok(()), |running| sessions::signal(running.pid, signal))
            }
            Request::Kill { id } => {
                let running = self.processes.get(&id);
                running.map_or(Ok(()), |running| sessions::kill(running.pid))
            }
            Request::Socket { id, family } => self.socket(id, family),
            Request::SignalAll { signal } => {
                self.ending = true;
                sys::signal_everything(signal)?;
                self.reap()
            }
        }
    }

    /// Without IP in this kernel there is none, which is told by its absence.
    fn socket(&self, id: u64, family: Family) -> io::Result<()> {
        let family = match family {
            Family::V4 => AddressFamily::INET,
            Family::V6 => AddressFamily::INET6,
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let made = rustix::net::socket_with(family, SocketType::STREAM, flags, None).ok();
        let fds: Vec<_> = made.iter().map(AsFd::as_fd).collect();
        self.channel.send(&Report::Socket { id }, &fds)
    }

    fn start(
        &mut self,
        id: u64,
        process: &ProcessSpec,
        given: VecDeque<OwnedFd>,
    ) -> io::Result<()> {
        let report = match self.spawn(id, process, given) {
            Ok(running) => {
                let pid = running.pid.as_raw_nonzero().get();
                self.processes.insert(id, running);
                Report::Started { id, pid }
            }
            Err((stage, errno)) => Report::NotStarted { id, stage, errno },
        };
        self.channel.send(&report, &[])
    }

    /// Everything that was opened or given for the process is closed again when this returns: who waits for the end
    /// of one of its pipes waits for the process alone.
    fn spawn(
        &self,
        id: u64,
        process: &ProcessSpec,
        mut given: VecDeque<OwnedFd>,
    ) -> Result<Running, (Stage, i32)> {
        let terminal = match process.terminal {
            None => None,
            Some(wanted) => {
                let (master, terminal) =
                    terminals::make(wanted, self.confinement.user).map_err(at(Stage::Terminal))?;
                let report = Report::Terminal { id };
                self.channel.send(&report, &[master.as_fd()]).map_err(at(Stage::Terminal))?;
                Some((wanted.leader, terminal))
            }
        };
        let session = match &terminal {
            None => Session::Own,
            Some((Leader::Init, terminal)) => Session::Foreground(raw(terminal)),
            Some((Leader::Process, terminal)) => Session::Leader(raw(terminal)),
        };
        let launch = Launch::new(process, session, &self.confinement)
            .map_err(|_| (Stage::Exec, libc::EINVAL))?;
        let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .map_err(at(Stage::Descriptors))?;
        let mut kept = vec![];
        let mut stdio = [0; 3];
        for (number, (place, kind)) in stdio.iter_mut().zip(process.stdio).enumerate() {
            *place = match kind {
                Stdio::Inherit => number as i32,
                Stdio::Terminal => terminal.as_ref().map_or(raw(&null), |(_, fd)| raw(fd)),
                Stdio::Null => raw(&null),
                Stdio::Given => {
                    let fd = given.pop_front().ok_or((Stage::Descriptors, libc::EBADF))?;
                    kept.push(fd);
                    kept.last().map_or(raw(&null), raw)
                }
            };
        }
        let pid = self.fork(&launch, stdio)?;
        let of_init = terminal.filter(|(leader, _)| *leader == Leader::Init);
        Ok(Running { pid, _terminal: of_init.map(|(_, terminal)| terminal) })
    }

    fn fork(&self, launch: &Launch<'_>, stdio: [i32; 3]) -> Result<Pid, (Stage, i32)> {
        let domain = self.ready.domain.for_process().map_err(at(Stage::Landlock))?;
        let flags = rustix::pipe::PipeFlags::CLOEXEC;
        let (answer, report) = rustix::pipe::pipe_with(flags).map_err(at(Stage::Fork))?;
        match sys::fork().map_err(at(Stage::Fork))? {
            None => launch.run(stdio, domain, raw(&report)),
            Some(pid) => {
                drop(report);
                started(answer).map(|()| pid)
            }
        }
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
        if self.reap_all()? == Left::None && self.ending {
            self.ending = false;
            self.channel.send(&Report::Empty, &[])?;
        }
        Ok(())
    }

    /// Every process of the sandbox is a child of init or of one that will become a child of init, so that none is
    /// left when init has no child.
    fn reap_all(&mut self) -> io::Result<Left> {
        loop {
            let options = WaitOptions::NOHANG | WaitOptions::UNTRACED;
            match rustix::process::wait(options) {
                Ok(Some((pid, status))) => self.collect(pid, status)?,
                Ok(None) => return Ok(Left::Some),
                Err(rustix::io::Errno::CHILD) => return Ok(Left::None),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn collect(&mut self, pid: Pid, status: WaitStatus) -> io::Result<()> {
        let known = self.processes.iter().find(|(_, running)| running.pid == pid);
        let Some(id) = known.map(|(id, _)| *id) else { return Ok(()) };
        if status.stopped() {
            return self.channel.send(&Report::Stopped { id }, &[]);
        }
        let status = match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => ExitStatus::Code(code),
            (None, Some(signal)) => ExitStatus::Signal(signal),
            (None, None) => return Ok(()),
        };
        // Whoever reads the other side of its terminal sees the end once no process holds it.
        self.processes.remove(&id);
        self.channel.send(&Report::Exited { id, status }, &[])
    }
}

fn at<E: Into<io::Error>>(stage: Stage) -> impl FnOnce(E) -> (Stage, i32) {
    move |error| (stage, error.into().raw_os_error().unwrap_or(libc::EIO))
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
