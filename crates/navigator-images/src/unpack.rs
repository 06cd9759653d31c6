//! Unpacking a layer into a directory, as overlayfs reads it, whoever made the layer.
//!
//! Entries have types from a list; every path is resolved beneath the directory and without links; bits that would give
//! privileges and all extended attributes are left out. What cannot be so is an error: no layer is unpacked by halves.

mod entry;
mod file;
mod path;

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::archive::{Archive, ArchiveError, Kind, Member, Streamed};
use crate::beneath;
use crate::limits::{CHUNK, DIRECTORY_BYTES, Limits};
pub use entry::EntryError;
use path::Name;

/// The attribute by which overlayfs (mounted with `userxattr`) hides what lies below a directory.
pub(crate) const OPAQUE: &str = "user.overlay.opaque";
/// What its value is then.
pub(crate) const YES: &[u8] = b"y";
/// Prefix of names that delete something of a lower layer.
pub(crate) const WHITEOUT: &[u8] = b".wh.";
/// The name that hides everything of lower layers in its directory.
pub(crate) const OPAQUE_NAME: &[u8] = b".wh..wh..opq";
/// Whom files belong to whose owner has a number beyond those of a sandbox.
const NOBODY: u32 = 65534;
/// The largest number of an owner in a sandbox.
const LARGEST_ID: u64 = 65535;
/// Bytes between looks at how much of the disk is free.
const LOOK_EVERY: u64 = 16 << 20;

/// What was unpacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contents {
    /// Bytes of all files.
    pub bytes: u64,
    /// Entries that were unpacked.
    pub entries: u64,
    /// Devices and pipes, which are left out.
    pub skipped: u64,
    /// Whether the layer hides all layers below it.
    pub opaque: bool,
}

/// A layer that was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// An entry.
    #[error("failed to unpack `{}`", .path.escape_debug())]
    Entry {
        /// Its path, as the archive has it.
        path: String,
        /// What is wrong with it.
        source: EntryError,
    },
    /// Too many entries.
    #[error("failed to unpack the layer: it has more than {limit} entries")]
    Entries {
        /// How many there may be.
        limit: u64,
    },
    /// Too many directories.
    #[error(
        "failed to unpack the layer: the names of its directories take more than {DIRECTORY_BYTES} bytes"
    )]
    Directories,
    /// The layer's directory.
    #[error("failed to finish the layer's directory")]
    Finish(#[source] io::Error),
}

/// Unpacks an archive into an empty directory.
pub(crate) fn unpack(
    root: BorrowedFd<'_>,
    archive: impl Read,
    limits: &Limits,
) -> Result<Contents, UnpackError> {
    let mut unpacker = Unpacker {
        root,
        limits,
        privileged: rustix::process::geteuid().is_root(),
        contents: Contents::default(),
        parent: None,
        times: vec![],
        times_bytes: 0,
        unchecked: LOOK_EVERY,
        buffer: vec![0; CHUNK],
    };
    let mut archive = Archive::new(Streamed(archive));
    while let Some(member) = archive.next()? {
        unpacker.member(&mut archive, &member)?;
    }
    unpacker.set_times()?;
    // What follows the archive's end is no part of it, but of its digest.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(ArchiveError::Read)?;
    Ok(unpacker.contents)
}

struct Unpacker<'a> {
    root: BorrowedFd<'a>,
    limits: &'a Limits,
    privileged: bool,
    contents: Contents,
    /// The directory of the last entry, which is often that of the next.
    parent: Option<(PathBuf, OwnedFd)>,
    /// Directories whose times are set at the end, when nothing changes them any more.
    times: Vec<(PathBuf, Timespec)>,
    times_bytes: usize,
    /// Bytes that were written since the disk was looked at.
    unchecked: u64,
    buffer: Vec<u8>,
}

