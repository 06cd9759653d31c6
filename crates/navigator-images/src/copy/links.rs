//! Files with several names: their copies have as many.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::AtFlags;

use crate::beneath;
use crate::limits::DIRECTORY_BYTES;

/// First names of files that have several.
pub(super) struct Links {
    root: OwnedFd,
    first: HashMap<(u64, u64), PathBuf>,
    bytes: usize,
}

impl Links {
    pub(super) fn new(root: OwnedFd) -> Self {
        Self { root, first: HashMap::new(), bytes: 0 }
    }

    /// Whether more names would take too much memory.
    pub(super) fn is_full(&self) -> bool {
        self.bytes > DIRECTORY_BYTES
    }

    /// Notes where the copy of a file is.
    pub(super) fn copied(&mut self, file: (u64, u64), path: &Path) {
        self.bytes += path.as_os_str().len() + size_of::<((u64, u64), PathBuf)>();
        self.first.insert(file, path.to_owned());
    }

    /// Gives the copy of a file another name, if there is one.
    pub(super) fn link(
        &self,
        file: (u64, u64),
        directory: BorrowedFd<'_>,
        name: &OsStr,
    ) -> rustix::io::Result<bool> {
        let Some(path) = self.first.get(&file) else { return Ok(false) };
        let (Some(parent), Some(first)) = (path.parent(), path.file_name()) else {
            return Ok(false);
        };
        let parent = beneath::open_directory(self.root.as_fd(), parent)?;
        rustix::fs::linkat(&parent, first, directory, name, AtFlags::empty())?;
        Ok(true)
    }
}
