//! The sandbox's own mount tree: a fresh root made only of what was granted.
//!
//! Everything is put together with the new mount API on descriptors, so no path is resolved twice. Sources
//! are opened before the new root covers anything; the old root is gone when this returns.

mod etc;
mod fixtures;
mod layers;
pub(crate) mod links;
mod tree;
mod view;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, OpenTreeFlags, UnmountFlags,
};

use crate::binds::Detached;
use crate::spec::{Access, RootView, SandboxSpec, SkippedPath};
use crate::sys::{self, Depth};
pub use etc::is_synthetic;
use layers::United;
use tree::Tree;
use view::View;

/// Where the new root is attached while it is built. Every Linux system has it, and nothing is read from it
/// afterwards: sources were opened before.
const STAGE: &str = "/tmp";
/// Directory of the new root that holds what only init needs.
pub(crate) const HIDDEN: &str = ".navigator";
/// A file that exists in the sandbox and that no policy grants: the self-test tries to read it.
pub(crate) const CANARY: &std::ffi::CStr = c"/.navigator/canary";
/// Name space left for files on the writable filesystem, so that empty files cannot fill kernel memory.
const INODES: &str = "1048576";

/// A mount step that failed.
#[derive(Debug, thiserror::Error)]
#[error("failed to {action} {path}")]
pub(crate) struct MountError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Attaches the step and the path to a system error.
fn at<E: Into<io::Error>>(action: &'static str, path: &Path) -> impl FnOnce(E) -> MountError {
    let path = path.to_owned();
    move |source| MountError { action, path, source: source.into() }
}

/// What the finished tree grants.
pub(crate) struct Grants {
    /// Paths and what may be done below them, for the Landlock rules.
    pub(crate) rules: Vec<(PathBuf, Access)>,
    /// Paths of the policy that this root does not have.
    pub(crate) skipped: Vec<SkippedPath>,
}

/// A tree that is opened but not attached yet.
struct Source {
    destination: PathBuf,
    mount: OwnedFd,
}

/// Builds the sandbox's root and makes it this process's root. `detached` holds what the supervisor had to open itself.
pub(crate) fn enter(
    spec: &SandboxSpec,
    owner: (u32, u32),
    detached: Detached,
) -> Result<Grants, MountError> {
    let stage = Path::new(STAGE);
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(at("make private", Path::new("/")))?;
    let binds = open_binds(spec, detached.binds)?;
    let devices = fixtures::open_devices()?;
    let base = match &spec.root {
        RootView::Host => Base::Shown(Shown::open(View::of_host()?, spec)?),
        RootView::Directory(path) => Base::Shown(Shown::open(View::of_directory(path)?, spec)?),
        RootView::Layers(layers) => Base::Layers(layers::open(layers, detached.layers)?),
    };

    let root = new_root(spec)?;
    rustix::mount::move_mount(
        &root,
        "",
        rustix::fs::CWD,
        stage,
        rustix::mount::MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
    .map_err(at("attach the new root at", stage))?;
    let tree = Tree::new(root, owner);
    let (Shown { mut view, system, etc }, united) = match base {
        Base::Shown(shown) => (shown, None),
        Base::Layers(layers) => {
            let united = layers.unite(&tree)?;
            (Shown::open(View::of_sandbox(&united.path, owner)?, spec)?, Some(united))
        }
    };
    etc::populate(&tree, spec, etc.as_ref())?;
    // Before a link of what is shown could lead into all of it.
    united.map_or(Ok(()), United::leave)?;
    for (link, target) in &view.links {
        tree.symlink(link, target)?;
    }
    for source in system {
        tree.attach(&source.mount, &source.destination)?;
    }
    fixtures::populate(&tree, spec, devices)?;
    let writable = fixtures::writable_directories(&tree, spec, &view)?;
    for source in binds {
        tree.attach(&source.mount, &source.destination)?;
    }
    let rules = rules(&tree, spec, &mut view, &writable)?;
    seal(tree, &writable)?;
    Ok(Grants { rules, skipped: view.skipped })
}

/// Where the content of the root comes from, before the new root covers anything.
enum Base {
    Shown(Shown),
    Layers(layers::Opened),
}

/// What of a root filesystem is shown, opened.
struct Shown {
    view: View,
    system: Vec<Source>,
    etc: Option<OwnedFd>,
}

impl Shown {
    fn open(mut view: View, spec: &SandboxSpec) -> Result<Self, MountError> {
        let system = view.open_granted(spec)?;
        let etc = view.etc(spec)?;
        Ok(Self { view, system, etc })
    }
}

/// The filesystem that holds the root and everything private to the sandbox.
fn new_root(spec: &SandboxSpec) -> Result<OwnedFd, MountError> {
    let path = Path::new("/");
    let fs = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)
        .map_err(at("make a filesystem for", path))?;
    let set = |key: &str, value: &str| {
        rustix::mount::fsconfig_set_string(fs.as_fd(), key, value)
            .map_err(at("configure a filesystem for", path))
    };
    set("mode", "0755")?;
    set("nr_inodes", INODES)?;
    if let Some(bytes) = spec.disk_bytes {
        set("size", &bytes.to_string())?;
    }
    rustix::mount::fsconfig_create(fs.as_fd()).map_err(at("make a filesystem for", path))?;
    rustix::mount::fsmount(
        fs.as_fd(),
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV,
    )
    .map_err(at("make a filesystem for", path))
}

