//! The sandbox's home directory on this machine, which outlives the sandbox.
//!
//! What is in it was made by the sandbox: nothing here follows a link of it.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use navigator_isolation::Bind;
use navigator_policy::Policy;
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::plan::README;

/// The home directory as the sandbox sees it.
pub(super) const HOME: &str = "/sandbox";

/// How paths in the home directory are looked up: links are refused.
const INSIDE: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// A home directory that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("failed to prepare {path} in the sandbox's directory")]
pub struct HomeError {
    path: PathBuf,
    source: io::Error,
}

/// Makes the home directory below `directory`, and in it the places of mounts and of listed paths.
pub(super) fn prepare(
    directory: &Path,
    policy: &Policy,
    mounts: &[Bind],
) -> Result<PathBuf, HomeError> {
    let real = directory
        .canonicalize()
        .map_err(|source| HomeError { path: directory.to_owned(), source })?;
    let home = real.join("home");
    let failed = |path: &Path| {
        let path = path.to_owned();
        |source: Errno| HomeError { path, source: source.into() }
    };
    match rustix::fs::mkdir(&home, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(failed(&home)(error)),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(&home, flags, Mode::empty()).map_err(failed(&home))?;
    for bind in mounts {
        let Some(below) = below(&bind.destination) else { continue };
        let kind = if bind.source.is_dir() { Kind::Directory } else { Kind::File };
        place(&opened, below, kind).map_err(failed(&bind.destination))?;
    }
    for listed in &policy.filesystem.read_write {
        let path: &Path = listed.as_ref();
        let Some(below) = below(path) else { continue };
        match place(&opened, below, Kind::Directory) {
            // A file of that name is what the sandbox made there.
            Ok(()) | Err(Errno::NOTDIR | Errno::LOOP) => {}
            Err(error) => return Err(failed(path)(error)),
        }
    }
    Ok(home)
}

/// Writes what the agent is told about where it is, in a new file: what is there may be the sandbox's own.
pub(crate) fn write_readme(home: &Path, text: &str) -> Result<(), HomeError> {
    let failed = |source: io::Error| HomeError { path: home.join(README), source };
    let write = || -> io::Result<()> {
        let path = Path::new(README);
        let directory = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let home = rustix::fs::open(home, directory, Mode::empty())?;
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
        place(&home, parent, Kind::Directory)?;
        let parent = rustix::fs::openat2(&home, parent, directory, Mode::empty(), INSIDE)?;
        match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let create = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&parent, name, create, Mode::from_raw_mode(0o444))?;
        std::fs::File::from(file).write_all(text.as_bytes())
    };
    write().map_err(failed)
}

/// The part of a path that is below the home directory.
fn below(path: &Path) -> Option<&Path> {
    let below = path.strip_prefix(HOME).ok()?;
    let names = below.components().all(|part| matches!(part, Component::Normal(_)));
    (names && !below.as_os_str().is_empty()).then_some(below)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Directory,
    File,
}

/// Makes what a mount covers, and the directories that lead there.
fn place(home: &OwnedFd, path: &Path, kind: Kind) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        None => rustix::io::fcntl_dupfd_cloexec(home, 0)?,
        Some(parent) => {
            place(home, parent, Kind::Directory)?;
            rustix::fs::openat2(home, parent, flags, Mode::empty(), INSIDE)?
        }
    };
    let Some(name) = path.file_name() else { return Ok(()) };
    let made = match kind {
        Kind::Directory => rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)),
        Kind::File => {
            let create = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            rustix::fs::openat(&parent, name, create, Mode::from_raw_mode(0o644)).map(drop)
        }
    };
    match made {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => {
            let kind = if kind == Kind::Directory { OFlags::DIRECTORY } else { OFlags::empty() };
            let look = OFlags::PATH | OFlags::CLOEXEC | kind;
            rustix::fs::openat2(&parent, name, look, Mode::empty(), INSIDE).map(drop)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use navigator_isolation::Access;

    use super::*;

    fn mount(source: &Path, destination: &str) -> Bind {
        let destination = destination.into();
        Bind { source: source.to_owned(), destination, access: Access::ReadWrite }
    }

    #[test]
    fn places_of_mounts_are_made_and_stay() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let mounts =
            [mount(dir.path(), "/sandbox/a/b"), mount(&file, "/sandbox/c"), mount(&file, "/opt/c")];
        for _ in 0..2 {
            let home = prepare(dir.path(), &Policy::restrictive_default(), &mounts).unwrap();
            assert!(home.join("a/b").is_dir() && home.join("c").is_file());
            assert!(!home.join("opt").exists());
        }
    }

    #[test]
    fn a_link_that_the_sandbox_made_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        std::fs::create_dir(&home).unwrap();
        std::os::unix::fs::symlink(outside.path(), home.join("a")).unwrap();
        std::os::unix::fs::symlink(outside.path(), home.join(".navigator")).unwrap();
        assert!(write_readme(&home, "text").is_err());
        for destination in ["/sandbox/a", "/sandbox/a/b"] {
            let mounts = [mount(dir.path(), destination)];
            assert!(prepare(dir.path(), &Policy::default(), &mounts).is_err(), "{destination}");
        }
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_the_agent_is_told_replaces_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let other = dir.path().join("other");
        write_readme(dir.path(), "one").unwrap();
        std::fs::hard_link(dir.path().join(README), &other).unwrap();
        write_readme(dir.path(), "two").unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join(README)).unwrap(), "two");
        assert_eq!(std::fs::read_to_string(other).unwrap(), "one");
    }

    #[test]
    fn a_home_that_is_a_link_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/", dir.path().join("home")).unwrap();
        assert!(prepare(dir.path(), &Policy::default(), &[]).is_err());
    }
}
