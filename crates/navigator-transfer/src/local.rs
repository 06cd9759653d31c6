//! The user's side: a directory and what is below it, reached by descriptors and never through a link.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;

use crate::entry::{self, Entry, Kind, shown};
use crate::error::TransferError;
use crate::ignores::{self, Ignores};
use crate::name::{Below, Name};
use crate::options::Links;

/// What the rules of a tree do during a walk.
pub(crate) enum Rules<'a> {
    /// There are none.
    None,
    /// They are gathered and followed.
    Gather(&'a mut Ignores),
    /// Those of the other side are followed.
    Follow(&'a Ignores),
}

impl Rules<'_> {
    pub(crate) fn leave_out(&self, path: &Below, directory: bool) -> bool {
        match self {
            Self::None => false,
            Self::Gather(ignores) => ignores.leaves_out(path, directory),
            Self::Follow(ignores) => ignores.leaves_out(path, directory),
        }
    }
}

/// A directory that the user named. Its own path may go through links; below it none is followed.
#[derive(Debug)]
pub(crate) struct LocalRoot {
    fd: OwnedFd,
    links: Links,
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// A pipe in a file's place must not make the opening wait.
const FILE: OFlags = OFlags::CLOEXEC.union(OFlags::NOCTTY).union(OFlags::NONBLOCK);

impl LocalRoot {
    pub(crate) fn open(path: &Path, links: Links) -> Result<Self, TransferError> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let fd = rustix::fs::openat(CWD, path, DIRECTORY, Mode::empty())
            .map_err(|reason: Errno| local("open", path, reason))?;
        Ok(Self { fd, links })
    }

    /// A directory below as a root of its own.
    pub(crate) fn below(&self, path: &Below) -> Result<Self, Errno> {
        Ok(Self { fd: self.directory(&path.0)?, links: self.links })
    }

    fn no_follow(&self) -> OFlags {
        if self.links == Links::Follow { OFlags::empty() } else { OFlags::NOFOLLOW }
    }

    /// The directory of some names.
    pub(crate) fn directory(&self, names: &[Name]) -> Result<OwnedFd, Errno> {
        let mut fd = rustix::io::fcntl_dupfd_cloexec(&self.fd, 0)?;
        for name in names {
            let flags = DIRECTORY | self.no_follow();
            fd = rustix::fs::openat(&fd, name.as_bytes(), flags, Mode::empty())?;
        }
        Ok(fd)
    }