/// Opens what the user asked to have inside, with its rights already reduced.
fn open_binds(
    spec: &SandboxSpec,
    detached: Vec<Option<OwnedFd>>,
) -> Result<Vec<Source>, MountError> {
    let mut sources = Vec::new();
    for (bind, mount) in spec.mounts().into_iter().zip(detached) {
        let mount = match mount {
            Some(mount) => mount,
            None => clone_real(&bind.source)?,
        };
        restrict(mount.as_fd(), bind.access, &bind.source)?;
        sources.push(Source { destination: bind.destination, mount });
    }
    // Outer destinations first, so that an inner one is not covered.
    sources.sort_by_key(|source| source.destination.components().count());
    Ok(sources)
}

/// A private copy of the mounts at a path, with everything mounted below it.
pub(crate) fn clone_path(path: &Path) -> Result<OwnedFd, MountError> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    rustix::mount::open_tree(rustix::fs::CWD, path, flags).map_err(at("open", path))
}

/// The same for a path that somebody else may change the way of: it must lead through no link, since only without them
/// does it lead where it was looked up before.
pub(crate) fn clone_real(path: &Path) -> Result<OwnedFd, MountError> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let opened = rustix::fs::openat2(rustix::fs::CWD, path, flags, Mode::empty(), resolve);
    opened.and_then(|opened| clone_fd(&opened)).map_err(at("open", path))
}

/// The same for a directory or file that is open.
fn clone_fd(fd: &OwnedFd) -> Result<OwnedFd, rustix::io::Errno> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    rustix::mount::open_tree(fd, "", flags)
}

/// Takes away device files, set-user-id and, unless granted, writing.
fn restrict(mount: BorrowedFd<'_>, access: Access, path: &Path) -> Result<(), MountError> {
    let mut set = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
    if access == Access::ReadOnly {
        set |= libc::MOUNT_ATTR_RDONLY;
    }
    sys::mount_setattr(mount, set, Depth::Below, None).map_err(at("restrict the mount of", path))
}

/// Makes the tree read-only except where it may be written, and leaves the old root behind for good.
fn seal(tree: Tree, writable: &[PathBuf]) -> Result<(), MountError> {
    for path in writable {
        tree.keep_writable(path)?;
    }
    let root = Path::new("/");
    sys::mount_setattr(tree.root(), libc::MOUNT_ATTR_RDONLY, Depth::This, None)
        .map_err(at("make read-only", root))?;
    rustix::process::fchdir(tree.root()).map_err(at("enter", root))?;
    rustix::process::pivot_root(".", ".").map_err(at("change to the new", root))?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(at("leave the old", root))?;
    rustix::process::chdir("/").map_err(at("enter", root))
}

/// The Landlock rules that say the same as the mounts, for a second, independent layer. Their paths lead over no link: a
/// rule would follow those that the sandbox made.
fn rules(
    tree: &Tree,
    spec: &SandboxSpec,
    view: &mut View,
    writable: &[PathBuf],
) -> Result<Vec<(PathBuf, Access)>, MountError> {
    let mut rules = vec![];
    let mut untrusted = writable.to_vec();
    untrusted.extend(spec.binds.iter().map(|bind| bind.destination.clone()));
    untrusted.extend(spec.read_write.iter().cloned());
    let read_only = spec.read_only.iter().map(|path| (path, Access::ReadOnly));
    let read_write = spec.read_write.iter().map(|path| (path, Access::ReadWrite));
    for (path, access) in read_only.chain(read_write) {
        if view.skipped.iter().any(|skip| &skip.path == path) {
            continue;
        }
        let way = links::follow_all(tree.root(), path).map_err(at("look at", path))?;
        if way.is_turned(&untrusted) {
            let reason = links::TURNED.into();
            view.skipped.push(SkippedPath { path: path.clone(), reason });
        } else {
            // One that is not there is told of when its rule is made.
            rules.push((way.real.unwrap_or_else(|| path.clone()), access));
        }
    }
    for bind in &spec.binds {
        rules.push((bind.destination.clone(), bind.access));
    }
    let shared_memory = PathBuf::from("/dev/shm");
    if writable.contains(&shared_memory) {
        rules.push((shared_memory, Access::ReadWrite));
    }
    rules.extend(fixtures::rules());
    rules.extend(etc::rules());
    Ok(rules)
}
