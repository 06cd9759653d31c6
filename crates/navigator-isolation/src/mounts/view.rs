//! Which parts of the root filesystem a policy's paths name, and which it does not have.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::tree::Tree;
use super::{MountError, Source, at, clone_real, etc, links, restrict, tree};
use crate::spec::{Access, SandboxSpec, SkippedPath};

/// The host's directories that belong to the system and may be seen in a sandbox. Homes, `/run`, `/var`,
/// `/root`, `/srv` are not among them: their owner mounts what a sandbox should have.
const SYSTEM: [&str; 11] = [
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix", "/gnu",
];
/// Paths that every sandbox has of its own.
const FIXTURES: [&str; 4] = ["/proc", "/dev", "/tmp", "/sandbox"];

/// The root filesystem that a sandbox is shown.
pub(super) struct View {
    base: PathBuf,
    dir: OwnedFd,
    whose: Whose,
    /// Links of the root filesystem to make again: path and target.
    pub(super) links: Vec<(PathBuf, PathBuf)>,
    /// Paths of the policy that are not there.
    pub(super) skipped: Vec<SkippedPath>,
    /// Writable paths of the policy that are there.
    present: Vec<PathBuf>,
}

/// Who may change a root filesystem.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The host alone.
    Host,
    /// Whoever gave the directory; a sandbox where it is granted.
    Given,
    /// The sandbox, whose user is the owner of what is made.
    Sandbox { owner: (u32, u32) },
}

impl View {
    /// The host's own root.
    pub(super) fn of_host() -> Result<Self, MountError> {
        Self::open(Path::new("/"), Whose::Host)
    }

    /// A directory that somebody gave.
    pub(super) fn of_directory(path: &Path) -> Result<Self, MountError> {
        Self::open(path, Whose::Given)
    }

    /// A directory that is the sandbox's own, its home included.
    pub(super) fn of_sandbox(path: &Path, owner: (u32, u32)) -> Result<Self, MountError> {
        Self::open(path, Whose::Sandbox { owner })
    }

    fn open(base: &Path, whose: Whose) -> Result<Self, MountError> {
        let base = base.canonicalize().map_err(at("open root", base))?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(&base, flags, Mode::empty()).map_err(at("open root", &base))?;
        let mut view = Self { base, dir, whose, links: vec![], skipped: vec![], present: vec![] };
        view.mirror_top_links();
        Ok(view)
    }

    /// `/bin` and `/lib` are links on most systems; a link grants nothing, so it is always made again.
    fn mirror_top_links(&mut self) {
        for path in SYSTEM {
            let below = Path::new(path).strip_prefix("/").unwrap_or(Path::new(path));
            if let Ok(target) = std::fs::read_link(self.base.join(below)) {
                self.links.push((path.into(), target));
            }
        }
    }

    /// Opens every granted path of the root filesystem, with its rights already reduced.
    pub(super) fn open_granted(&mut self, spec: &SandboxSpec) -> Result<Vec<Source>, MountError> {
        self.skip_turned(spec)?;
        let mut wanted = BTreeSet::new();
        for path in &spec.read_only {
            if let Some(real) = self.locate(path, spec)? {
                wanted.insert((real, path.clone()));
            }
        }
        let mut sources: Vec<Source> = vec![];
        for (real, path) in wanted {
            if real != path && !sources.iter().any(|source| path.starts_with(&source.destination)) {
                self.links.push((path, real.clone()));
            }
            let covered = sources.iter().any(|source| real.starts_with(&source.destination));
            if covered || real == Path::new("/etc") {
                continue;
            }
            let mount = clone_real(&self.outside(&real))?;
            restrict(mount.as_fd(), Access::ReadOnly, &real)?;
            sources.push(Source { destination: real, mount });
        }
        self.open_writable(spec, &mut sources)?;
        self.note_present(spec)?;
        Ok(sources)
    }

    /// Leaves out paths that lead through a link where the sandbox may write: it may have turned it since somebody meant
    /// where it led.
    fn skip_turned(&mut self, spec: &SandboxSpec) -> Result<(), MountError> {
        if self.is_host() {
            return Ok(());
        }
        let mut writable = vec![spec.user.home.clone()];
        for path in &spec.read_write {
            writable.extend(self.resolve(path)?);
            writable.push(path.clone());
        }
        for path in spec.read_only.iter().chain(&spec.read_write) {
            if is_fixture(path, spec) {
                continue;
            }
            let way = links::follow_all(self.dir.as_fd(), path).map_err(at("look at", path))?;
            if way.is_turned(&writable) {
                let reason = links::TURNED.into();
                self.skipped.push(SkippedPath { path: path.clone(), reason });
            }
        }
        Ok(())
    }

    fn is_skipped(&self, path: &Path) -> bool {
        self.skipped.iter().any(|skipped| skipped.path == path)
    }

