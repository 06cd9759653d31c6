//! What a root filesystem holds before its sandbox starts, looked at from outside: links lead nowhere but into it, and
//! nothing that a sandbox changed in it is seen.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::mounts::links::{LINKS, follow, names};
use crate::spec::RootView;

/// Marks a directory of a layer that hides those of the layers below (`userxattr` of overlayfs).
const OPAQUE: &str = "user.overlay.opaque";
/// Without waiting: a pipe there must not hold up the start.
const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

impl RootView {
    /// Opens a regular file; nothing when there is none.
    ///
    /// # Errors
    /// When it cannot be looked at, or is something else.
    pub fn open(&self, path: &Path) -> io::Result<Option<File>> {
        let opened = match self {
            Self::Host => open_in(Path::new("/"), path),
            Self::Directory(root) => open_in(root, path),
            Self::Layers(layers) => open_layered(&layers.lower, path),
        };
        let file = match opened {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) != FileType::RegularFile {
            return Err(io::Error::other("it is no regular file"));
        }
        Ok(Some(file.into()))
    }
}

fn open_in(root: &Path, path: &Path) -> Result<OwnedFd, Errno> {
    let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(root, directory, Mode::empty())?;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(root, path, READ, Mode::empty(), resolve)
}

/// The same through layers, the uppermost first.
fn open_layered(layers: &[PathBuf], path: &Path) -> Result<OwnedFd, Errno> {
    let mut left: VecDeque<OsString> = names(path).collect();
    let (mut real, mut links) = (PathBuf::from("/"), 0);
    while let Some(name) = left.pop_front() {
        if name == ".." {
            real.pop();
            continue;
        }
        let found = Found::of(layers, &real.join(&name))?;
        if FileType::from_raw_mode(found.stat.st_mode) != FileType::Symlink {
            real.push(name);
            continue;
        }
        links += 1;
        if links > LINKS {
            return Err(Errno::LOOP);
        }
        let target = rustix::fs::readlinkat(&found.directory, name, vec![])?;
        follow(target.into_bytes(), &mut real, &mut left);
    }
    let found = Found::of(layers, &real)?;
    let name = real.file_name().ok_or(Errno::ISDIR)?;
    rustix::fs::openat(&found.directory, name, READ | OFlags::NOFOLLOW, Mode::empty())
}

/// An entry of the uppermost layer that has it.
struct Found {
    directory: OwnedFd,
    stat: Stat,
}

impl Found {
    /// Finds it by a path in which only the last name may be a link.
    fn of(layers: &[PathBuf], path: &Path) -> Result<Self, Errno> {
        let names: Vec<OsString> = names(path).collect();
        for layer in layers {
            match Self::in_layer(layer, &names)? {
                Step::Here(found) => return Ok(found),
                Step::Hidden => break,
                Step::Below => {}
            }
        }
        Err(Errno::NOENT)
    }

    fn in_layer(layer: &Path, names: &[OsString]) -> Result<Step, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut directory = rustix::fs::open(layer, flags, Mode::empty())?;
        let mut opaque = false;
        let Some((last, above)) = names.split_last() else { return Err(Errno::ISDIR) };
        let missing = |opaque| Ok(if opaque { Step::Hidden } else { Step::Below });
        for name in above {
            match rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {}
                Ok(_) => return Ok(Step::Hidden),
                Err(Errno::NOENT) => return missing(opaque),
                Err(error) => return Err(error),
            }
            directory = rustix::fs::openat(&directory, name, flags, Mode::empty())?;
            opaque |= is_opaque(&directory);
        }
        match rustix::fs::statat(&directory, last, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if is_whiteout(&stat) => Ok(Step::Hidden),
            Ok(stat) => Ok(Step::Here(Self { directory, stat })),
            Err(Errno::NOENT) => missing(opaque),
            Err(error) => Err(error),
        }
    }
}

/// What one layer says about an entry.
enum Step {
    Here(Found),
    /// There is none, whatever the layers below have.
    Hidden,
    /// Nothing: the layers below may have it.
    Below,
}

fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

fn is_opaque(directory: &OwnedFd) -> bool {
    let mut value = [0];
    matches!(rustix::fs::fgetxattr(directory, OPAQUE, &mut value), Ok(1) if value == *b"y")
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::spec::Layers;

    fn text(root: &RootView, path: &str) -> Option<String> {
        let mut text = String::new();
        root.open(Path::new(path)).unwrap()?.read_to_string(&mut text).unwrap();
        Some(text)
    }

    fn write(dir: &Path, path: &str, text: &str) {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn whiteout(path: &Path) {
        let mode = Mode::from_raw_mode(0);
        rustix::fs::mknodat(rustix::fs::CWD, path, FileType::CharacterDevice, mode, 0).unwrap();
    }

    #[test]
    fn layers_hide_what_is_below_and_links_lead_through_all_of_them() {
        let (upper, lower) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for name in ["usr/bin/bash", "both", "gone", "opaque/old", "replaced/by", "etc/kept"] {
            write(lower.path(), name, "lower");
        }
        write(upper.path(), "both", "upper");
        write(upper.path(), "opaque/new", "upper");
        write(upper.path(), "replaced", "upper");
        write(upper.path(), "etc/more", "upper");
        let value = b"y";
        let opaque = upper.path().join("opaque");
        rustix::fs::setxattr(opaque, OPAQUE, value, rustix::fs::XattrFlags::empty()).unwrap();
        whiteout(&upper.path().join("gone"));
        symlink("usr/bin", upper.path().join("bin")).unwrap();
        symlink("/../../bin/../bin/bash", lower.path().join("shell")).unwrap();
        symlink("loop", lower.path().join("loop")).unwrap();
        let lower = [&upper, &lower].map(|layer| layer.path().to_owned()).to_vec();
        let root = RootView::Layers(Layers { lower, changes: None });
        for (path, expected) in [
            ("/both", Some("upper")),
            ("/gone", None),
            ("/opaque/old", None),
            ("/opaque/new", Some("upper")),
            ("/replaced/by", None),
            ("/etc/kept", Some("lower")),
            ("/etc/more", Some("upper")),
            ("/bin/bash", Some("lower")),
            ("/shell", Some("lower")),
            ("/nothing/there", None),
        ] {
            assert_eq!(text(&root, path).as_deref(), expected, "{path}");
        }
        assert!(root.open(Path::new("/loop")).is_err() && root.open(Path::new("/etc")).is_err());
    }

    #[test]
    fn links_of_a_directory_do_not_leave_it() {
        let dir = tempfile::tempdir().unwrap();
        symlink("/etc/passwd", dir.path().join("outside")).unwrap();
        symlink("../../../../../etc/passwd", dir.path().join("up")).unwrap();
        let root = RootView::Directory(dir.path().to_owned());
        assert!(text(&root, "/outside").is_none() && text(&root, "/up").is_none());
        assert!(text(&RootView::Host, "/etc/passwd").is_some());
    }
}
