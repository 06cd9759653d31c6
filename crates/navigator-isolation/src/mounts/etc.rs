//! `/etc` in the sandbox: the root filesystem's, with the sandbox's own users, hosts and resolver on top.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

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
    for (name, content) in own_files(spec) {
        tree.file(&place.join(name), content.as_bytes(), 0o644)?;
    }
    for file in spec.files.iter().filter(|file| file.path.starts_with("/etc")) {
        let below = file.path.strip_prefix("/etc").unwrap_or(&file.path);
        tree.file(&place.join(below), &file.content, 0o644)?;
    }
    let Some(lower) = lower else { return Ok(()) };
    match overlay(lower) {
        Ok(mount) => tree.attach_directory(&mount, Path::new("/etc")),
        // Where something is mounted below `/etc` already, as in most containers, the kernel does not let a user
        // namespace look at it without that, so our files are mounted over the others one by one.
        Err(Errno::INVAL) => cover(tree, lower, &place),
        Err(error) => Err(at("put the sandbox's own files over", Path::new("/etc"))(error)),
    }
}

/// Mounts `/etc` with everything below it, and each of our files over the one that it replaces.
fn cover(tree: &Tree, lower: &OwnedFd, place: &Path) -> Result<(), MountError> {
    let etc = Path::new("/etc");
    let mount = super::clone_fd(lower).map_err(at("open", etc))?;
    super::restrict(mount.as_fd(), Access::ReadOnly, etc)?;
    tree.attach_directory(&mount, etc)?;
    for name in OWN {
        let own = tree.open(&place.join(name)).map_err(at("open", &place.join(name)))?;
        let own = super::clone_fd(&own).map_err(at("open", &place.join(name)))?;
        super::restrict(own.as_fd(), Access::ReadOnly, &place.join(name))?;
        match tree.open(&etc.join(name)) {
            Ok(_) => tree.attach(&own, &etc.join(name))?,
            // Nothing to hide there, and programs do without these.
            Err(Errno::NOENT) if ["hostname", "nsswitch.conf"].contains(&name) => {}
            Err(error) => return Err(at("cover", &etc.join(name))(error)),
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

/// Our files are readable whatever the policy lists: programs need to know who and where they are.
pub(super) fn rules() -> impl Iterator<Item = (PathBuf, Access)> {
    let own = OWN.iter().map(|name| Path::new("/etc").join(name));
    let more = ["/etc/navigator-tls", "/etc/navigator"].map(PathBuf::from);
    own.chain(more).map(|path| (path, Access::ReadOnly))
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
