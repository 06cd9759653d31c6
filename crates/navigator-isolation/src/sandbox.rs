//! A sandbox as its supervisor sees it: cloned, then ready, then running processes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::process::{Pid, Signal, WaitOptions};

use crate::binds::{BindError, Detached};
use crate::channel::{self, Channel, ExitStatus, Report, Request, Stage, WayKind};
use crate::ids::IdMap;
use crate::init::Init;
use crate::probe::Breach;
use crate::spec::{Family, LayerStatus, ProcessSpec, SandboxSpec, SkippedPath};
use crate::sys::{self, Cloned};

/// Every namespace, made at once: one call costs a third of making them one by one.
pub(crate) const NAMESPACES: u64 = (libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP) as u64;

/// Milliseconds after which a thread that was joined is surely gone.
const JOINED: u32 = 100;

/// A sandbox that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The process has more than one thread, so it cannot be copied safely.
    #[error("failed to start a sandbox from a process with {threads} threads; it must have one")]
    Threads {
        /// Number of threads.
        threads: usize,
    },
    /// The user to run as is root.
    #[error("failed to start a sandbox as root: run_as_user must be an ordinary user")]
    RootUser,
    /// The kernel refused the namespaces.
    #[error(
        "failed to create the sandbox's namespaces; run `navigator doctor` to see what is missing"
    )]
    Namespaces {
        /// The system's reason.
        source: io::Error,
    },
    /// The id maps could not be written.
    #[error("failed to map the sandbox's user ids; run `navigator doctor` to see what is missing")]
    Ids {
        /// The system's reason.
        source: io::Error,
    },
    /// A mounted directory could not be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The control channel broke.
    #[error("failed to talk to the sandbox's init")]
    Channel {
        /// The system's reason.
        source: io::Error,
    },
    /// Init could not build the sandbox.
    #[error("{message}")]
    SetUp {
        /// Which step failed and why.
        message: String,
    },
    /// Init ended before the sandbox was ready.
    #[error("failed to start the sandbox: its init ended early")]
    InitEnded,
}

/// A sandbox whose init exists and waits. Limits are attached to it now.
#[must_use]
pub struct Starting {
    init: InitProcess,
    channel: Channel,
}

/// Creates the sandbox's namespaces and its init. Nothing of the sandbox runs yet.
///
/// Call it from a single-threaded process whose main thread stays: init ends with that thread.
pub fn launch(spec: SandboxSpec, cgroup: Option<BorrowedFd<'_>>) -> Result<Starting, LaunchError> {
    if spec.user.uid == 0 || spec.user.gid == 0 {
        return Err(LaunchError::RootUser);
    }
    let channel_error = |source| LaunchError::Channel { source };
    let threads = threads().map_err(channel_error)?;
    if threads != 1 {
        return Err(LaunchError::Threads { threads });
    }
    let ids = IdMap::choose().map_err(|source| LaunchError::Ids { source })?;
    let mounts = Detached::open(&spec, ids)?;
    let user = spec.user.clone();
    let (ours, theirs) = Channel::pair().map_err(channel_error)?;
    let cloned =
        sys::clone_into(NAMESPACES, cgroup).map_err(|source| LaunchError::Namespaces { source })?;
    match cloned {
        Cloned::Child => {
            drop(ours);
            let init = Init { spec, ids, channel: theirs, mounts };
            // A panic must not unwind into the supervisor's code, of which this is a copy.
            let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| init.run()));
            sys::exit_now(run.unwrap_or(101))
        }
        Cloned::Parent { pid, pidfd } => {
            let init = InitProcess { pid, pidfd };
            ids.write(pid, &user).map_err(|source| LaunchError::Ids { source })?;
            Ok(Starting { init, channel: ours })
        }
    }
}

