//! The executable of a process: the file that really runs, at the path that names it, with the
//! content it had at first use.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{
    FileType, Mode, OFlags, ResolveFlags, StatVfsMountFlags, fstat, fstatvfs, openat2,
};
use sha2::{Digest, Sha256};

use super::elf;
use super::error::IdentityError;
use super::pins::{Content, Fingerprint, Hashed, Known, Pins};
use super::procfs::{Proc, ProcStat};
use crate::limits::MAX_VERIFIED;

/// Longest path a link of `/proc` shows (`PATH_MAX`).
const PATH_MAX: usize = 4096;

/// Device and inode: which file, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct FileId {
    pub(super) device: u64,
    pub(super) inode: u64,
}

#[expect(clippy::useless_conversion, reason = "the widths differ between architectures")]
pub(super) fn file_id(stat: &rustix::fs::Stat) -> FileId {
    FileId { device: stat.st_dev.into(), inode: stat.st_ino.into() }
}

/// An executable that was verified.
#[derive(Debug, Clone)]
pub(super) struct Verified {
    pub(super) path: Arc<str>,
    pub(super) sha256: Arc<str>,
    pub(super) file: FileId,
    pub(super) loads_modules: bool,
    /// On a mount that the sandbox cannot write, wherever that is.
    pub(super) is_mounted_read_only: bool,
}

/// An executable whose content must be read first.
pub(super) struct Unhashed {
    pub(super) path: Arc<str>,
    pub(super) fingerprint: Fingerprint,
    file: OwnedFd,
}

/// What examining an executable came to.
pub(super) enum Examined {
    Verified(Verified),
    Unhashed(Unhashed),
}

/// How the content of a script compares with its first use.
pub(super) enum Pinned {
    Same,
    Replaced,
    Unhashed(Unhashed),
}

/// The executables of one sandbox: its root and what is known about files below it.
#[derive(Debug)]
pub(super) struct Executables {
    root: OwnedFd,
    pins: Arc<Pins>,
    /// By (pid, start time, file): a process that is seen again costs two system calls.
    verified: HashMap<(u32, u64, FileId), (Verified, Fingerprint)>,
}

impl Executables {
    pub(super) fn new(root: OwnedFd, pins: Arc<Pins>) -> Executables {
        Executables { root, pins, verified: HashMap::new() }
    }

    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    pub(super) fn pins(&self) -> &Pins {
        &self.pins
    }

    /// Compares a script's content with the one that it had at its first use.
    pub(super) fn examine_script(&self, path: &str) -> Result<Pinned, IdentityError> {
        let open = |source: io::Error| IdentityError::Open { path: path.to_owned(), source };
        let file = open_inside(self.root.as_fd(), path, OFlags::RDONLY)
            .map_err(|errno| open(errno.into()))?;
        let fingerprint = Fingerprint::of(&fstat(&file).map_err(|errno| open(errno.into()))?);
        Ok(match self.pins.look_up(path, &fingerprint) {
            Known::Same(_) => Pinned::Same,
            Known::Replaced => Pinned::Replaced,
            Known::Unknown => Pinned::Unhashed(Unhashed::new(path, fingerprint, file)?),
        })
    }