impl Unpacker<'_> {
    fn member<R: Read>(
        &mut self,
        archive: &mut Archive<Streamed<R>>,
        member: &Member,
    ) -> Result<(), UnpackError> {
        if self.contents.entries + self.contents.skipped == self.limits.entries {
            return Err(UnpackError::Entries { limit: self.limits.entries });
        }
        let entry = |source| UnpackError::Entry {
            path: String::from_utf8_lossy(&member.path).into_owned(),
            source,
        };
        self.place(archive, member).map_err(entry)?;
        if self.times_bytes > DIRECTORY_BYTES { Err(UnpackError::Directories) } else { Ok(()) }
    }

    fn place<R: Read>(
        &mut self,
        archive: &mut Archive<Streamed<R>>,
        member: &Member,
    ) -> Result<(), EntryError> {
        if member.kind == Kind::Device {
            self.contents.skipped += 1;
            return Ok(());
        }
        self.contents.entries += 1;
        let Some(name) = Name::read(&member.path)? else { return self.root_entry(member) };
        if name.is_whiteout() {
            return self.whiteout(&name);
        }
        match member.kind {
            Kind::File => self.file(archive, member, &name),
            Kind::Directory => self.directory(member, &name),
            Kind::Symlink => self.symlink(member, &name),
            Kind::Hardlink => self.hardlink(member, &name),
            Kind::Device => Ok(()),
            Kind::Other(kind) => Err(EntryError::Kind { kind: char::from(kind) }),
        }
    }

    /// The layer's own directory.
    fn root_entry(&mut self, member: &Member) -> Result<(), EntryError> {
        if member.kind != Kind::Directory {
            return Err(EntryError::Root);
        }
        let root = self.root;
        self.dress_directory(root, member, PathBuf::new())
    }

    fn directory(&mut self, member: &Member, name: &Name<'_>) -> Result<(), EntryError> {
        let parent = self.parent(name.parent)?;
        let hidden = match beneath::look(parent.as_fd(), name.last)? {
            Some(stat) if beneath::kind(&stat) == FileType::Directory => None,
            Some(stat) => {
                self.replace(parent.as_fd(), name)?;
                Some(beneath::is_whiteout(&stat))
            }
            None => Some(false),
        };
        if let Some(whiteout) = hidden {
            rustix::fs::mkdirat(&parent, name.last, Mode::RWXU)?;
            if whiteout {
                // It was deleted before it was made: what lies below must not show through.
                let made = beneath::subdirectory(parent.as_fd(), name.last)?;
                rustix::fs::fsetxattr(&made, OPAQUE, YES, XattrFlags::empty())?;
            }
        }
        let directory = beneath::subdirectory(parent.as_fd(), name.last)?;
        self.parent = Some((name.parent.to_owned(), parent));
        self.dress_directory(directory.as_fd(), member, name.parent.join(name.last))
    }

    fn dress_directory(
        &mut self,
        directory: BorrowedFd<'_>,
        member: &Member,
        path: PathBuf,
    ) -> Result<(), EntryError> {
        self.own(directory, member)?;
        let mut mode = member.mode & 0o1777;
        if !self.privileged {
            // Or its owner could not remove it.
            mode |= 0o700;
        }
        rustix::fs::fchmod(directory, Mode::from_raw_mode(mode))?;
        self.times_bytes += path.as_os_str().len() + size_of::<(PathBuf, Timespec)>();
        self.times.push((path, time(member)));
        Ok(())
    }

    fn symlink(&mut self, member: &Member, name: &Name<'_>) -> Result<(), EntryError> {
        let target = path::link_target(&member.link)?;
        let parent = self.parent(name.parent)?;
        self.replace(parent.as_fd(), name)?;
        rustix::fs::symlinkat(target, &parent, name.last)?;
        if self.privileged {
            let (uid, gid) = owner(member);
            rustix::fs::chownat(
                &parent,
                name.last,
                Some(uid),
                Some(gid),
                AtFlags::SYMLINK_NOFOLLOW,
            )?;
        }
        rustix::fs::utimensat(&parent, name.last, &times(member), AtFlags::SYMLINK_NOFOLLOW)?;
        self.parent = Some((name.parent.to_owned(), parent));
        Ok(())
    }

    fn hardlink(&mut self, member: &Member, name: &Name<'_>) -> Result<(), EntryError> {
        let target = Name::read(&member.link)?.ok_or(EntryError::HardlinkTarget)?;
        if target.is_whiteout() {
            return Err(EntryError::HardlinkTarget);
        }
        let from = beneath::open_directory(self.root, target.parent).map_err(EntryError::parent)?;
        let stat = beneath::look(from.as_fd(), target.last)?.ok_or(EntryError::HardlinkTarget)?;
        if beneath::kind(&stat) != FileType::RegularFile {
            return Err(EntryError::HardlinkTarget);
        }
        let parent = self.parent(name.parent)?;
        let there = beneath::look(parent.as_fd(), name.last)?;
        if there.is_none_or(|there| (there.st_dev, there.st_ino) != (stat.st_dev, stat.st_ino)) {
            self.replace(parent.as_fd(), name)?;
            rustix::fs::linkat(&from, target.last, &parent, name.last, AtFlags::empty())?;
        }
        self.parent = Some((name.parent.to_owned(), parent));
        Ok(())
    }

    /// Hides something of lower layers. What this layer itself has at the name stays.
    fn whiteout(&mut self, name: &Name<'_>) -> Result<(), EntryError> {
        if name.last.as_encoded_bytes() == OPAQUE_NAME {
            return self.hide_all(name.parent);
        }
        let hidden = path::hidden_by(name.last)?;
        let parent = self.parent(name.parent)?;
        match beneath::look(parent.as_fd(), hidden)? {
            None => {
                let mode = Mode::empty();
                rustix::fs::mknodat(&parent, hidden, FileType::CharacterDevice, mode, 0)
                    .map_err(EntryError::whiteout)?;
            }
            Some(stat) if beneath::kind(&stat) == FileType::Directory => {
                let own = beneath::subdirectory(parent.as_fd(), hidden)?;
                rustix::fs::fsetxattr(&own, OPAQUE, YES, XattrFlags::empty())?;
            }
            Some(_) => {}
        }
        self.parent = Some((name.parent.to_owned(), parent));
        Ok(())
    }

    fn hide_all(&mut self, directory: &Path) -> Result<(), EntryError> {
        if directory.as_os_str().is_empty() {
            // The roots of layers are merged whatever their attributes say.
            self.contents.opaque = true;
            return Ok(());
        }
        let own = self.parent(directory)?;
        rustix::fs::fsetxattr(&own, OPAQUE, YES, XattrFlags::empty())?;
        self.parent = Some((directory.to_owned(), own));
        Ok(())
    }

    /// Opens the directory of an entry, and makes it if the archive did not.
    fn parent(&mut self, path: &Path) -> Result<OwnedFd, EntryError> {
        if let Some((known, directory)) = self.parent.take()
            && known == path
        {
            return Ok(directory);
        }
        match beneath::open_directory(self.root, path) {
            Ok(directory) => Ok(directory),
            Err(Errno::NOENT) => self.make_directories(path),
            Err(error) => Err(EntryError::parent(error)),
        }
    }

    fn make_directories(&mut self, path: &Path) -> Result<OwnedFd, EntryError> {
        let mut directory = beneath::subdirectory(self.root, ".")?;
        for name in path {
            let next = match beneath::subdirectory(directory.as_fd(), name) {
                Err(Errno::NOENT) => {
                    rustix::fs::mkdirat(&directory, name, Mode::RWXU)?;
                    let made = beneath::subdirectory(directory.as_fd(), name)?;
                    rustix::fs::fchmod(&made, Mode::from_raw_mode(0o755))?;
                    made
                }
                other => other.map_err(EntryError::parent)?,
            };
            directory = next;
        }
        Ok(directory)
    }

    /// Makes room for an entry: of two with one name the later one counts.
    fn replace(&mut self, parent: BorrowedFd<'_>, name: &Name<'_>) -> Result<(), EntryError> {
        self.parent = None;
        beneath::remove(parent, name.last).map_err(EntryError::Write)?;
        Ok(())
    }

    /// Gives a file to whom the image says; as an ordinary user everything is that user's own.
    fn own(&self, file: BorrowedFd<'_>, member: &Member) -> Result<(), EntryError> {
        if self.privileged {
            let (uid, gid) = owner(member);
            rustix::fs::fchown(file, Some(uid), Some(gid))?;
        }
        Ok(())
    }

    fn set_times(&mut self) -> Result<(), UnpackError> {
        for (path, time) in &self.times {
            // A directory that another entry replaced has no time any more.
            let directory = match beneath::open_directory(self.root, path) {
                Ok(directory) => directory,
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                Err(error) => return Err(UnpackError::Finish(error.into())),
            };
            let times = Timestamps { last_access: *time, last_modification: *time };
            rustix::fs::futimens(&directory, &times)
                .map_err(|error| UnpackError::Finish(error.into()))?;
        }
        Ok(())
    }
}

/// Numbers beyond those of a sandbox mean nobody there.
pub(crate) fn id_in_sandbox(id: u64) -> u32 {
    u32::try_from(id).ok().filter(|_| id <= LARGEST_ID).unwrap_or(NOBODY)
}

fn owner(member: &Member) -> (rustix::fs::Uid, rustix::fs::Gid) {
    let (uid, gid) = (id_in_sandbox(member.uid), id_in_sandbox(member.gid));
    (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid))
}

fn time(member: &Member) -> Timespec {
    Timespec { tv_sec: member.mtime.0, tv_nsec: member.mtime.1.into() }
}

fn times(member: &Member) -> Timestamps {
    Timestamps { last_access: time(member), last_modification: time(member) }
}

/// Whether a directory hides what lies below it.
pub(crate) fn is_opaque(directory: BorrowedFd<'_>) -> bool {
    let mut value = [0; 2];
    rustix::fs::fgetxattr(directory, OPAQUE, &mut value).is_ok_and(|length| &value[..length] == YES)
}
