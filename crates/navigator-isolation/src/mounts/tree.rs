//! The new root while it is built: every path is resolved inside it, never through it to the host.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;
use rustix::mount::MoveMountFlags;

use super::{MountError, at};
use crate::sys::{self, Depth};

/// How paths of the new root are looked up.
const REAL: ResolveFlags =
    ResolveFlags::IN_ROOT.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// The new root.
pub(super) struct Tree {
    root: OwnedFd,
    owner: (u32, u32),
}

impl Tree {
    pub(super) fn new(root: OwnedFd, owner: (u32, u32)) -> Self {
        Self { root, owner }
    }

    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Opens a path that exists and leads over no link: what is mounted already may be the sandbox's own, and its links
    /// could lead anywhere in this tree.
    pub(super) fn open(&self, path: &Path) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        rustix::fs::openat2(&self.root, path, flags, Mode::empty(), REAL)
    }

    /// Makes a directory and its missing parents, or opens the one that is there.
    pub(super) fn directory(&self, path: &Path) -> Result<OwnedFd, MountError> {
        self.directory_by(path, &|path| self.open(path))
    }

    fn directory_by(
        &self,
        path: &Path,
        open: &dyn Fn(&Path) -> Result<OwnedFd, Errno>,
    ) -> Result<OwnedFd, MountError> {
        match open(path) {
            Ok(fd) => return Ok(fd),
            Err(Errno::NOENT) => {}
            Err(error) => return Err(at("open", path)(error)),
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(at("make directory", path)(io::Error::from(io::ErrorKind::InvalidInput)));
        };
        let parent = self.directory_by(parent, open)?;
        rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755))
            .map_err(at("make directory", path))?;
        open(path).map_err(at("open", path))
    }

    /// Makes a directory that belongs to the sandbox's user.
    pub(super) fn own_directory(&self, path: &Path, mode: u32) -> Result<(), MountError> {
        self.directory(path)?;
        let fd = rustix::fs::openat2(
            &self.root,
            path,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
            REAL,
        )
        .map_err(at("open", path))?;
        let (uid, gid) = self.owner;
        rustix::fs::fchown(&fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            .map_err(at("give away", path))?;
        rustix::fs::fchmod(&fd, Mode::from_raw_mode(mode)).map_err(at("set the mode of", path))
    }

    /// Makes a file with content, and its missing parents.
    pub(super) fn file(&self, path: &Path, content: &[u8], mode: u32) -> Result<(), MountError> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(at("make file", path)(io::Error::from(io::ErrorKind::InvalidInput)));
        };
        let parent = self.directory(parent)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(mode))
            .map_err(at("make file", path))?;
        let mut file = std::fs::File::from(fd);
        io::Write::write_all(&mut file, content).map_err(at("write", path))
    }

    /// The same in place of a file or link that is there.
    pub(super) fn replace(&self, path: &Path, content: &[u8], mode: u32) -> Result<(), MountError> {
        if let (Some(parent), Some(name)) = (path.parent(), path.file_name()) {
            match rustix::fs::unlinkat(self.directory(parent)?, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(at("replace", path)(error)),
            }
        }
        self.file(path, content, mode)
    }

    /// Makes a symbolic link unless something is there already. Only our own links may be on the way, so nothing of a
    /// root filesystem is mounted yet.
    pub(super) fn symlink(&self, path: &Path, target: &Path) -> Result<(), MountError> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(at("make link", path)(io::Error::from(io::ErrorKind::InvalidInput)));
        };
        let parent = self.directory_by(parent, &|path| open_beneath(self.root.as_fd(), path))?;
        match rustix::fs::symlinkat(target, &parent, name) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(at("make link", path)(error)),
        }
    }

    /// Attaches a mount, making the directory or file that it covers.
    pub(super) fn attach(&self, mount: &OwnedFd, path: &Path) -> Result<(), MountError> {
        let place = match self.open(path) {
            Ok(place) => place,
            Err(Errno::NOENT) => self.make_place(mount, path)?,
            Err(error @ Errno::LOOP) => {
                return Err(at("mount over a link on the way to", path)(error));
            }
            Err(error) => return Err(at("open", path)(error)),
        };
        rustix::mount::move_mount(
            mount,
            "",
            &place,
            "",
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH,
        )
        .map_err(at("mount", path))
    }

    /// Attaches a directory, making the one that it covers.
    pub(super) fn attach_directory(&self, mount: &OwnedFd, path: &Path) -> Result<(), MountError> {
        self.directory(path)?;
        self.attach(mount, path)
    }

    fn make_place(&self, mount: &OwnedFd, path: &Path) -> Result<OwnedFd, MountError> {
        let stat = rustix::fs::fstat(mount).map_err(at("look at", path))?;
        if rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory {
            return self.directory(path);
        }
        self.file(path, b"", 0o444)?;
        self.open(path).map_err(at("open", path))
    }

    /// Gives a directory of the root filesystem a mount of its own, which stays writable.
    pub(super) fn keep_writable(&self, path: &Path) -> Result<(), MountError> {
        let place = self.open(path).map_err(at("open", path))?;
        let mount = super::clone_fd(&place).map_err(at("open", path))?;
        let set = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
        sys::mount_setattr(mount.as_fd(), set, Depth::This, None)
            .map_err(at("restrict the mount of", path))?;
        self.attach(&mount, path)
    }
}

/// Opens a path below a directory that counts as `/` for every link on the way.
pub(super) fn open_beneath(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::openat2(
        root,
        path,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    )
}
