//! One sandbox's directory on this machine: its lock, and who holds it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::process::{Pid, PidfdFlags, Signal};
use serde::Deserialize;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The lock file, which a supervisor has as standard output.
pub(super) const LOCK: &str = "supervisor";
/// What a supervisor writes on standard error.
const LOG: &str = "supervisor.log";
/// The one before.
const OLD_LOG: &str = "supervisor.log.old";
/// Bytes of a log; then it becomes the old one.
const LOG_BYTES: u64 = 1024 * 1024;
/// Longest line with which a supervisor says who it is.
const SAYS_BYTES: u64 = 256;

/// The directory.
pub(super) struct Place {
    path: PathBuf,
}

/// Who holds the lock.
pub(super) enum Held {
    /// Nobody: nothing of the sandbox runs.
    Free,
    /// This supervisor.
    By(Holder),
    /// A supervisor that has not said who it is yet, or the last remains of one.
    BySomebody,
}

/// A supervisor that runs, or has just ended.
pub(super) struct Holder(AsyncFd<OwnedFd>);

/// What a supervisor says at its start.
#[derive(Deserialize)]
struct Says {
    pid: i32,
}

impl Place {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the directory, for this user only.
    pub(super) fn make(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path)
    }

    /// Takes the lock on a new open file; `None` when somebody has it.
    pub(super) fn take_lock(&self) -> io::Result<Option<File>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(self.path.join(LOCK))?;
        if !try_lock(&file)? {
            return Ok(None);
        }
        file.set_len(0)?;
        Ok(Some(file))
    }

    /// Whether somebody holds the lock.
    pub(super) fn is_held(&self) -> io::Result<bool> {
        Ok(self.held_file()?.is_some())
    }

    fn held_file(&self) -> io::Result<Option<File>> {
        match File::open(self.path.join(LOCK)) {
            // What was taken here is given back with the file.
            Ok(file) => Ok(if try_lock(&file)? { None } else { Some(file) }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Finds out who holds the lock. The process is opened before the lock is looked at once more, so that a process
    /// that only has the same number is never taken for it.
    pub(super) fn holder(&self) -> io::Result<Held> {
        let Some(file) = self.held_file()? else { return Ok(Held::Free) };
        let mut text = String::new();
        // What is no text is no answer.
        let read = file.take(SAYS_BYTES).read_to_string(&mut text);
        let says = read.ok().and_then(|_| serde_json::from_str::<Says>(&text).ok());
        let Some(pid) = says.and_then(|says| Pid::from_raw(says.pid)) else {
            return Ok(Held::BySomebody);
        };
        let process = match rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK) {
            Ok(process) => process,
            Err(rustix::io::Errno::SRCH) => return Ok(Held::BySomebody),
            Err(error) => return Err(error.into()),
        };
        if !self.is_held()? {
            return Ok(Held::Free);
        }
        Ok(Held::By(Holder::new(process)?))
    }

    /// The log, for appending; a long one is set aside first.
    pub(super) fn open_log(&self) -> io::Result<File> {
        let path = self.path.join(LOG);
        let open = || OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        let file = open()?;
        if file.metadata()?.len() <= LOG_BYTES {
            return Ok(file);
        }
        std::fs::rename(&path, self.path.join(OLD_LOG))?;
        open()
    }

    /// The last bytes of the log, without what could command a terminal.
    pub(super) fn last_words(&self, limit: usize) -> io::Result<String> {
        let mut file = match File::open(self.path.join(LOG)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
            Err(error) => return Err(error),
        };
        let limit = limit as u64;
        let start = file.metadata()?.len().saturating_sub(limit);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = vec![];
        file.take(limit).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let clean = |c: char| if c.is_control() && c != '\n' { '\u{fffd}' } else { c };
        Ok(text.chars().map(clean).collect())
    }
}

fn try_lock(file: &File) -> io::Result<bool> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

impl Holder {
    /// A process by its descriptor.
    #[expect(
        deprecated,
        reason = "the replacement is unsafe; this descriptor is owned and stays open as long as its registration"
    )]
    pub(super) fn new(process: OwnedFd) -> io::Result<Self> {
        Ok(Self(AsyncFd::with_interest(process, Interest::READABLE)?))
    }

    /// Sends a signal; to one that has ended it is none.
    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        match rustix::process::pidfd_send_signal(self.0.get_ref(), signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until it has ended.
    pub(super) async fn over(&self) -> io::Result<()> {
        self.0.readable().await.map(drop)
    }

    /// Waits until it has ended, not longer than `patience`; whether it has.
    pub(super) async fn ended(&self, patience: Duration) -> io::Result<bool> {
        match tokio::time::timeout(patience, self.over()).await {
            Ok(over) => over.map(|()| true),
            Err(_) => Ok(false),
        }
    }
}
