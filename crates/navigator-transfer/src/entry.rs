//! What a tree is made of, and how much of it there may be.

use std::path::PathBuf;

use crate::error::TransferError;
use crate::name::{Below, Name};

/// Entries of a tree: enough for large repositories, and a bound for listings without end.
pub(crate) const MAX_ENTRIES: usize = 1_000_000;
/// Directories within directories; also ends walks through links that lead back.
pub(crate) const MAX_DEPTH: usize = 128;
/// What the names of files that are not whole end with.
const PART: &str = ".navigator-part";

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    File,
    Link(Vec<u8>),
    Special,
}

/// One entry of a tree.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) path: Below,
    pub(crate) kind: Kind,
    pub(crate) size: u64,
    pub(crate) mode: u32,
    pub(crate) mtime: u32,
}

impl Entry {
    pub(crate) fn bytes(&self) -> u64 {
        if self.kind == Kind::File { self.size } else { 0 }
    }
}

/// Adds an entry while there may be more.
pub(crate) fn push(entries: &mut Vec<Entry>, entry: Entry) -> Result<(), TransferError> {
    let too_much = |what, limit| TransferError::TooMuch { path: entry.path.to_path(), what, limit };
    if entries.len() >= MAX_ENTRIES {
        return Err(too_much("entries", MAX_ENTRIES));
    }
    if entry.path.0.len() > MAX_DEPTH {
        return Err(too_much("levels", MAX_DEPTH));
    }
    entries.push(entry);
    Ok(())
}

/// The name under which a file arrives. It names the source's size and time, so that another version of the file
/// never goes on where this one ended.
pub(crate) fn part_name(name: &Name, size: u64, mtime: u32) -> Name {
    let mut part = name.as_bytes().to_vec();
    let tail = format!(".{size:x}-{mtime:x}{PART}");
    if part.len() + tail.len() > 255 {
        use sha2::{Digest, Sha256};
        part = Sha256::digest(&part).iter().flat_map(|b| format!("{b:02x}").into_bytes()).collect();
    }
    part.extend_from_slice(tail.as_bytes());
    Name::new(&part).unwrap_or_else(|| name.clone())
}

/// Whether a name is that of a file which is not whole.
pub(crate) fn is_part(name: &Name) -> bool {
    name.as_bytes().ends_with(PART.as_bytes())
}

/// Whether a link of the sandbox leads to a place in its own tree: up no further than the tree's root, then down.
/// Going up again behind a name could leave through another link.
pub(crate) fn stays_inside(link: &Below, target: &[u8]) -> bool {
    let depth = link.0.len().saturating_sub(1);
    let mut parts = target.split(|byte| *byte == b'/').filter(|part| *part != b".").peekable();
    if target.is_empty() || target.starts_with(b"/") || target.contains(&0) {
        return false;
    }
    let mut up = 0;
    while parts.next_if(|part| *part == b"..").is_some() {
        up += 1;
    }
    up <= depth && parts.all(|part| part != b"..")
}

/// The path of an entry as it is shown.
pub(crate) fn shown(path: &Below) -> PathBuf {
    if path.0.is_empty() { PathBuf::from(".") } else { path.to_path() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn below(path: &str) -> Below {
        Below(path.split('/').filter_map(|part| Name::new(part.as_bytes())).collect())
    }

    #[test]
    fn links_that_could_leave_the_tree_are_found() {
        for (link, target) in [
            ("a", "/etc/passwd"),
            ("a", "../x"),
            ("d/a", "../../x"),
            ("d/a", "b/../../x"),
            ("a", "b/.."),
            ("a", ""),
            ("a", "./.."),
        ] {
            assert!(!stays_inside(&below(link), target.as_bytes()), "{link} -> {target}");
        }
        for (link, target) in [("a", "b"), ("d/a", "../x"), ("d/e/a", "../../x/y"), ("a", "./b/c")]
        {
            assert!(stays_inside(&below(link), target.as_bytes()), "{link} -> {target}");
        }
    }

    #[test]
    fn long_names_have_parts_that_fit() {
        let name = Name::new(&[b'a'; 255]).unwrap();
        let part = part_name(&name, u64::MAX, u32::MAX);
        assert!(part != name && is_part(&part));
    }
}