    /// Writable paths that a root directory already has are used as they are; the host's never are. What is the
    /// sandbox's own gets those that are missing, and has its home.
    fn open_writable(
        &mut self,
        spec: &SandboxSpec,
        sources: &mut Vec<Source>,
    ) -> Result<(), MountError> {
        let mut paths: Vec<&PathBuf> = spec
            .read_write
            .iter()
            .filter(|path| !is_fixture(path, spec) && !self.is_skipped(path))
            .collect();
        match self.whose {
            Whose::Host => return Ok(()),
            Whose::Given => {}
            Whose::Sandbox { owner } => {
                paths.push(&spec.user.home);
                self.make_missing(&paths, owner)?;
            }
        }
        for path in paths {
            let Some(real) = self.resolve(path)? else { continue };
            if let Some(reason) = refused(path, &real, spec) {
                if path == &spec.user.home {
                    let elsewhere = std::io::Error::other(reason);
                    return Err(at("use the image's home directory", path)(elsewhere));
                }
                self.skipped.push(SkippedPath { path: path.clone(), reason: reason.into() });
                continue;
            }
            if &real != path {
                self.links.push((path.clone(), real.clone()));
            }
            let mount = clone_real(&self.outside(&real))?;
            restrict(mount.as_fd(), Access::ReadWrite, &real)?;
            sources.push(Source { destination: real, mount });
        }
        Ok(())
    }

    fn make_missing(&self, paths: &[&PathBuf], owner: (u32, u32)) -> Result<(), MountError> {
        let again = self.dir.try_clone().map_err(at("open root", &self.base))?;
        let tree = Tree::new(again, owner);
        for path in paths {
            match tree.open(path) {
                Err(Errno::NOENT) => tree.own_directory(path, 0o755)?,
                // A link of the image, or what the sandbox made there.
                Ok(_) | Err(Errno::NOTDIR | Errno::LOOP) => {}
                Err(error) => return Err(at("open", path)(error)),
            }
        }
        Ok(())
    }

    /// The host's or root directory's `/etc`, when the policy grants all of it.
    pub(super) fn etc(&self, spec: &SandboxSpec) -> Result<Option<OwnedFd>, MountError> {
        let etc = Path::new("/etc");
        if !spec.read_only.iter().any(|path| path == etc) || self.resolve(etc)?.is_none() {
            return Ok(None);
        }
        tree::open_beneath(self.dir.as_fd(), etc).map(Some).map_err(at("open", etc))
    }

    /// Whether a writable path of the policy exists in the root filesystem and may be seen there.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.present.iter().any(|present| present == path)
    }

    fn note_present(&mut self, spec: &SandboxSpec) -> Result<(), MountError> {
        for path in &spec.read_write {
            if self.visible(path) && self.resolve(path)?.is_some() {
                self.present.push(path.clone());
            }
        }
        Ok(())
    }

    /// Whether this is the host's own root.
    pub(super) fn is_host(&self) -> bool {
        self.whose == Whose::Host
    }

    /// Where a granted path really is; `None` and a note when it is not part of this root.
    fn locate(&mut self, path: &Path, spec: &SandboxSpec) -> Result<Option<PathBuf>, MountError> {
        // Ours are there whatever the root filesystem has.
        if is_fixture(path, spec) || etc::is_synthetic(path) || self.is_skipped(path) {
            return Ok(None);
        }
        let reason = if self.visible(path) {
            match self.resolve(path)? {
                Some(real) if is_own(&real, spec) => OWN_PLACE,
                Some(real) if self.visible(&real) => return Ok(Some(real)),
                Some(_) => "it leads to a directory that is not part of this root",
                None => "this root does not have it",
            }
        } else {
            "it is not a system directory of the host; mount it with --mount"
        };
        let (path, reason) = (path.to_owned(), reason.to_owned());
        self.skipped.push(SkippedPath { path, reason });
        Ok(None)
    }

    fn visible(&self, path: &Path) -> bool {
        !self.is_host() || SYSTEM.iter().any(|system| path.starts_with(system))
    }

    fn outside(&self, path: &Path) -> PathBuf {
        self.base.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The path without links, resolved as if the root filesystem were `/`.
    fn resolve(&self, path: &Path) -> Result<Option<PathBuf>, MountError> {
        let fd = match tree::open_beneath(self.dir.as_fd(), path) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS | Errno::LOOP) => return Ok(None),
            Err(error) => return Err(at("look at", path)(error)),
        };
        let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd));
        let real = std::fs::read_link(link).map_err(at("look at", path))?;
        Ok(real.strip_prefix(&self.base).ok().map(|below| Path::new("/").join(below)))
    }
}

/// Why a path of a root filesystem is not shown where it leads.
const OWN_PLACE: &str = "it leads to what every sandbox has of its own";
/// Why it may not be written.
const SYSTEM_PLACE: &str = "a link leads to a directory of the system";

/// Why a writable path may not be what it leads to; nothing when it may.
fn refused(path: &Path, real: &Path, spec: &SandboxSpec) -> Option<&'static str> {
    if path == spec.user.home {
        return (real != path).then_some("it is a link");
    }
    if is_own(real, spec) {
        return Some(OWN_PLACE);
    }
    let of_system = SYSTEM.iter().any(|system| real.starts_with(system));
    (real != path && of_system).then_some(SYSTEM_PLACE)
}

/// Whether a path is a place of ours, or holds all of them, so that nothing of a root filesystem may cover it.
fn is_own(real: &Path, spec: &SandboxSpec) -> bool {
    let hidden = Path::new("/").join(super::HIDDEN);
    real == Path::new("/")
        || real.starts_with(hidden)
        || etc::is_synthetic(real)
        || is_fixture(real, spec)
}

/// Whether the sandbox has the path of its own, so that nothing of the root filesystem is needed.
pub(super) fn is_fixture(path: &Path, spec: &SandboxSpec) -> bool {
    path.starts_with(&spec.user.home)
        || FIXTURES.iter().any(|fixture| path.starts_with(fixture))
        || spec.binds.iter().any(|bind| path.starts_with(&bind.destination))
}
