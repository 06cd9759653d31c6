//! The store: images and their layers in one directory, shared by processes that know nothing of each other.
//!
//! ```text
//! lock                  held for moments, by whoever changes what is named here
//! names.json            what images are called
//! images/HEX/           manifest, configuration, record; HEX names the manifest
//! layers/HEX/           tree (what is mounted), record; HEX names the uncompressed archive
//! held/HOLDER           what somebody uses until it is released
//! live/ID, tmp/ID/      what a process uses while it lives, and what it has not finished
//! ```
//!
//! Everything appears by a rename, whole. What a process leaves when it is killed is in `tmp`, and the kernel lets go of
//! its lock in `live`, so that the next one knows.

mod adding;
mod error;
mod hold;
mod live;
mod names;
mod prune;
mod read;
mod write;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};

pub use self::adding::{Adding, LayerError};
pub use self::error::StoreError;
pub use self::hold::Lease;
pub use self::prune::{Pruned, Scope};
use crate::limits::Limits;

/// Directories of the store.
const DIRECTORIES: [&str; 5] = ["images", "layers", "held", "live", "tmp"];

/// A store of images.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    limits: Limits,
}

impl Store {
    /// Opens the store in a directory, which is made if it is not there.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let store = Self { root: root.to_owned(), limits: Limits::default() };
        write::private_directory(root).map_err(StoreError::at("open the image store", root))?;
        for name in DIRECTORIES {
            let path = root.join(name);
            write::private_directory(&path)
                .map_err(StoreError::at("open the image store", &path))?;
        }
        Ok(store)
    }

    /// The same with other bounds for what comes in.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Waits until nobody else changes what is named here.
    fn lock(&self) -> Result<Locked, StoreError> {
        let path = self.root.join("lock");
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let locked = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR).and_then(|file| {
            rustix::io::retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockExclusive))?;
            Ok(Locked { _file: file })
        });
        locked.map_err(|error| StoreError::at("lock the image store", &path)(error.into()))
    }

    fn images_dir(&self) -> PathBuf {
        self.root.join("images")
    }

    fn layers_dir(&self) -> PathBuf {
        self.root.join("layers")
    }
}

/// The store's lock, until it is dropped.
#[must_use]
struct Locked {
    _file: OwnedFd,
}
