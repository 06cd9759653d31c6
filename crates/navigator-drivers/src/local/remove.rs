//! Removes a sandbox's directory, whatever the sandbox made of it.
//!
//! A directory is first moved into a new one, the bin, whose name says that it is being removed. Each directory found
//! inside is moved up into the bin instead of being descended into. So a tree may be as deep and as large as it
//! likes: two descriptors and no memory are needed, no link is followed, and what is mounted somewhere is never
//! entered, because the kernel moves no place that something is mounted on. A removal that was cut short goes on from
//! the bin.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const PREFIX: &str = ".removing-";

/// Moves the directory of a sandbox out of the way; the bin that it is in now.
pub(super) fn set_aside(directory: &Path, id: Uuid) -> io::Result<Option<PathBuf>> {
    let from = directory.join(id.to_string());
    if let Err(error) = std::fs::symlink_metadata(&from) {
        return if error.kind() == io::ErrorKind::NotFound { Ok(None) } else { Err(error) };
    }
    let bin = directory.join(format!("{PREFIX}{id}"));
    match rustix::fs::mkdir(&bin, Mode::RWXU) {
        // An earlier sandbox with this id may still be on its way out.
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let opened = open(CWD, &bin)?;
    move_in(CWD, &from, &opened, &mut 0)?;
    Ok(Some(bin))
}

/// Bins that are in the directory.
pub(super) fn bins(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut bins = vec![];
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let named = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        if named && entry.file_type()?.is_dir() {
            bins.push(entry.path());
        }
    }
    Ok(bins)
}

/// Empties and removes a bin. What cannot be removed stays, the rest goes; the first reason is told.
pub(super) fn empty(bin: &Path, ending: &CancellationToken) -> io::Result<()> {
    let opened = match open(CWD, bin) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let mut removal = Removal { bin: opened, number: 0, failed: None, ending };
    while removal.failed.is_none() && removal.round()? {}
    match removal.failed {
        Some(error) => Err(error),
        None => Ok(std::fs::remove_dir(bin)?),
    }
}

struct Removal<'a> {
    bin: OwnedFd,
    /// Name of the directory that was moved up last.
    number: u64,
    failed: Option<io::Error>,
    ending: &'a CancellationToken,
}

impl Removal<'_> {
    /// Goes once through the bin; whether there was anything.
    fn round(&mut self) -> io::Result<bool> {
        let mut any = false;
        for entry in Dir::read_from(&self.bin)? {
            let entry = entry?;
            let name = entry.file_name();
            if is_dots(name) {
                continue;
            }
            any = true;
            if let Err(error) = self.remove(name) {
                self.failed.get_or_insert(error);
            }
            self.go_on()?;
        }
        Ok(any)
    }

    /// Removes one entry of the bin.
    fn remove(&mut self, name: &CStr) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.bin, name, AtFlags::empty()) {
            Err(Errno::ISDIR) => {}
            gone => return Ok(gone?),
        }
        loop {
            match rustix::fs::unlinkat(&self.bin, name, AtFlags::REMOVEDIR) {
                Err(Errno::NOTEMPTY | Errno::EXIST) => self.clear(name)?,
                gone => return Ok(gone?),
            }
        }
    }

    /// Empties a directory in the bin.
    fn clear(&mut self, name: &CStr) -> io::Result<()> {
        let directory = open_own(&self.bin, name)?;
        let mut failed = None;
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            if !is_dots(entry.file_name())
                && let Err(error) = self.take_out(&directory, &entry)
            {
                failed.get_or_insert(error);
            }
            self.go_on()?;
        }
        failed.map_or(Ok(()), Err)
    }

    /// Removes an entry of a directory, or moves it into the bin.
    fn take_out(&mut self, from: &OwnedFd, entry: &rustix::fs::DirEntry) -> io::Result<()> {
        let name = entry.file_name();
        if entry.file_type() != FileType::Directory {
            match rustix::fs::unlinkat(from, name, AtFlags::empty()) {
                Err(Errno::ISDIR) => {}
                gone => return Ok(gone?),
            }
        }
        match rustix::fs::unlinkat(from, name, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            gone => return Ok(gone?),
        }
        match move_in(from, name, &self.bin, &mut self.number) {
            // A directory that is moved to another one must be writable itself.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                open_own(from, name)?;
                move_in(from, name, &self.bin, &mut self.number)
            }
            moved => moved,
        }
    }

    /// A runtime that ends waits for this thread; the rest is removed at the next start.
    fn go_on(&self) -> io::Result<()> {
        if self.ending.is_cancelled() { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
    }
}

/// Moves a directory into the bin, under the next number that is free there.
fn move_in<P: rustix::path::Arg + Copy>(
    from: impl std::os::fd::AsFd,
    name: P,
    bin: &OwnedFd,
    number: &mut u64,
) -> io::Result<()> {
    loop {
        *number += 1;
        match rustix::fs::renameat(&from, name, bin, number.to_string()) {
            // An empty directory of that name would be replaced, which is what becomes of it anyway.
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
            moved => return Ok(moved?),
        }
    }
}

fn open(at: impl std::os::fd::AsFd, path: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(at, path, flags, Mode::empty())?)
}

/// Opens a directory after giving its owner every right on it.
fn open_own(at: impl std::os::fd::AsFd, name: &CStr) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let path = rustix::fs::openat2(&at, name, flags, Mode::empty(), ResolveFlags::NO_XDEV)?;
    if rustix::fs::fstat(&path)?.st_mode & 0o700 != 0o700 {
        // The descriptor is of a directory; its link in /proc leads to nothing else.
        rustix::fs::chmod(format!("/proc/self/fd/{}", path.as_raw_fd()), Mode::RWXU)?;
    }
    open(at, name)
}

fn is_dots(name: &CStr) -> bool {
    matches!(name.to_bytes(), b"." | b"..")
}

#[cfg(test)]
#[path = "remove/tests.rs"]
mod tests;
