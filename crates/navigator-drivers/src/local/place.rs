//! One sandbox's directory: its lock, which tells whether a supervisor runs, and who that supervisor is.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::FlockOperation;
use rustix::process::{Pid, PidfdFlags};
use serde::Deserialize;

/// Most bytes of the supervisor's line about itself; more is none.
const LINE_BYTES: u64 = 256;

/// What a lock file says of its supervisor.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Nothing whole yet.
    Nothing,
    /// Its process id.
    Pid(i32),
    /// A line that is no process id.
    Garbage,
}

#[derive(Deserialize)]
struct Line {
    pid: i32,
}

/// The directory of one sandbox.
pub(super) struct Place {
    directory: PathBuf,
    /// Held while the lock is tried, so that nobody who only looks is taken for a supervisor.
    trying: Mutex<()>,
}

impl Place {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, trying: Mutex::new(()) }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn lock_path(&self) -> PathBuf {
        self.directory.join("supervisor")
    }

    /// Makes the directory, for this user only.
    pub(super) fn make(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)
    }

    /// The lock, empty, when nobody has it.
    pub(super) fn take(&self) -> io::Result<Option<File>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.custom_flags(no_follow()).open(self.lock_path())?;
        let _trying = self.trying();
        if !lock(&file)? {
            return Ok(None);
        }
        file.set_len(0)?;
        Ok(Some(file))
    }

    /// Whether somebody has the lock.
    pub(super) fn held(&self) -> io::Result<bool> {
        let _trying = self.trying();
        match self.open_lock() {
            Ok(file) if lock(&file)? => {
                // Given back, not only closed: a process that is forked meanwhile has a copy of it until it runs its
                // program.
                rustix::fs::flock(&file, FlockOperation::Unlock)?;
                Ok(false)
            }
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What the supervisor wrote about itself.
    pub(super) fn said(&self) -> io::Result<Said> {
        let mut text = vec![];
        self.open_lock()?.take(LINE_BYTES).read_to_end(&mut text)?;
        let Some(end) = text.iter().position(|byte| *byte == b'\n') else {
            let full = u64::try_from(text.len()).is_ok_and(|length| length == LINE_BYTES);
            return Ok(if full { Said::Garbage } else { Said::Nothing });
        };
        Ok(match serde_json::from_slice::<Line>(&text[..end]) {
            // 1 is never a supervisor; what is below names groups of processes.
            Ok(Line { pid }) if pid > 1 => Said::Pid(pid),
            Ok(_) | Err(_) => Said::Garbage,
        })
    }

    /// The process with this id, if it has the lock. An id may have been given to another process since it was
    /// written; one that has not the lock's file open is never watched nor signalled.
    pub(super) fn process(&self, pid: i32) -> io::Result<Option<OwnedFd>> {
        let Some(id) = Pid::from_raw(pid) else { return Ok(None) };
        let pidfd = match rustix::process::pidfd_open(id, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let same = self.held()? && self.said()? == Said::Pid(pid) && self.opened_by(pid)?;
        Ok(same.then_some(pidfd))
    }

    /// Whether a process has the lock's file open. One that hides its descriptors is believed: it is of this user, and
    /// somebody has the lock.
    fn opened_by(&self, pid: i32) -> io::Result<bool> {
        let ours = self.open_lock()?.metadata()?;
        let descriptors = match std::fs::read_dir(format!("/proc/{pid}/fd")) {
            Ok(descriptors) => descriptors,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        // Descriptors come and go while they are read; those that are gone are not the lock.
        Ok(descriptors.flatten().any(|descriptor| {
            std::fs::metadata(descriptor.path())
                .is_ok_and(|theirs| theirs.dev() == ours.dev() && theirs.ino() == ours.ino())
        }))
    }

    fn open_lock(&self) -> io::Result<File> {
        OpenOptions::new().read(true).custom_flags(no_follow()).open(self.lock_path())
    }

    fn trying(&self) -> MutexGuard<'_, ()> {
        self.trying.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock(file: &File) -> io::Result<bool> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The flag that makes opening a symbolic link fail.
pub(super) fn no_follow() -> i32 {
    // The bits are the same in both types.
    rustix::fs::OFlags::NOFOLLOW.bits().cast_signed()
}
