//! Paths of entries, taken apart before the file system sees them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{EntryError, OPAQUE_NAME, WHITEOUT};
use crate::limits::{DEPTH, NAME_BYTES, PATH_BYTES};

/// The path of an entry in the layer: a directory and a name in it.
#[derive(Debug)]
pub(super) struct Name<'a> {
    pub(super) parent: &'a Path,
    pub(super) last: &'a OsStr,
}

impl<'a> Name<'a> {
    /// Reads a path; nothing when it is the layer's own directory. A leading slash means the layer's directory.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Option<Self>, EntryError> {
        if bytes.is_empty() || bytes.contains(&0) {
            return Err(EntryError::NoPath);
        }
        if bytes.len() > PATH_BYTES {
            return Err(EntryError::Long);
        }
        let start = bytes.iter().position(|byte| !matches!(byte, b'/')).unwrap_or(bytes.len());
        let path = Path::new(OsStr::from_bytes(&bytes[start..]));
        let parts =
            || bytes.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
        if parts().any(|part| part == b"..") {
            return Err(EntryError::Upwards);
        }
        if parts().any(|part| part.len() > NAME_BYTES) || parts().count() > DEPTH {
            return Err(EntryError::Long);
        }
        // A directory within whiteouts is nothing that any layer says.
        let above = parts().count().saturating_sub(1);
        if parts().take(above).any(|part| part.starts_with(WHITEOUT)) {
            return Err(EntryError::Whiteout);
        }
        let Some(last) = path.file_name() else { return Ok(None) };
        Ok(Some(Self { parent: path.parent().unwrap_or(Path::new("")), last }))
    }

    /// Whether it hides something instead of being something.
    pub(super) fn is_whiteout(&self) -> bool {
        self.last.as_bytes().starts_with(WHITEOUT)
    }
}

/// The name that a whiteout hides.
pub(super) fn hidden_by(whiteout: &OsStr) -> Result<&OsStr, EntryError> {
    let hidden = whiteout.as_bytes().strip_prefix(WHITEOUT).unwrap_or_default();
    // A second prefix marks what storage drivers keep for themselves, of which only the opaque mark is for layers.
    let reserved = hidden.starts_with(WHITEOUT) || whiteout.as_bytes() == OPAQUE_NAME;
    if matches!(hidden, b"" | b"." | b"..") || reserved {
        return Err(EntryError::Whiteout);
    }
    Ok(OsStr::from_bytes(hidden))
}

/// Where a symbolic link leads: data, as long as the system takes it.
pub(super) fn link_target(bytes: &[u8]) -> Result<&OsStr, EntryError> {
    if bytes.is_empty() || bytes.contains(&0) {
        return Err(EntryError::NoPath);
    }
    if bytes.len() >= PATH_BYTES { Err(EntryError::Long) } else { Ok(OsStr::from_bytes(bytes)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_beneath_the_layer_or_nothing() {
        for (path, parent, last) in [
            ("a", "", "a"),
            ("./a/b", "./a", "b"),
            ("/a/b/", "a", "b"),
            ("//a", "", "a"),
            ("a//b/.", "a", "b"),
        ] {
            let name = Name::read(path.as_bytes()).unwrap().unwrap();
            assert_eq!((name.parent, name.last), (Path::new(parent), OsStr::new(last)), "{path}");
        }
        for own in ["/", ".", "./", "././/"] {
            assert!(Name::read(own.as_bytes()).unwrap().is_none(), "{own}");
        }
        let long = "a".repeat(256);
        let deep = "a/".repeat(257);
        for wrong in ["", "..", "a/..", "../a", "/../a", "a/../b", "a\0b", ".wh.a/b", &long, &deep]
        {
            assert!(Name::read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn whiteouts_hide_names_only() {
        assert_eq!(hidden_by(OsStr::new(".wh.a")).unwrap(), "a");
        for wrong in [".wh.", ".wh..", ".wh...", ".wh..wh.a", ".wh..wh..opq", ".wh..wh.plnk"] {
            assert!(hidden_by(OsStr::new(wrong)).is_err(), "{wrong}");
        }
    }
}
