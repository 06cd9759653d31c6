//! Copying what a sandbox has written: quickly, and without trusting the sandbox, which may go on writing.
//!
//! Every file is opened by its name in its opened directory, never through a link, and judged by what was opened.
//! Only what overlayfs means by attributes is kept of them.

mod content;
mod links;

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, FileType, Gid, Mode, Stat, Timespec, Timestamps, Uid, XattrFlags};

use self::links::Links;
use crate::beneath;
use crate::limits::{DEPTH, Limits};
use crate::reading::Readable;
use crate::unpack::{Contents, OPAQUE, WHITEOUT, YES, id_in_sandbox, is_opaque};

/// Directories that wait for a thread; each has two open descriptors.
const WAITING: usize = 64;
/// Threads: more of them wait for the same file system.
const THREADS: usize = 4;

/// A copy that failed. What was copied stays, for the caller to remove.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A file or directory.
    #[error("failed to copy `{}`", .path.escape_debug())]
    Entry {
        /// Its path in the tree.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Too deep.
    #[error("failed to copy the tree: directories are more than {DEPTH} deep")]
    Depth,
    /// Too much.
    #[error("failed to copy the tree: it has more than {bytes} bytes or {entries} entries")]
    Large {
        /// Bytes that it may have.
        bytes: u64,
        /// Entries that it may have.
        entries: u64,
    },
    /// Too many files with several names.
    #[error("failed to copy the tree: too many files have several names")]
    Links,
}

/// For what a tree is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// For another sandbox: everything as it is.
    Fork,
    /// For a layer, which has the modes, owners and names that unpacked layers have.
    Layer,
}

/// Copies the upper directory of a sandbox to a new directory: files, directories, links and whiteouts, with modes,
/// owners and times. Sockets, pipes and devices are left out and counted as `skipped`.
pub fn copy_tree(from: &Path, to: &Path) -> Result<Contents, CopyError> {
    copy(from, to, Purpose::Fork, &Limits::default())
}

pub(crate) fn copy(
    from: &Path,
    to: &Path,
    purpose: Purpose,
    limits: &Limits,
) -> Result<Contents, CopyError> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |error: rustix::io::Errno| CopyError::Entry { path, source: error.into() }
    };
    let source = beneath::directory(from).map_err(failed(from))?;
    match rustix::fs::mkdir(to, Mode::RWXU) {
        // A layer's directory is there already.
        Err(rustix::io::Errno::EXIST) if purpose == Purpose::Layer => {}
        made => made.map_err(failed(to))?,
    }
    let target = beneath::directory(to).map_err(failed(to))?;
    if rustix::process::geteuid().is_root() {
        // A group that was inherited would be inherited further.
        rustix::fs::fchown(&target, Some(Uid::ROOT), Some(Gid::ROOT)).map_err(failed(to))?;
    }
    rustix::fs::fchmod(&target, Mode::RWXU).map_err(failed(to))?;
    let root = rustix::io::dup(&target).map_err(failed(to))?;
    let copying = Copying::new(root, purpose, limits);
    let first = Pair { path: PathBuf::new(), source: source.into(), target, depth: 0 };
    copying.queue().waiting.push(first);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS);
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| copying.work());
        }
        copying.work();
    });
    copying.finish()
}

/// A directory and its copy.
struct Pair {
    path: PathBuf,
    source: Readable,
    target: OwnedFd,
    depth: usize,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Pair>,
    working: usize,
    failure: Option<CopyError>,
}

struct Copying<'a> {
    purpose: Purpose,
    limits: &'a Limits,
    privileged: bool,
    queue: Mutex<Queue>,
    changed: Condvar,
    links: Mutex<Links>,
    reflinks: AtomicBool,
    bytes: AtomicU64,
    entries: AtomicU64,
    skipped: AtomicU64,
}

impl<'a> Copying<'a> {
    fn new(root: OwnedFd, purpose: Purpose, limits: &'a Limits) -> Self {
        Self {
            purpose,
            limits,
            privileged: rustix::process::geteuid().is_root(),
            queue: Mutex::default(),
            changed: Condvar::new(),
            links: Mutex::new(Links::new(root)),
            reflinks: AtomicBool::new(true),
            bytes: AtomicU64::new(0),
            entries: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
        }
    }

    fn finish(self) -> Result<Contents, CopyError> {
        let queue = self.queue.into_inner().unwrap_or_else(PoisonError::into_inner);
        let contents = Contents {
            bytes: self.bytes.into_inner(),
            entries: self.entries.into_inner(),
            skipped: self.skipped.into_inner(),
            opaque: false,
        };
        queue.failure.map_or(Ok(contents), Err)
    }

