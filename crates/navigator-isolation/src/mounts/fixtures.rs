//! What every sandbox has of its own: `/proc`, `/dev`, `/tmp`, the home directory.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use super::tree::Tree;
use super::view::{View, is_fixture};
use super::{MountError, at, clone_path};
use crate::spec::{Access, SandboxSpec};

/// The device files that programs cannot do without and that reveal nothing.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Links in `/dev`, with their targets.
const LINKS: [(&str, &str); 5] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/ptmx", "pts/ptmx"),
];

/// Opens the host's device files; done before the new root covers anything.
pub(super) fn open_devices() -> Result<Vec<(PathBuf, OwnedFd)>, MountError> {
    DEVICES
        .iter()
        .map(|name| {
            let path = Path::new("/dev").join(name);
            clone_path(&path).map(|mount| (path, mount))
        })
        .collect()
}

/// Makes `/proc`, `/dev` and the directories that are private to the sandbox.
pub(super) fn populate(
    tree: &Tree,
    spec: &SandboxSpec,
    devices: Vec<(PathBuf, OwnedFd)>,
) -> Result<(), MountError> {
    for (path, mount) in devices {
        tree.attach(&mount, &path)?;
    }
    for (path, target) in LINKS {
        tree.symlink(Path::new(path), Path::new(target))?;
    }
    // Each process has a Landlock domain of its own, so that none may look into another; by their group they all see who
    // is there, as people expect of `ps`.
    let group = spec.user.gid.to_string();
    mount_new(tree, "proc", "/proc", &[("hidepid", "invisible"), ("gid", &group)])?;
    mount_new(tree, "devpts", "/dev/pts", &[("ptmxmode", "0666"), ("mode", "0600")])?;
    tree.own_directory(Path::new("/dev/shm"), 0o1777)?;
    tree.own_directory(Path::new("/tmp"), 0o1777)?;
    tree.own_directory(&spec.user.home, 0o755)?;
    for file in spec.files.iter().filter(|file| file.path.starts_with(&spec.user.home)) {
        match tree.replace(&file.path, &file.content, 0o444) {
            // A home that outlives its sandbox may hold something else there, which is the sandbox's own loss.
            Err(_) if spec.layers().is_some() => {}
            done => done?,
        }
    }
    Ok(())
}

fn mount_new(
    tree: &Tree,
    kind: &str,
    path: &str,
    options: &[(&str, &str)],
) -> Result<(), MountError> {
    let path = Path::new(path);
    let error = |source| at("mount a new", path)(source);
    let fs = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(error)?;
    for (key, value) in options {
        rustix::mount::fsconfig_set_string(fs.as_fd(), *key, *value).map_err(error)?;
    }
    rustix::mount::fsconfig_create(fs.as_fd()).map_err(error)?;
    let mut attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    if kind == "proc" {
        // Who may write `/proc/PID/mem` is every other program of its user; Landlock says no too, where it is in force.
        attributes |= MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    let mount = rustix::mount::fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
        .map_err(error)?;
    tree.attach_directory(&mount, path)
}

/// The directories of the root filesystem that stay writable, made where they are missing.
///
/// A path that the host's system has is refused: a run never changes it.
pub(super) fn writable_directories(
    tree: &Tree,
    spec: &SandboxSpec,
    view: &View,
) -> Result<Vec<PathBuf>, MountError> {
    let mut kept = vec![spec.user.home.clone(), PathBuf::from("/tmp"), PathBuf::from("/dev/shm")];
    for path in &spec.read_write {
        let inside = |kept: &[PathBuf]| kept.iter().any(|dir| path.starts_with(dir));
        let leads_elsewhere = view.skipped.iter().any(|skipped| &skipped.path == path);
        if path.starts_with("/dev") || path.starts_with("/proc") || leads_elsewhere {
            continue;
        }
        if inside(&kept) {
            match tree.open(path) {
                Err(Errno::NOENT) => tree.own_directory(path, 0o755)?,
                // A file or link of that name is what the sandbox made there.
                Ok(_) | Err(Errno::NOTDIR | Errno::LOOP) => {}
                Err(error) => return Err(at("open", path)(error)),
            }
            continue;
        }
        if spec.binds.iter().any(|bind| path.starts_with(&bind.destination)) {
            continue;
        }
        if view.has(path) && !is_fixture(path, spec) {
            if view.is_host() {
                return Err(at(
                    "make writable, since a run never changes the host's system,",
                    path,
                )(std::io::Error::other(
                    "mount a directory there with --mount SRC:DST",
                )));
            }
            continue;
        }
        match tree.open(path) {
            // What the sandbox made there stays; that there is no such directory is told of with its rule.
            Err(Errno::NOTDIR | Errno::LOOP) => continue,
            Ok(_) | Err(_) => tree.own_directory(path, 0o755)?,
        }
        kept.push(path.clone());
    }
    Ok(kept)
}

/// Rights on the fixtures that hold whatever the policy lists.
pub(super) fn rules() -> impl Iterator<Item = (PathBuf, Access)> {
    let devices = DEVICES.iter().map(|name| Path::new("/dev").join(name));
    devices.chain([PathBuf::from("/dev/pts")]).map(|path| (path, Access::ReadWrite))
}
