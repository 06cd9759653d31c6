//! Names that come from the other side, and paths made of them.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Longest part of a path on Linux.
const LONGEST: usize = 255;

/// One part of a path, which stays in its directory: not empty, no dots alone, no slash, no NUL.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<[u8]>);

impl Name {
    /// Takes bytes that are one part of a path.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let bad = matches!(bytes, b"" | b"." | b"..")
            || bytes.len() > LONGEST
            || bytes.iter().any(|byte| matches!(byte, b'/' | 0));
        (!bad).then(|| Self(bytes.into()))
    }

    /// The last part of a local path, if it has one.
    #[must_use]
    pub fn last_of(path: &Path) -> Option<Self> {
        // Not by `Path`, to which `a/.` ends in `a`: who writes the dot means what is in the directory.
        Self::new(split(path.as_os_str().as_bytes()).1)
    }

    /// The name's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name as the system's functions take it.
    #[must_use]
    pub fn as_os(&self) -> &OsStr {
        OsStr::from_bytes(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// A path below the root of a tree, from the root on.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Below(pub(crate) Vec<Name>);

impl Below {
    pub(crate) fn join(&self, name: Name) -> Self {
        let mut parts = self.0.clone();
        parts.push(name);
        Self(parts)
    }

    pub(crate) fn split(&self) -> Option<(&[Name], &Name)> {
        self.0.split_last().map(|(last, parents)| (parents, last))
    }

    pub(crate) fn to_path(&self) -> PathBuf {
        self.0.iter().map(Name::as_os).collect()
    }
}

impl fmt::Debug for Below {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_path().as_os_str().as_bytes().escape_ascii())
    }
}

/// A path on the sandbox's side, as bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct RemotePath(Vec<u8>);

impl RemotePath {
    /// Takes a path as the user wrote it; an empty one is where the server starts.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(if bytes.is_empty() { b".".to_vec() } else { bytes.to_vec() })
    }

    /// The path's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A path in this directory.
    #[must_use]
    pub fn join(&self, name: &Name) -> Self {
        self.join_bytes(name.as_bytes())
    }

    pub(crate) fn join_bytes(&self, name: &[u8]) -> Self {
        let mut joined = self.0.clone();
        if !joined.ends_with(b"/") {
            joined.push(b'/');
        }
        joined.extend_from_slice(name);
        Self(joined)
    }

    pub(crate) fn join_all(&self, names: &[Name]) -> Self {
        names.iter().fold(self.clone(), |path, name| path.join(name))
    }

    /// The directory and the name in it, when the path ends in a name.
    pub(crate) fn split(&self) -> Option<(Self, Name)> {
        let (parent, last) = split(&self.0);
        Some((Self::new(parent), Name::new(last)?))
    }

    pub(crate) fn has_slash(&self) -> bool {
        self.0.ends_with(b"/")
    }
}

/// What is before the last name of a path, and the name.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    let path = &path[..end];
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(0) => (b"/", &path[1..]),
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

impl fmt::Debug for RemotePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_their_directory_are_none() {
        for bad in [&b""[..], b".", b"..", b"a/b", b"/etc", b"../x", b"a\0b", &[b'a'; 256]] {
            assert!(Name::new(bad).is_none(), "{}", bad.escape_ascii());
        }
        for good in [&b"a"[..], b"...", b".x", b"\xff\n\x1b", &[b'a'; 255]] {
            assert!(Name::new(good).is_some(), "{}", good.escape_ascii());
        }
    }

    #[test]
    fn remote_paths_split_at_their_last_name() {
        let split = |path: &[u8]| RemotePath::new(path).split();
        assert_eq!(split(b"a/b/"), Some((RemotePath::new(b"a"), Name::new(b"b").unwrap())));
        assert_eq!(split(b"a"), Some((RemotePath::new(b"."), Name::new(b"a").unwrap())));
        assert_eq!(split(b"/a"), Some((RemotePath::new(b"/"), Name::new(b"a").unwrap())));
        assert_eq!(split(b"a/.."), None);
        assert_eq!(split(b"a/."), None);
        assert_eq!(split(b"/"), None);
    }
}