/// The number of this process's threads. One that was joined may be there for a moment more.
fn threads() -> io::Result<usize> {
    let count = || Ok::<_, io::Error>(std::fs::read_dir("/proc/self/task")?.count());
    for _ in 0..JOINED {
        if count()? == 1 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    count()
}

impl Starting {
    /// Init's process id outside the sandbox.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.init.pid
    }

    /// Lets init build the sandbox.
    pub fn proceed(&self) -> Result<(), LaunchError> {
        self.channel.send(&Request::Proceed, &[]).map_err(|source| LaunchError::Channel { source })
    }

    /// Waits until init has built the sandbox.
    pub fn ready(self) -> Result<Sandbox, LaunchError> {
        let mut sockets = vec![];
        loop {
            let message = self.channel.receive::<Report>();
            let Some((report, mut fds)) =
                message.map_err(|source| LaunchError::Channel { source })?
            else {
                return Err(LaunchError::InitEnded);
            };
            match report {
                Report::Ways(kinds) => sockets.extend(kinds.into_iter().zip(fds)),
                Report::Failed { message } => return Err(LaunchError::SetUp { message }),
                Report::Ready { layers, skipped } => {
                    let (Some(proc_dir), Some(root_dir)) = (fds.pop_front(), fds.pop_front())
                    else {
                        return Err(LaunchError::InitEnded);
                    };
                    let opened = Opened { sockets, proc_dir, root_dir };
                    let Self { init, channel } = self;
                    return Ok(Sandbox { init, channel, opened: Some(opened), layers, skipped });
                }
                Report::Started { .. }
                | Report::NotStarted { .. }
                | Report::Terminal { .. }
                | Report::Stopped { .. }
                | Report::Exited { .. }
                | Report::Socket { .. }
                | Report::Empty => return Err(LaunchError::InitEnded),
            }
        }
    }
}

/// Descriptors that init opened inside and handed out.
#[derive(Debug)]
pub struct Opened {
    /// Sockets of the sandbox's network namespace.
    pub sockets: Vec<(WayKind, OwnedFd)>,
    /// The sandbox's own `/proc`.
    pub proc_dir: OwnedFd,
    /// The sandbox's root directory.
    pub root_dir: OwnedFd,
}

/// A sandbox that is built. Dropping it ends everything in it.
#[must_use]
pub struct Sandbox {
    init: InitProcess,
    channel: Channel,
    opened: Option<Opened>,
    layers: Vec<LayerStatus>,
    skipped: Vec<SkippedPath>,
}

/// Something that happened in a sandbox.
#[derive(Debug)]
pub enum Event {
    /// A process runs its program: it was confined and passed the self-test.
    Started {
        /// The caller's number for it.
        id: u64,
        /// Process id inside the sandbox.
        pid: i32,
    },
    /// A process could not be started.
    NotStarted {
        /// The caller's number for it.
        id: u64,
        /// Why.
        error: StartError,
    },
    /// The controlling side of a process's terminal.
    Terminal {
        /// The caller's number for the process.
        id: u64,
        /// Read and write it to see the screen and type.
        master: OwnedFd,
    },
    /// The socket that was asked for.
    Socket {
        /// The caller's number for it.
        id: u64,
        /// Open, and not connected; `None` when this kernel has no such sockets.
        socket: Option<OwnedFd>,
    },
    /// A process was stopped from its terminal.
    Stopped {
        /// The caller's number for it.
        id: u64,
    },
    /// A process ended.
    Exited {
        /// The caller's number for it.
        id: u64,
        /// How.
        status: ExitStatus,
    },
    /// After [`Sandbox::signal_all`]: no process is left.
    Empty,
    /// Init is gone, and every process with it.
    Ended,
}

