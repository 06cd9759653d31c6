//! Reaching files beneath a directory without ever following a symbolic link out of it, or at all.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::limits::DIRECTORY_ENTRIES;

/// Levels below which removal moves directories up, instead of opening ever more of them.
const LEVELS: usize = 64;

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens a directory by its path, whose last part is no link.
pub(crate) fn directory(path: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(path, DIRECTORY, Mode::empty())
}

/// Opens a directory by its name in another.
pub(crate) fn subdirectory<P: rustix::path::Arg>(
    parent: BorrowedFd<'_>,
    name: P,
) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(parent, name, DIRECTORY, Mode::empty())
}

/// Opens something by a path beneath a directory, of which no part is a link.
pub(crate) fn open(
    root: BorrowedFd<'_>,
    path: &Path,
    flags: OFlags,
) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    rustix::fs::openat2(
        root,
        path,
        flags | OFlags::CLOEXEC | OFlags::NOFOLLOW,
        Mode::empty(),
        resolve,
    )
}

/// Opens a directory by a path beneath another, of which no part is a link.
pub(crate) fn open_directory(root: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<OwnedFd> {
    open(root, path, DIRECTORY)
}

/// What is at a name, the link itself if it is one; nothing when there is nothing.
pub(crate) fn look(parent: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<Option<Stat>> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Names in a directory, sorted by their bytes, without itself and its parent.
pub(crate) fn names(directory: BorrowedFd<'_>) -> rustix::io::Result<Vec<OsString>> {
    Ok(entries(directory)?.into_iter().map(|(name, _)| name).collect())
}

/// The same with types, as far as the file system tells them.
pub(crate) fn entries(directory: BorrowedFd<'_>) -> rustix::io::Result<Vec<(OsString, FileType)>> {
    let mut entries = vec![];
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            if entries.len() == DIRECTORY_ENTRIES {
                return Err(Errno::OVERFLOW);
            }
            entries.push((OsStr::from_bytes(name).to_owned(), entry.file_type()));
        }
    }
    entries.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    Ok(entries)
}

/// Opens a file by its name in a directory for reading; a pipe in its place does not stop this.
pub(crate) fn file(parent: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<std::fs::File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty()).map(Into::into)
}

/// Whether it is how overlayfs says that something is not there any more.
pub(crate) fn is_whiteout(stat: &Stat) -> bool {
    kind(stat) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// The type of a file.
pub(crate) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Removes whatever is at a name and returns the bytes of disk that this frees; nothing is fine too.
pub(crate) fn remove(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<u64> {
    let Some(stat) = look(parent, name)? else { return Ok(0) };
    if kind(&stat) != FileType::Directory {
        return Ok(unlink(parent, name, &stat)?);
    }
    let top = subdirectory(parent, name)?;
    let mut freed = 0;
    let mut moved = 0;
    // Each round leaves only what was moved up from too far below.
    loop {
        empty(top.as_fd(), top.as_fd(), 0, &mut moved, &mut freed)?;
        match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Ok(()) => return Ok(freed),
            Err(Errno::NOENT) => return Ok(freed),
            Err(Errno::NOTEMPTY) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn empty(
    directory: BorrowedFd<'_>,
    top: BorrowedFd<'_>,
    level: usize,
    moved: &mut u64,
    freed: &mut u64,
) -> rustix::io::Result<()> {
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if kind(&stat) != FileType::Directory {
            *freed += unlink(directory, name, &stat)?;
        } else if level == LEVELS {
            *moved += 1;
            rustix::fs::renameat(directory, name, top, format!(".moved-up-{moved}"))?;
        } else {
            let inner = subdirectory(directory, name)?;
            empty(inner.as_fd(), top, level + 1, moved, freed)?;
            match rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOTEMPTY) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

fn unlink<P: rustix::path::Arg>(
    parent: BorrowedFd<'_>,
    name: P,
    stat: &Stat,
) -> rustix::io::Result<u64> {
    rustix::fs::unlinkat(parent, name, AtFlags::empty())?;
    // Of a file with other names nothing is freed. The kernel counts blocks of 512 bytes, whatever the file system has.
    let last = kind(stat) == FileType::RegularFile && stat.st_nlink == 1;
    Ok(if last { u64::try_from(stat.st_blocks).unwrap_or(0) * 512 } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_of_any_depth_are_removed_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("kept"), "x").unwrap();
        let parent = directory(dir.path()).unwrap();
        rustix::fs::mkdirat(&parent, "tree", Mode::RWXU).unwrap();
        let mut inner = subdirectory(parent.as_fd(), "tree").unwrap();
        for _ in 0..3000 {
            rustix::fs::symlinkat(&outside, &inner, "link").unwrap();
            rustix::fs::mkdirat(&inner, "directory", Mode::RWXU).unwrap();
            inner = subdirectory(inner.as_fd(), "directory").unwrap();
        }
        remove(parent.as_fd(), OsStr::new("tree")).unwrap();
        assert!(!dir.path().join("tree").exists());
        assert!(outside.join("kept").exists());
    }
}
