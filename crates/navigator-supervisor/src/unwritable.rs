//! Which granted paths nobody in a sandbox of layers can change, as its own root shows them.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use navigator_isolation::{Access, Layers, SandboxSpec};
use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags, openat2, readlinkat};
use rustix::io::Errno;

use crate::start::resolved;

/// The places below which nothing can be changed, by their real paths; and beside them links of the top directory, such
/// as `/lib`, that lead straight to such a place. Asked before the first program runs.
pub(crate) fn of_layers(spec: &SandboxSpec, layers: &Layers, root: &OwnedFd) -> Vec<String> {
    if is_mounted_for_writing(spec, layers) {
        return vec![];
    }
    let binds = spec.binds.iter().map(|bind| &bind.destination);
    let writable = spec.read_write.iter().chain(binds).chain([&spec.user.home]);
    fixed(root, &spec.read_only, writable)
}

/// Whether the machine's directories that the root is made of are also in the sandbox, under another name.
fn is_mounted_for_writing(spec: &SandboxSpec, layers: &Layers) -> bool {
    let mounted = spec.binds.iter().filter(|bind| bind.access == Access::ReadWrite);
    let mounted: Vec<&PathBuf> = mounted.map(|bind| &bind.source).chain(&spec.home).collect();
    layers.lower.iter().chain(&layers.changes).any(|layer| {
        let real = layer.canonicalize();
        let layer = real.as_ref().unwrap_or(layer);
        mounted.iter().any(|place| layer.starts_with(place) || place.starts_with(layer))
    })
}

fn fixed<'a>(
    root: &OwnedFd,
    granted: &[PathBuf],
    writable: impl Iterator<Item = &'a PathBuf>,
) -> Vec<String> {
    // What is not there has only its name.
    let writable = writable.map(|path| real(root, path).unwrap_or_else(|| path.clone())).collect();
    let mut found = Found { root, writable, parts: vec![] };
    for path in granted {
        found.keep_granted(path);
    }
    found.parts.into_iter().map(|path| path.display().to_string()).collect()
}

struct Found<'a> {
    root: &'a OwnedFd,
    writable: Vec<PathBuf>,
    parts: Vec<PathBuf>,
}

impl Found<'_> {
    fn keep_granted(&mut self, path: &Path) {
        // What is not there may come to be by a link that leads to where files can be made.
        let Some(real) = real(self.root, path) else { return };
        // They lead elsewhere by links.
        if ["/", "/proc", "/dev", "/sys"].iter().any(|other| real == Path::new(other)) {
            return;
        }
        self.keep_parts(&real);
        if path != real && self.parts.contains(&real) && is_straight(self.root, path, &real) {
            self.parts.push(path.to_owned());
        }
    }

    /// Adds a real path, or the parts of it beside those that can be written.
    fn keep_parts(&mut self, real: &Path) {
        if self.writable.iter().any(|place| real.starts_with(place)) {
            return;
        }
        if !self.writable.iter().any(|place| place.starts_with(real)) {
            return self.parts.push(real.to_owned());
        }
        // What cannot be listed is not trusted, and neither is what a link leads to.
        for name in entries(self.root, real).unwrap_or_default() {
            self.keep_parts(&real.join(name));
        }
    }
}

/// Where a path leads inside.
fn real(root: &OwnedFd, path: &Path) -> Option<PathBuf> {
    resolved(root, path.to_str()?).map(PathBuf::from)
}

/// Whether a path is a link of the top directory that leads to `real` over no other link.
fn is_straight(root: &OwnedFd, path: &Path, real: &Path) -> bool {
    let Ok(name) = path.strip_prefix("/") else { return false };
    let Ok(target) = readlinkat(root, name, Vec::new()) else { return false };
    let is_top = name.components().count() == 1;
    is_top && target.to_str().is_ok_and(|target| Path::new("/").join(target) == real)
}

/// Names in a directory, without links.
fn entries(root: &OwnedFd, path: &Path) -> Result<Vec<String>, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
    let mut names = vec![];
    for entry in Dir::new(openat2(root, path, flags, Mode::empty(), resolve)?)? {
        let entry = entry?;
        let name = entry.file_name().to_str().map_err(|_| Errno::ILSEQ)?;
        if entry.file_type() != FileType::Symlink && !matches!(name, "." | "..") {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// What is fixed of `/usr`, `/lib` and `/opt` in a root that the test's own directory is: real paths are those
    /// outside, so granted and writable ones are too.
    fn parts(writable: &[&str]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        for below in ["usr/lib", "usr/local/inside", "opt/app", "opt/other", "sandbox"] {
            std::fs::create_dir_all(top.join(below)).unwrap();
        }
        symlink("../sandbox", top.join("opt/link")).unwrap();
        let root = OwnedFd::from(std::fs::File::open("/").unwrap());
        let at = |names: &[&str]| names.iter().map(|name| top.join(name)).collect::<Vec<_>>();
        let writable = at(writable);
        let found =
            fixed(&root, &at(&["usr", "opt", "opt/link", "opt/link/missing"]), writable.iter());
        let prefix = top.display().to_string();
        let mut found: Vec<String> =
            found.iter().map(|path| path.replacen(&prefix, "", 1)).collect();
        found.sort();
        found
    }

    #[test]
    fn what_is_beside_a_writable_part_is_fixed_and_what_a_link_leads_to_is_not() {
        assert_eq!(parts(&["sandbox"]), ["/opt", "/usr"]);
        assert_eq!(parts(&["sandbox", "usr/local/inside"]), ["/opt", "/usr/lib"]);
        assert_eq!(parts(&["sandbox", "opt/app"]), ["/opt/other", "/usr"]);
        assert_eq!(parts(&["opt/link", "usr"]), ["/opt"]);
        assert_eq!(parts(&[""]), Vec::<String>::new());
    }

    #[test]
    fn a_straight_link_of_the_top_directory_is_fixed_as_what_it_leads_to() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("usr/lib")).unwrap();
        symlink("usr/lib", dir.path().join("lib")).unwrap();
        symlink("lib", dir.path().join("again")).unwrap();
        let root = OwnedFd::from(std::fs::File::open(dir.path()).unwrap());
        let real = Path::new("/usr/lib");
        assert!(is_straight(&root, Path::new("/lib"), real));
        assert!(!is_straight(&root, Path::new("/again"), real));
        assert!(!is_straight(&root, Path::new("/usr/lib"), real));
    }
}
