//! Writing files of the store so that they are there whole or not at all.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use serde::Serialize;
use uuid::Uuid;

use super::{Locked, Store, StoreError};

/// Makes a directory for this user alone, or checks that it is one.
pub(super) fn private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let found = std::fs::symlink_metadata(path)?;
    let own = found.uid() == rustix::process::geteuid().as_raw();
    if !found.is_dir() || !own || found.mode() & 0o022 != 0 {
        return Err(io::Error::other(
            "it must be a directory of this user that nobody else can write",
        ));
    }
    Ok(())
}

/// Writes a new file and sees it onto the disk.
pub(super) fn file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Sees a directory's entries onto the disk.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

impl Store {
    /// Replaces a file of the store.
    pub(super) fn replace(
        &self,
        _locked: &Locked,
        path: &Path,
        value: &impl Serialize,
    ) -> Result<(), StoreError> {
        let new = self.root.join("tmp").join(Uuid::now_v7().to_string());
        let bytes = serde_json::to_vec_pretty(value).map_err(io::Error::from);
        let written =
            bytes.and_then(|bytes| file(&new, &bytes)).and_then(|()| std::fs::rename(&new, path));
        written
            .and_then(|()| path.parent().map_or(Ok(()), sync_directory))
            .map_err(StoreError::at("write to the image store", path))
    }
}
