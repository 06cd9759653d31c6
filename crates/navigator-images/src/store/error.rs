//! What can go wrong with the store itself.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::ConfigError;
use crate::digest::Digest;
use crate::manifest::ManifestError;

/// A failed operation on the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or directory of the store.
    #[error("failed to {doing}: {path}")]
    File {
        /// What was to be done.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file of the store that says nothing sensible.
    #[error("failed to read {path}, which is damaged")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// No image has this name.
    #[error("failed to find the image `{name}`")]
    NotFound {
        /// The name.
        name: String,
    },
    /// Several images begin with these digits.
    #[error("failed to find one image: several begin with `{name}`")]
    Ambiguous {
        /// The digits.
        name: String,
    },
    /// The image or one of its layers went away.
    #[error("failed to use the image {digest}: it was removed")]
    Gone {
        /// Of which manifest.
        digest: Digest,
    },
    /// A holder's name that cannot be a file's.
    #[error(
        "failed to hold an image for `{holder}`: the name must be letters, digits, `-`, `_` and `.`"
    )]
    Holder {
        /// The name.
        holder: String,
    },
    /// An image whose bytes are not those that its name says.
    #[error("failed to verify {what}: its digest is {found}, not {expected}")]
    Digest {
        /// Which part.
        what: &'static str,
        /// What it should be.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A layer that the image names was not added.
    #[error("failed to add the image: its layer {diff_id} was not added")]
    Layer {
        /// Which.
        diff_id: Digest,
    },
}

impl StoreError {
    pub(crate) fn at(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { doing, path, source }
    }
}
