//! The links on the way to a path, looked up with a directory as `/`.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// Most links on the way to one file, as for the kernel (`path_resolution(7)`).
pub(crate) const LINKS: usize = 40;

/// A path that was followed.
pub(super) struct Way {
    /// Where each link really is.
    pub(super) links: Vec<PathBuf>,
    /// Where it leads, over no link; nothing when it does not exist.
    pub(super) real: Option<PathBuf>,
}

/// Why a path of a policy is left out.
pub(super) const TURNED: &str = "a link leads there from a place that the sandbox may write";

impl Way {
    /// Whether it leads over a link in one of these places, so that who may write there may have turned it.
    pub(super) fn is_turned(&self, places: &[PathBuf]) -> bool {
        let inside =
            |link: &PathBuf| places.iter().any(|place| link.starts_with(place) && link != place);
        self.links.iter().any(inside)
    }
}

/// Follows a path as far as it exists.
pub(super) fn follow_all(root: BorrowedFd<'_>, path: &Path) -> Result<Way, Errno> {
    let mut left: VecDeque<OsString> = names(path).collect();
    let (mut real, mut links) = (PathBuf::from("/"), vec![]);
    while let Some(name) = left.pop_front() {
        if name == ".." {
            real.pop();
            continue;
        }
        let next = real.join(&name);
        let below = next.strip_prefix("/").unwrap_or(&next);
        match rustix::fs::readlinkat(root, below, vec![]) {
            // No link.
            Err(Errno::INVAL) => real = next,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => {
                return Ok(Way { links, real: None });
            }
            Err(error) => return Err(error),
            Ok(target) => {
                links.push(next);
                if links.len() > LINKS {
                    return Ok(Way { links, real: None });
                }
                follow(target.into_bytes(), &mut real, &mut left);
            }
        }
    }
    Ok(Way { links, real: Some(real) })
}

/// Goes on with a link's target: what it names comes before what is left.
pub(crate) fn follow(target: Vec<u8>, real: &mut PathBuf, left: &mut VecDeque<OsString>) {
    let target = PathBuf::from(OsString::from_vec(target));
    if target.is_absolute() {
        *real = PathBuf::from("/");
    }
    for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
        left.push_front(name);
    }
}

/// The names that a path is made of, `..` included.
pub(crate) fn names(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    let names = path.as_os_str().as_bytes().split(|byte| *byte == b'/');
    let names = names.filter(|name| !matches!(*name, b"" | b"."));
    names.map(|name| OsStr::from_bytes(name).to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_link_is_found_where_it_really_is() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("var/lib")).unwrap();
        symlink("/var", dir.path().join("data")).unwrap();
        symlink("../../usr", dir.path().join("var/lib/turned")).unwrap();
        symlink("self", dir.path().join("self")).unwrap();
        let root = std::fs::File::open(dir.path()).unwrap();
        let links = |path: &str| follow_all(root.as_fd(), Path::new(path)).unwrap().links;
        assert_eq!(links("/data/lib/turned/bin"), ["/data", "/var/lib/turned"].map(PathBuf::from));
        assert!(links("/var/lib").is_empty() && links("/nothing/there").is_empty());
        assert!(links("/self").len() > LINKS);
    }
}
