//! Removes what a sandbox has left: set aside at once, removed bit by bit, whatever rights its directories have.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use tokio::sync::Semaphore;
use uuid::Uuid;

/// What the name of a directory that is being removed starts with.
pub(super) const PREFIX: &str = ".removing-";
/// Removals at once: more would only compete for the disk.
const AT_ONCE: usize = 2;
/// Deepest directory that is removed in one go, each level with two descriptors; what is deeper is moved up first.
const DEPTH: usize = 64;

/// Removes directories in the background.
pub(super) struct Removal(Arc<Semaphore>);

impl Default for Removal {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Removal {
    /// Sets a sandbox's directory aside, so that it is no sandbox's any more, and removes it in the background. One that
    /// is not there is removed already.
    pub(super) fn remove(&self, parent: &Path, path: &Path, id: Uuid) -> io::Result<()> {
        let aside = parent.join(format!("{PREFIX}{id}-{}", Uuid::now_v7()));
        match std::fs::rename(path, &aside) {
            Ok(()) => self.go_on(aside),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Removes a directory that was set aside.
    pub(super) fn go_on(&self, aside: PathBuf) {
        let room = Arc::clone(&self.0);
        let runtime = tokio::runtime::Handle::current();
        runtime.clone().spawn(async move {
            // Never closed.
            let _place = room.acquire_owned().await;
            let removed = runtime.spawn_blocking(move || (tree(&aside), aside)).await;
            match removed {
                Ok((Ok(()), _)) => {}
                Ok((Err(error), aside)) => {
                    tracing::warn!(path = %aside.display(), %error, "failed to remove a directory");
                }
                Err(error) => tracing::warn!(%error, "failed to remove a directory"),
            }
        });
    }
}

/// Removes a directory with all that is in it. Links are removed and never followed, other file systems not entered.
pub(super) fn tree(path: &Path) -> io::Result<()> {
    let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = rustix::fs::open(parent, flags, Mode::empty())?;
    let device = rustix::fs::fstat(&parent)?.st_dev;
    match empty(&parent, name, &parent, device, 0) {
        Ok(()) => rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR).map_err(Into::into),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes what is in a directory.
fn empty(
    parent: &OwnedFd,
    name: &OsStr,
    top: &OwnedFd,
    device: u64,
    depth: usize,
) -> io::Result<()> {
    let directory = open(parent, name)?;
    if rustix::fs::fstat(&directory)?.st_dev != device {
        return Err(io::Error::other("something else is mounted in it"));
    }
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let inner = OsStr::from_bytes(entry.file_name().to_bytes());
        if inner == "." || inner == ".." {
            continue;
        }
        let is_directory = match entry.file_type() {
            FileType::Directory => true,
            FileType::Unknown => {
                let stat = rustix::fs::statat(&directory, inner, AtFlags::SYMLINK_NOFOLLOW)?;
                FileType::from_raw_mode(stat.st_mode) == FileType::Directory
            }
            _ => false,
        };
        if !is_directory {
            rustix::fs::unlinkat(&directory, inner, AtFlags::empty())?;
        } else if depth < DEPTH {
            empty(&directory, inner, top, device, depth + 1)?;
            rustix::fs::unlinkat(&directory, inner, AtFlags::REMOVEDIR)?;
        } else {
            // The kernel allows any depth, the stack does not.
            let aside = format!("{PREFIX}{}", Uuid::now_v7());
            // A directory that is moved must be writable itself.
            drop(open(&directory, inner)?);
            rustix::fs::renameat(&directory, inner, top, aside.as_str())?;
            empty(top, OsStr::new(&aside), top, device, 0)?;
            rustix::fs::unlinkat(top, aside.as_str(), AtFlags::REMOVEDIR)?;
        }
    }
    Ok(())
}

/// Opens a directory whose owner may have taken every right from it.
fn open(parent: &OwnedFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let writable = Mode::RWXU;
    let directory = match rustix::fs::openat(parent, name, flags, Mode::empty()) {
        Err(rustix::io::Errno::ACCESS) => {
            // It is a directory of this user that nobody else can change any more.
            let link = rustix::fs::openat(parent, name, flags | OFlags::PATH, Mode::empty())?;
            let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&link));
            rustix::fs::chmod(path, writable)?;
            rustix::fs::openat(parent, name, flags, Mode::empty())?
        }
        other => other?,
    };
    rustix::fs::fchmod(directory.as_fd(), writable)?;
    Ok(directory)
}
