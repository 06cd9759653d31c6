//! `/etc` in the sandbox: the root filesystem's, with the sandbox's own users, hosts and resolver on top.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, RawDir};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use super::tree::Tree;
use super::{HIDDEN, MountError, STAGE, at};
use crate::spec::{Access, SandboxSpec, User};

/// The address of the supervisor inside the sandbox: proxy and name server.
const SUPERVISOR: &str = "10.200.0.1";
/// Files of ours below `/etc`.
const OWN: [&str; 6] = ["passwd", "group", "hosts", "resolv.conf", "hostname", "nsswitch.conf"];

/// Makes `/etc`, over `lower` when the policy grants all of that.
pub(super) fn populate(
    tree: &Tree,
    spec: &SandboxSpec,
    lower: Option<&OwnedFd>,
) -> Result<(), MountError> {
    let hidden = Path::new("/").join(HIDDEN);
    let place = match lower {
        Some(_) => hidden.join("etc"),
        None => PathBuf::from("/etc"),
    };
    tree.file(&hidden.join("canary"), b"not for the sandbox\n", 0o444)?;
    for (path, content) in ours(spec) {
        let below = path.strip_prefix("/etc").unwrap_or(&path);
        tree.file(&place.join(below), &content, 0o644)?;
    }
    let Some(lower) = lower else { return Ok(()) };
    match overlay(lower) {
        Ok(mount) => tree.attach_directory(&mount, Path::new("/etc")),
        // Where something is mounted below `/etc` already, as in most containers, the kernel does not let a user
        // namespace look at it without that, so the others are mounted beside our files one by one.
        Err(Errno::INVAL) => compose(tree, spec, lower),
        Err(error) => Err(at("put the sandbox's own files over", Path::new("/etc"))(error)),
    }
}

/// Makes `/etc` of our files and a mount of each other entry of the root filesystem's.
fn compose(tree: &Tree, spec: &SandboxSpec, lower: &OwnedFd) -> Result<(), MountError> {
    let etc = Path::new("/etc");
    for (path, content) in ours(spec) {
        tree.file(&path, &content, 0o644)?;
    }
    let mut buffer = Vec::with_capacity(8192);
    let list = rustix::fs::openat(lower, ".", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(at("list", etc))?;
    let mut entries = RawDir::new(&list, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry.map_err(at("list", etc))?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        let path = etc.join(name);
        let covered = tree.open(&path).is_ok();
        match entry.file_type() {
            _ if covered || name == "." || name == ".." => {}
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(lower, entry.file_name(), vec![])
                    .map_err(at("read the link", &path))?;
                tree.symlink(&path, Path::new(OsStr::from_bytes(target.to_bytes())))?;
            }
            FileType::Directory | FileType::RegularFile => {
                let source = super::tree::open_beneath(lower.as_fd(), Path::new(name))
                    .map_err(at("open", &path))?;
                let mount = super::clone_fd(&source).map_err(at("open", &path))?;
                super::restrict(mount.as_fd(), Access::ReadOnly, &path)?;
                tree.attach(&mount, &path)?;
            }
            // Sockets, pipes and devices are nothing that configuration needs.
            _ => {}
        }
    }
    Ok(())
}

/// Shows our files in front of those of the root filesystem, read-only. Files that we put in front hide
/// what is behind them, links included, and neither side is changed.
fn overlay(lower: &OwnedFd) -> Result<OwnedFd, Errno> {
    let front = Path::new(STAGE).join(HIDDEN).join("etc");
    let fs = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    // By descriptor: the path may be one that the new root covers by now.
    let layers = format!("{}:/proc/self/fd/{}", front.display(), lower.as_raw_fd());
    rustix::mount::fsconfig_set_string(fs.as_fd(), "lowerdir", &*layers)?;
    rustix::mount::fsconfig_create(fs.as_fd())?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_RDONLY;
    rustix::mount::fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// Whether every sandbox has this file of its own, whatever its policy lists.
#[must_use]
pub fn is_synthetic(path: &Path) -> bool {
    rules().any(|(own, _)| path.starts_with(own))
}

/// Our files are readable whatever the policy lists: programs need to know who and where they are.
pub(super) fn rules() -> impl Iterator<Item = (PathBuf, Access)> {
    let own = OWN.iter().map(|name| Path::new("/etc").join(name));
    let more = ["/etc/navigator-tls", "/etc/navigator"].map(PathBuf::from);
    own.chain(more).map(|path| (path, Access::ReadOnly))
}

/// All of our files below `/etc`.
fn ours(spec: &SandboxSpec) -> impl Iterator<Item = (PathBuf, Vec<u8>)> {
    let own = own_files(spec).map(|(name, text)| (Path::new("/etc").join(name), text.into_bytes()));
    let asked = spec.files.iter().filter(|file| file.path.starts_with("/etc"));
    own.into_iter().chain(asked.map(|file| (file.path.clone(), file.content.clone())))
}

fn own_files(spec: &SandboxSpec) -> [(&'static str, String); 6] {
    let hosts = format!(
        "127.0.0.1 localhost\n::1 localhost ip6-localhost\n127.0.1.1 {}\n{SUPERVISOR} navigator\n",
        spec.name
    );
    let [passwd, group, hosts_name, resolv, hostname, nsswitch] = OWN;
    [
        (passwd, passwd_file(&spec.user)),
        (group, format!("root:x:0:\n{}:x:{}:\nnogroup:x:65534:\n", spec.user.group, spec.user.gid)),
        (hosts_name, hosts),
        (resolv, format!("nameserver {SUPERVISOR}\noptions timeout:5 attempts:1\n")),
        (hostname, format!("{}\n", spec.name)),
        (nsswitch, "passwd: files\ngroup: files\nhosts: files dns\nservices: files\n".into()),
    ]
}

fn passwd_file(user: &User) -> String {
    format!(
        "root:x:0:0:root:/:/usr/sbin/nologin\n{}:x:{}:{}:{}:{}:{}\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n",
        user.name,
        user.uid,
        user.gid,
        user.name,
        user.home.display(),
        user.shell.display()
    )
}