    /// Nothing is done under this lock that could panic and leave the queue by halves.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies directories until none waits and nobody works on one.
    fn work(&self) {
        let mut queue = self.queue();
        loop {
            if queue.failure.is_some() {
                queue.waiting.clear();
            }
            if let Some(pair) = queue.waiting.pop() {
                queue.working += 1;
                drop(queue);
                let done = self.directory(&pair);
                queue = self.queue();
                queue.working -= 1;
                if let Err(error) = done {
                    queue.failure.get_or_insert(error);
                }
                self.changed.notify_all();
            } else if queue.working == 0 {
                return;
            } else {
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn directory(&self, pair: &Pair) -> Result<(), CopyError> {
        if pair.depth > DEPTH {
            return Err(CopyError::Depth);
        }
        let entry = |path: &Path| {
            let path = path.display().to_string();
            move |error: io::Error| CopyError::Entry { path, source: error }
        };
        let entries = beneath::entries(pair.source.as_fd()).map_err(io::Error::from);
        for (name, kind) in entries.map_err(entry(&pair.path))? {
            let path = pair.path.join(&name);
            let inner = self.entry(pair, &name, kind, &path).map_err(entry(&path))?;
            self.check_size()?;
            let Some(inner) = inner else { continue };
            let mut queue = self.queue();
            if queue.waiting.len() < WAITING {
                queue.waiting.push(inner);
                self.changed.notify_one();
            } else {
                drop(queue);
                self.directory(&inner)?;
            }
        }
        self.dress_directory(pair).map_err(|error| entry(&pair.path)(error.into()))
    }

    fn check_size(&self) -> Result<(), CopyError> {
        let (bytes, entries) = (self.limits.layer_bytes, self.limits.entries);
        let large = self.bytes.load(Ordering::Relaxed) > bytes
            || self.entries.load(Ordering::Relaxed) > entries;
        if self.links().is_full() {
            return Err(CopyError::Links);
        }
        if large { Err(CopyError::Large { bytes, entries }) } else { Ok(()) }
    }

    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies one entry; a directory is made, and its contents are still to be copied.
    fn entry(
        &self,
        pair: &Pair,
        name: &OsStr,
        kind: FileType,
        path: &Path,
    ) -> io::Result<Option<Pair>> {
        // In a layer such a name would hide another.
        let misleading = name.as_encoded_bytes().starts_with(WHITEOUT);
        if self.purpose == Purpose::Layer && misleading {
            self.skipped.fetch_add(1, Ordering::Relaxed);
            return Ok(None);
        }
        self.entries.fetch_add(1, Ordering::Relaxed);
        // What is opened is looked at again. The kind spares a call for each file.
        if kind == FileType::RegularFile {
            return self.file(pair, name, path).map(|()| None);
        }
        let (source, target) = (pair.source.as_fd(), pair.target.as_fd());
        // What went away in the meantime is no part of the copy.
        let Some(stat) = beneath::look(source, name)? else { return Ok(None) };
        match beneath::kind(&stat) {
            FileType::Directory => return self.directory_entry(pair, name, path).map(Some),
            FileType::RegularFile => self.file(pair, name, path)?,
            FileType::Symlink => self.symlink(source, target, name, &stat)?,
            FileType::CharacterDevice if beneath::is_whiteout(&stat) => {
                whiteout(target, name, &stat)?;
            }
            _ => {
                self.entries.fetch_sub(1, Ordering::Relaxed);
                self.skipped.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(None)
    }

    fn directory_entry(&self, pair: &Pair, name: &OsStr, path: &Path) -> io::Result<Pair> {
        let source = Readable::open(pair.source.as_fd(), name)?;
        rustix::fs::mkdirat(&pair.target, name, Mode::RWXU)?;
        let target = beneath::subdirectory(pair.target.as_fd(), name)?;
        Ok(Pair { path: path.to_owned(), source, target, depth: pair.depth + 1 })
    }

    fn symlink(
        &self,
        source: BorrowedFd<'_>,
        target: BorrowedFd<'_>,
        name: &OsStr,
        stat: &Stat,
    ) -> io::Result<()> {
        let to = rustix::fs::readlinkat(source, name, vec![])?;
        rustix::fs::symlinkat(&to, target, name)?;
        if self.privileged {
            let (uid, gid) = self.owner(stat);
            rustix::fs::chownat(target, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(rustix::fs::utimensat(target, name, &times(stat), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Gives a directory's copy what its original has, when nothing is added to it any more.
    fn dress_directory(&self, pair: &Pair) -> rustix::io::Result<()> {
        if is_opaque(pair.source.as_fd()) {
            rustix::fs::fsetxattr(&pair.target, OPAQUE, YES, XattrFlags::empty())?;
        }
        let stat = pair.source.stat()?;
        self.dress(pair.target.as_fd(), &stat, 0o700)
    }

    /// Sets owner, mode and times. Layers have no bits that give privileges, and their owner can read and remove them.
    fn dress(&self, target: BorrowedFd<'_>, stat: &Stat, own: u32) -> rustix::io::Result<()> {
        let (uid, gid) = self.owner(stat);
        // What is made here is root's before it is somebody else's.
        if self.privileged && (uid, gid) != (Uid::ROOT, Gid::ROOT) {
            rustix::fs::fchown(target, Some(uid), Some(gid))?;
        }
        let sticky = if beneath::kind(stat) == FileType::Directory { 0o1000 } else { 0 };
        let mode = match self.purpose {
            Purpose::Fork => stat.st_mode & 0o7777,
            Purpose::Layer if self.privileged => stat.st_mode & (0o777 | sticky),
            Purpose::Layer => stat.st_mode & (0o777 | sticky) | own,
        };
        rustix::fs::fchmod(target, Mode::from_raw_mode(mode))?;
        rustix::fs::futimens(target, &times(stat))
    }

    fn owner(&self, stat: &Stat) -> (Uid, Gid) {
        let (uid, gid) = match self.purpose {
            Purpose::Fork => (stat.st_uid, stat.st_gid),
            Purpose::Layer => {
                (id_in_sandbox(stat.st_uid.into()), id_in_sandbox(stat.st_gid.into()))
            }
        };
        (Uid::from_raw(uid), Gid::from_raw(gid))
    }
}

fn whiteout(target: BorrowedFd<'_>, name: &OsStr, stat: &Stat) -> rustix::io::Result<()> {
    rustix::fs::mknodat(target, name, FileType::CharacterDevice, Mode::empty(), 0)?;
    rustix::fs::utimensat(target, name, &times(stat), AtFlags::SYMLINK_NOFOLLOW)
}

fn times(stat: &Stat) -> Timestamps {
    let time = |seconds, nanos| Timespec { tv_sec: seconds, tv_nsec: nanos };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec as _),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec as _),
    }
}