    fn parent<'a>(&self, path: &'a Below) -> Result<(OwnedFd, &'a Name), Errno> {
        let (parents, name) = path.split().ok_or(Errno::INVAL)?;
        Ok((self.directory(parents)?, name))
    }

    /// Opens a regular file to read it.
    pub(crate) fn open_file(&self, path: &Below) -> Result<(File, Stat), TransferError> {
        let opened = (|| {
            let (parent, name) = self.parent(path)?;
            let flags = OFlags::RDONLY | FILE | self.no_follow();
            let file = rustix::fs::openat(parent, name.as_bytes(), flags, Mode::empty())?;
            let stat = rustix::fs::fstat(&file)?;
            Ok((File::from(file), stat))
        })();
        let (file, stat) = opened.map_err(|reason: Errno| local("open", &shown(path), reason))?;
        if !FileType::from_raw_mode(stat.st_mode).is_file() {
            return Err(TransferError::Special(shown(path)));
        }
        Ok((file, stat))
    }

    /// Opens the part of a file that is to arrive. Only a plain file of one name is taken as an earlier part.
    pub(crate) fn open_part(
        &self,
        parents: &[Name],
        part: &Name,
        mode: u32,
    ) -> Result<(OwnedFd, File, u64), TransferError> {
        let shown = shown(&Below(parents.to_vec()).join(part.clone()));
        let opened = (|| {
            let parent = self.directory(parents)?;
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | FILE;
            let mode = Mode::from_raw_mode((mode & 0o777) | 0o600);
            let file = rustix::fs::openat(&parent, part.as_bytes(), flags, mode)?;
            let stat = rustix::fs::fstat(&file)?;
            Ok((parent, file, stat))
        })();
        let (parent, file, stat) =
            opened.map_err(|reason: Errno| local("create", &shown, reason))?;
        if !FileType::from_raw_mode(stat.st_mode).is_file() || stat.st_nlink != 1 {
            return Err(TransferError::InTheWay(shown));
        }
        Ok((parent, File::from(file), u64::try_from(stat.st_size).unwrap_or(0)))
    }

    /// Makes a directory, or finds that it is there.
    pub(crate) fn make_directory(&self, path: &Below) -> Result<(), TransferError> {
        let made = (|| {
            let (parent, name) = self.parent(path)?;
            match rustix::fs::mkdirat(&parent, name.as_bytes(), Mode::from_raw_mode(0o777)) {
                Err(Errno::EXIST) => {
                    let stat = rustix::fs::statat(&parent, name.as_bytes(), NO_FOLLOW)?;
                    Ok(FileType::from_raw_mode(stat.st_mode).is_dir())
                }
                other => other.map(|()| true),
            }
        })();
        match made.map_err(|reason: Errno| local("create", &shown(path), reason))? {
            true => Ok(()),
            false => Err(TransferError::InTheWay(shown(path))),
        }
    }

    /// Makes a link, in place of another link or file if there is one.
    pub(crate) fn make_link(&self, path: &Below, target: &[u8]) -> Result<(), TransferError> {
        let made = (|| {
            let (parent, name) = self.parent(path)?;
            match rustix::fs::unlinkat(&parent, name.as_bytes(), AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(reason) => return Err(reason),
            }
            rustix::fs::symlinkat(target, &parent, name.as_bytes())
        })();
        made.map_err(|reason: Errno| local("link", &shown(path), reason))
    }

    /// Removes an entry; a directory must be empty.
    pub(crate) fn remove(&self, entry: &Entry) -> Result<(), TransferError> {
        let directory = entry.kind == Kind::Directory;
        let flags = if directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        let removed = (|| {
            let (parent, name) = self.parent(&entry.path)?;
            rustix::fs::unlinkat(&parent, name.as_bytes(), flags)
        })();
        removed.map_err(|reason: Errno| local("remove", &shown(&entry.path), reason))
    }

    /// Gives a directory its mode and time.
    pub(crate) fn finish_directory(&self, entry: &Entry) -> Result<(), TransferError> {
        let done = (|| {
            let fd = self.directory(&entry.path.0)?;
            finish(&fd, entry.mode, entry.mtime)
        })();
        done.map_err(|reason: Errno| local("set", &shown(&entry.path), reason))
    }

    /// Gives a directory a mode; never the bits that change who runs things.
    pub(crate) fn set_mode(&self, entry: &Entry, mode: u32) -> Result<(), TransferError> {
        let done = (|| {
            let fd = self.directory(&entry.path.0)?;
            rustix::fs::fchmod(fd, Mode::from_raw_mode(mode & 0o777))
        })();
        done.map_err(|reason: Errno| local("set", &shown(&entry.path), reason))
    }

    /// Everything below, parents before what is in them.
    pub(crate) fn walk(&self, rules: &mut Rules<'_>) -> Result<Vec<Entry>, TransferError> {
        let mut entries = vec![];
        let fd =
            self.directory(&[]).map_err(|reason: Errno| local("list", Path::new("."), reason))?;
        self.walk_into(fd, &Below::default(), rules, &mut entries)?;
        Ok(entries)
    }

    fn walk_into(
        &self,
        fd: OwnedFd,
        at: &Below,
        rules: &mut Rules<'_>,
        entries: &mut Vec<Entry>,
    ) -> Result<(), TransferError> {
        let failed = |reason: Errno| local("list", &shown(at), reason);
        if let Rules::Gather(ignores) = rules
            && let Some(text) = rules_text(&fd)
        {
            ignores.add(at.clone(), &text);
        }
        let mut names = vec![];
        for found in Dir::read_from(&fd).map_err(failed)? {
            names.extend(Name::new(found.map_err(failed)?.file_name().to_bytes()));
        }
        names.sort();
        for name in names {
            let Some(entry) = self.entry(&fd, at.join(name.clone()), &name).map_err(failed)? else {
                continue;
            };
            let directory = entry.kind == Kind::Directory;
            if rules.leave_out(&entry.path, directory) {
                continue;
            }
            let path = entry.path.clone();
            entry::push(entries, entry)?;
            if directory {
                let flags = DIRECTORY | self.no_follow();
                let fd = rustix::fs::openat(&fd, name.as_bytes(), flags, Mode::empty());
                let fd = fd.map_err(|reason: Errno| local("list", &shown(&path), reason))?;
                self.walk_into(fd, &path, rules, entries)?;
            }
        }
        Ok(())
    }

    /// One entry; nothing when it vanished meanwhile.
    pub(crate) fn entry(
        &self,
        parent: impl AsFd,
        path: Below,
        name: &Name,
    ) -> Result<Option<Entry>, Errno> {
        let flags = if self.links == Links::Follow { AtFlags::empty() } else { NO_FOLLOW };
        let stat = match rustix::fs::statat(&parent, name.as_bytes(), flags) {
            Err(Errno::NOENT) => return Ok(None),
            other => other?,
        };
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&parent, name.as_bytes(), vec![])?;
                Kind::Link(target.into_bytes())
            }
            _ => Kind::Special,
        };
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        Ok(Some(Entry { path, kind, size, mode: stat.st_mode & 0o7777, mtime: mtime(&stat) }))
    }
}

const NO_FOLLOW: AtFlags = AtFlags::SYMLINK_NOFOLLOW;

/// The time of a file as the protocol carries it.
pub(crate) fn mtime(stat: &Stat) -> u32 {
    u32::try_from(stat.st_mtime.max(0)).unwrap_or(u32::MAX)
}

/// Gives an open file its mode and time; never the bits that change who runs it.
pub(crate) fn finish(fd: impl AsFd, mode: u32, mtime: u32) -> Result<(), Errno> {
    rustix::fs::fchmod(&fd, Mode::from_raw_mode(mode & 0o777))?;
    let at = Timespec { tv_sec: mtime.into(), tv_nsec: 0 };
    rustix::fs::futimens(&fd, &Timestamps { last_access: at, last_modification: at })
}

/// The rules in a directory, if it has some.
fn rules_text(directory: &OwnedFd) -> Option<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | FILE;
    let file = rustix::fs::openat(directory, ".gitignore", flags, Mode::empty()).ok()?;
    let mut text = vec![];
    File::from(file).take(ignores::LONGEST as u64).read_to_end(&mut text).ok()?;
    Some(text)
}

pub(crate) fn local(
    action: &'static str,
    path: &Path,
    source: impl Into<io::Error>,
) -> TransferError {
    TransferError::Local { action, path: path.to_owned(), source: source.into() }
}