    /// Verifies the executable of a process.
    pub(super) fn examine(
        &mut self,
        proc: &Proc,
        stat: &ProcStat,
    ) -> Result<Examined, IdentityError> {
        let mut buffer = [MaybeUninit::<u8>::uninit(); PATH_MAX];
        let link = proc.executable_link(stat.pid, &mut buffer)?;
        let running = proc.executable_stat(stat.pid)?;
        let path = usable_path(stat.pid, link)?;
        if running.st_nlink == 0 {
            return Err(IdentityError::Deleted { path: path.to_owned() });
        }
        let fingerprint = Fingerprint::of(&running);
        let file = FileId { device: fingerprint.device, inode: fingerprint.inode };
        let key = (stat.pid, stat.started, file);
        if let Some((verified, seen)) = self.verified.get(&key)
            && *seen == fingerprint
            && *verified.path == *path
        {
            return Ok(Examined::Verified(verified.clone()));
        }
        let opened = open_same(self.root.as_fd(), path, &fingerprint)?;
        let content = match self.pins.look_up(path, &fingerprint) {
            Known::Same(content) => content,
            Known::Replaced => return Err(IdentityError::Replaced { path: path.to_owned() }),
            Known::Unknown => {
                return Unhashed::new(path, fingerprint, opened).map(Examined::Unhashed);
            }
        };
        let Content { sha256, loads_modules } = content;
        let is_mounted_read_only =
            fstatvfs(&opened).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::RDONLY));
        let path = path.into();
        let verified = Verified { path, sha256, file, loads_modules, is_mounted_read_only };
        if self.verified.len() >= MAX_VERIFIED {
            self.verified.clear();
        }
        self.verified.insert(key, (verified.clone(), fingerprint));
        Ok(Examined::Verified(verified))
    }
}

impl Unhashed {
    fn new(path: &str, fingerprint: Fingerprint, file: OwnedFd) -> Result<Unhashed, IdentityError> {
        if !fingerprint.is_readable_whole() {
            return Err(IdentityError::TooLarge { path: path.to_owned() });
        }
        Ok(Unhashed { path: path.into(), fingerprint, file })
    }

    /// Reads the content; blocks.
    pub(super) fn hash(self) -> Result<Hashed, IdentityError> {
        let path = self.path.clone();
        let open = |source| IdentityError::Open { path: path.to_string(), source };
        let mut file = File::from(self.file);
        let mut hasher = Sha256::new();
        let mut buffer = vec![0u8; 128 * 1024];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => hasher.update(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(open(error)),
            }
        }
        let loads_modules = elf::loads_modules(&file);
        let after = fstat(&file).map_err(|errno| open(errno.into()))?;
        if Fingerprint::of(&after) != self.fingerprint {
            return Err(IdentityError::Changed);
        }
        let sha256 = hasher.finalize().iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        Ok(Hashed { path: self.path, fingerprint: self.fingerprint, sha256, loads_modules })
    }
}

/// The path must be absolute UTF-8 (a policy can name nothing else) and not that of a file that
/// is gone: the kernel marks those with a suffix, and a memfd has no directory to be found in.
fn usable_path(pid: u32, link: &[u8]) -> Result<&str, IdentityError> {
    let path =
        std::str::from_utf8(link).map_err(|_| IdentityError::Unreadable { pid, what: "exe" })?;
    if path.ends_with(" (deleted)") || path.starts_with("/memfd:") {
        return Err(IdentityError::Deleted { path: path.to_owned() });
    }
    if !path.starts_with('/') {
        return Err(IdentityError::Unreadable { pid, what: "exe" });
    }
    Ok(path)
}

fn open_same(
    root: BorrowedFd<'_>,
    path: &str,
    running: &Fingerprint,
) -> Result<OwnedFd, IdentityError> {
    let open = |source: rustix::io::Errno| IdentityError::Open {
        path: path.to_owned(),
        source: source.into(),
    };
    let file = open_inside(root, path, OFlags::RDONLY).map_err(open)?;
    let stat = fstat(&file).map_err(open)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile
        || Fingerprint::of(&stat) != *running
    {
        return Err(IdentityError::NotTheSameFile { path: path.to_owned() });
    }
    Ok(file)
}

/// Opens a path as the sandbox would see it: symlinks stay below its root, magic links are dead.
/// Reading never waits for the other end of a pipe that stands where a file should.
pub(super) fn open_inside(
    root: BorrowedFd<'_>,
    path: &str,
    access: OFlags,
) -> Result<OwnedFd, rustix::io::Errno> {
    let careful = if access.contains(OFlags::PATH) {
        OFlags::empty() // openat2 takes nothing else beside O_PATH
    } else {
        OFlags::NONBLOCK | OFlags::NOCTTY
    };
    openat2(
        root,
        path,
        access | careful | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    )
}
