//! A root filesystem of layers: overlayfs puts them together while the new root is built. Source: the kernel's
//! Documentation/filesystems/overlayfs.rst.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, UnmountFlags};

use super::tree::Tree;
use super::{HIDDEN, MountError, STAGE, at, clone_real, restrict};
use crate::spec::{Access, Layers};

/// Longest value of one option, without the zero at its end (`fsconfig(2)`).
const OPTION_BYTES: usize = 255;

/// Layers that are open and not put together yet.
pub(super) struct Opened {
    lower: Vec<OwnedFd>,
    changes: Option<OwnedFd>,
}

/// Opens every layer; `detached` holds those that the supervisor had to open itself.
pub(super) fn open(layers: &Layers, detached: Vec<Option<OwnedFd>>) -> Result<Opened, MountError> {
    let mut opened = vec![];
    for (number, (path, mount)) in layers.sources().zip(detached).enumerate() {
        let mount = match mount {
            Some(mount) => mount,
            None => clone_real(path)?,
        };
        let access = if number < layers.lower.len() { Access::ReadOnly } else { Access::ReadWrite };
        restrict(mount.as_fd(), access, path)?;
        opened.push(mount);
    }
    let changes = layers.changes.as_ref().and_then(|_| opened.pop());
    Ok(Opened { lower: opened, changes })
}

/// Layers that are one directory now, until this is dropped.
pub(super) struct United {
    /// Where they are, outside the new root's own names.
    pub(super) path: PathBuf,
}

impl Opened {
    /// Puts the layers together. They have no names of their own any more when this returns.
    pub(super) fn unite(self, tree: &Tree) -> Result<United, MountError> {
        let hidden = Path::new("/").join(HIDDEN);
        let (places, changes) = (hidden.join("layers"), hidden.join("changes"));
        let count = self.lower.len();
        for (number, mount) in self.lower.iter().enumerate() {
            tree.attach_directory(mount, &places.join(number.to_string()))?;
        }
        if let Some(mount) = &self.changes {
            tree.attach_directory(mount, &changes)?;
        }
        tree.directory(&changes.join("upper"))?;
        tree.directory(&changes.join("work"))?;
        // Names of one or two figures, so that as many layers as there may be are named in one option.
        let staged = staged(&places);
        rustix::process::chdir(&staged).map_err(at("enter", &staged))?;
        let overlay = overlay(count).map_err(at("put together the layers of", Path::new("/")))?;
        rustix::process::chdir("/").map_err(at("enter", Path::new("/")))?;
        for number in 0..count {
            leave(&places.join(number.to_string()))?;
        }
        if self.changes.is_some() {
            leave(&changes)?;
        }
        let root = hidden.join("root");
        tree.attach_directory(&overlay, &root)?;
        Ok(United { path: self::staged(&root) })
    }
}

impl United {
    /// Takes away the name; what was made of it stays.
    pub(super) fn leave(self) -> Result<(), MountError> {
        rustix::mount::unmount(&self.path, UnmountFlags::DETACH).map_err(at("leave", &self.path))
    }
}

/// Where a path of the new root is while it is built.
fn staged(path: &Path) -> PathBuf {
    Path::new(STAGE).join(path.strip_prefix("/").unwrap_or(path))
}

fn leave(path: &Path) -> Result<(), MountError> {
    let path = staged(path);
    rustix::mount::unmount(&path, UnmountFlags::DETACH).map_err(at("leave", &path))
}

/// Mounts what lies in the working directory under the numbers below `count`, the first uppermost.
fn overlay(count: usize) -> Result<OwnedFd, Errno> {
    let fs = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let set = |key: &str, value: &str| rustix::mount::fsconfig_set_string(fs.as_fd(), key, value);
    let names: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    let together = names.join(":");
    if together.len() <= OPTION_BYTES {
        set("lowerdir", &together)?;
    } else {
        // Since Linux 6.8.
        names.iter().try_for_each(|name| set("lowerdir+", name))?;
    }
    set("upperdir", "../changes/upper")?;
    set("workdir", "../changes/work")?;
    // Whoever is root in a user namespace only may not use the others.
    rustix::mount::fsconfig_set_flag(fs.as_fd(), "userxattr")?;
    rustix::mount::fsconfig_create(fs.as_fd())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    rustix::mount::fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}
