//! An image as it is kept: what it is called, what it asks for, and where its layers are.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::config::ImageConfig;
use crate::digest::Digest;
use crate::reference::Reference;

/// An image in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Digest of its manifest: what it is.
    pub digest: Digest,
    /// Digest of its configuration, which other tools call the image's identifier.
    pub config_digest: Digest,
    /// What it is called here.
    pub names: Vec<Reference>,
    /// What it asks for.
    pub config: ImageConfig,
    /// Its layers, the highest first: the order in which overlayfs takes them.
    pub layers: Vec<Layer>,
    /// When it came into the store.
    pub added: Timestamp,
}

/// A layer in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Digest of its uncompressed archive.
    pub diff_id: Digest,
    /// The directory; mounted by overlayfs with `userxattr`, and never written.
    pub path: PathBuf,
    /// Bytes of its files.
    pub bytes: u64,
    /// Devices and pipes that were left out.
    pub skipped: u64,
    /// Whether it hides all layers below it.
    pub opaque: bool,
}

impl Image {
    /// Bytes of the files of all layers.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.layers.iter().map(|layer| layer.bytes).fold(0, u64::saturating_add)
    }

    /// Directories to mount, the highest first, without layers of which nothing is seen.
    #[must_use]
    pub fn visible_layers(&self) -> Vec<PathBuf> {
        let seen = self
            .layers
            .iter()
            .position(|layer| layer.opaque)
            .map_or(self.layers.len(), |at| at + 1);
        self.layers[..seen].iter().map(|layer| layer.path.clone()).collect()
    }
}
