//! The image that a sandbox is made from: looked up in the store of this machine, where the driver holds it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use navigator_images::{Store, StoreError};
use navigator_isolation::Layers;

/// An image that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// It is not in the store, or cannot be read there.
    #[error("failed to use the image {name}")]
    Store {
        /// What it was asked for by.
        name: String,
        /// Why.
        source: StoreError,
    },
    /// There is no place for the sandbox's changes.
    #[error("failed to make {path}")]
    Changes {
        /// The place.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// The layers of an image under the changes of a sandbox, and what the image sets.
pub(super) fn layers(
    store: &Path,
    name: &str,
    directory: &Path,
) -> Result<(Layers, BTreeMap<String, String>), ImageError> {
    let failed = |source| ImageError::Store { name: name.to_owned(), source };
    let store = Store::open(store).map_err(failed)?;
    let image = store.find(name).map_err(failed)?;
    let changes = directory.join("changes");
    match std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700)
        .create(&changes)
    {
        Err(source) if source.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(ImageError::Changes { path: changes, source });
        }
        Ok(()) | Err(_) => {}
    }
    let lower = image.visible_layers();
    Ok((Layers { lower, changes: Some(changes) }, image.config.env.into_iter().collect()))
}
