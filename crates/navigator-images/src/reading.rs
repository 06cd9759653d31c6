//! Reading what a sandbox has written as the user who owns it: the sandbox may have taken that user's rights away.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::beneath;

/// A directory that can be read and entered until this is dropped.
pub(crate) struct Readable {
    directory: OwnedFd,
    /// The mode that it had and gets back.
    before: Option<Mode>,
}

impl Readable {
    /// Opens a directory by its name in another.
    pub(crate) fn open(parent: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<Self> {
        let opened = beneath::subdirectory(parent, name).and_then(|directory| {
            // One that may be listed but not entered opens as well.
            rustix::fs::accessat(&directory, ".", Access::EXEC_OK, AtFlags::EACCESS)?;
            Ok(directory)
        });
        match opened {
            Ok(directory) => Ok(directory.into()),
            Err(Errno::ACCESS) => {
                let (directory, before) = insist(parent, name, FileType::Directory)?;
                Ok(Self { directory, before: Some(before) })
            }
            Err(error) => Err(error),
        }
    }

    /// What the sandbox has made of it.
    pub(crate) fn stat(&self) -> rustix::io::Result<Stat> {
        let mut stat = rustix::fs::fstat(&self.directory)?;
        if let Some(before) = self.before {
            stat.st_mode = stat.st_mode & !0o7777 | before.as_raw_mode();
        }
        Ok(stat)
    }
}

impl From<OwnedFd> for Readable {
    fn from(directory: OwnedFd) -> Self {
        Self { directory, before: None }
    }
}

impl AsFd for Readable {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

impl Drop for Readable {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            // It was changed a moment ago by the same user.
            let _kept = rustix::fs::fchmod(&self.directory, before);
        }
    }
}

/// Opens a regular file by its name in a directory.
pub(crate) fn file(parent: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<File> {
    match beneath::file(parent, name) {
        Err(Errno::ACCESS) => {
            let (file, before) = insist(parent, name, FileType::RegularFile)?;
            rustix::fs::fchmod(&file, before)?;
            Ok(file.into())
        }
        other => other,
    }
}

/// Gives the owner, who this is, the right to read, and opens. Returns the mode from before as well.
fn insist(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    expected: FileType,
) -> rustix::io::Result<(OwnedFd, Mode)> {
    let path = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = rustix::fs::openat(parent, name, path, Mode::empty())?;
    let stat = rustix::fs::fstat(&found)?;
    if beneath::kind(&stat) != expected {
        return Err(Errno::LOOP);
    }
    // The kernel's link to exactly what was found, whatever is at the name by now.
    let itself = format!("/proc/self/fd/{}", found.as_raw_fd());
    let before = Mode::from_raw_mode(stat.st_mode & 0o7777);
    rustix::fs::chmod(&itself, before | Mode::RWXU)?;
    let opened = rustix::fs::open(&itself, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    Ok((opened, before))
}