/// A process that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No such program.
    #[error("failed to find the program in the sandbox")]
    NotFound,
    /// The program exists and cannot be executed.
    #[error("failed to execute the program")]
    NotExecutable(#[source] io::Error),
    /// The working directory cannot be entered.
    #[error("failed to enter the working directory")]
    WorkingDirectory(#[source] io::Error),
    /// The self-test found a hole, so nothing was started.
    #[error("failed the self-test: {0}")]
    SelfTest(&'static str),
    /// A restriction could not be applied.
    #[error("failed to confine the process ({stage:?})")]
    Confine {
        /// The step that failed.
        stage: Stage,
        /// The system's reason.
        source: io::Error,
    },
}

impl StartError {
    fn new(stage: Stage, errno: i32) -> Self {
        let source = io::Error::from_raw_os_error(errno);
        match stage {
            Stage::Exec if errno == libc::ENOENT => Self::NotFound,
            Stage::Exec => Self::NotExecutable(source),
            Stage::WorkingDirectory => Self::WorkingDirectory(source),
            Stage::SelfTest => Self::SelfTest(Breach::describe(errno)),
            Stage::Fork
            | Stage::Terminal
            | Stage::Session
            | Stage::Descriptors
            | Stage::Limits
            | Stage::User
            | Stage::Privileges
            | Stage::Landlock
            | Stage::Seccomp => Self::Confine { stage, source },
        }
    }
}

impl Sandbox {
    /// Takes what init opened inside; `None` when it was taken before.
    pub fn take_opened(&mut self) -> Option<Opened> {
        self.opened.take()
    }

    /// How well each layer of isolation is in force.
    #[must_use]
    pub fn layers(&self) -> &[LayerStatus] {
        &self.layers
    }

    /// Paths of the policy that the root filesystem does not have.
    #[must_use]
    pub fn skipped(&self) -> &[SkippedPath] {
        &self.skipped
    }

    /// Init's process id outside the sandbox.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.init.pid
    }

    /// Becomes readable when [`Self::next_event`] has something.
    #[must_use]
    pub fn events(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }

    /// Takes the next event; fails with `WouldBlock` when there is none yet.
    pub fn next_event(&self) -> io::Result<Event> {
        let Some((report, mut fds)) = self.channel.try_receive::<Report>()? else {
            return Ok(Event::Ended);
        };
        Ok(match report {
            Report::Started { id, pid } => Event::Started { id, pid },
            Report::NotStarted { id, stage, errno } => {
                Event::NotStarted { id, error: StartError::new(stage, errno) }
            }
            Report::Terminal { id } => {
                let master = fds.pop_front().ok_or(io::ErrorKind::InvalidData)?;
                Event::Terminal { id, master }
            }
            Report::Stopped { id } => Event::Stopped { id },
            Report::Socket { id } => Event::Socket { id, socket: fds.pop_front() },
            Report::Exited { id, status } => Event::Exited { id, status },
            Report::Empty => Event::Empty,
            Report::Ways(_) | Report::Ready { .. } | Report::Failed { .. } => {
                return Err(io::ErrorKind::InvalidData.into());
            }
        })
    }

    /// Asks init to start a process under the caller's number `id`; `given` are its [`Stdio::Given`](crate::Stdio)
    /// descriptors in order.
    ///
    /// This and the other requests never wait: they fail with `WouldBlock` while init has too many to serve, because
    /// a process that starts waits for the caller to look at it.
    pub fn spawn(
        &self,
        id: u64,
        process: &ProcessSpec,
        given: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let description = channel::seal_process(process)?;
        let mut fds = vec![description.as_fd()];
        fds.extend(given);
        self.channel.try_send(&Request::Spawn { id }, &fds)
    }

    /// Sends a signal to the process group of a process; one that has ended is no error.
    pub fn signal(&self, id: u64, signal: Signal) -> io::Result<()> {
        self.channel.try_send(&Request::Signal { id, signal: signal.as_raw() }, &[])
    }

    /// Kills the process group of a process, and every other group of the session that it leads; one that has ended
    /// is no error.
    pub fn kill(&self, id: u64) -> io::Result<()> {
        self.channel.try_send(&Request::Kill { id }, &[])
    }

    /// Asks init for a TCP socket of the sandbox's network, under the caller's number `id`. Whoever has it connects from
    /// there and listens there; no rule of the sandbox holds for it.
    pub fn socket(&self, id: u64, family: Family) -> io::Result<()> {
        self.channel.try_send(&Request::Socket { id, family }, &[])
    }

    /// Sends a signal to every process, and has [`Event::Empty`] reported when none is left.
    pub fn signal_all(&self, signal: Signal) -> io::Result<()> {
        self.channel.try_send(&Request::SignalAll { signal: signal.as_raw() }, &[])
    }

    /// Ends every process in the sandbox and waits until they are gone.
    pub fn end(self) {
        drop(self);
    }
}

/// Process 1 of the sandbox; killed and reaped when dropped.
struct InitProcess {
    pid: Pid,
    pidfd: OwnedFd,
}

impl Drop for InitProcess {
    fn drop(&mut self) {
        // Both fail only when init is gone already, which is what is wanted.
        if rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL).is_ok() {
            while let Err(rustix::io::Errno::INTR) =
                rustix::process::waitpid(Some(self.pid), WaitOptions::empty())
            {}
        }
    }
}
