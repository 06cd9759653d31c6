//! Making an image of what a sandbox has changed.

use std::io;
use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::copy::{CopyError, Purpose, copy};
use crate::digest::Digest;
use crate::image::Image;
use crate::manifest::{CONFIG, Descriptor, LAYER, Manifest, ManifestError};
use crate::pack::pack_tree;
use crate::reference::Reference;
use crate::store::{Store, StoreError};

/// A snapshot that failed; nothing of it stays.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Copying what has changed.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// Reading the copy.
    #[error("failed to pack the new layer")]
    Pack(#[source] io::Error),
    /// The parent's configuration.
    #[error("failed to read the configuration of {parent}")]
    Config {
        /// The parent.
        parent: Digest,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The parent.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Makes an image of `parent` and one more layer: a copy of the upper directory, which its sandbox may still write.
    /// The copy is shared with the original where the file system can.
    pub fn commit(
        &self,
        parent: &Image,
        upper: &Path,
        name: Option<&Reference>,
        comment: &str,
    ) -> Result<Image, CommitError> {
        let adding = self.begin()?;
        for layer in &parent.layers {
            if !adding.has_layer(&layer.diff_id)? {
                return Err(StoreError::Gone { digest: parent.digest }.into());
            }
        }
        let (manifest, config) = self.documents(parent)?;
        let layer = adding.unfinished()?;
        let tree = layer.path.join("tree");
        let contents = copy(upper, &tree, Purpose::Layer, &self.limits())?;
        let (diff_id, size) = pack_tree(&tree, false, io::sink()).map_err(CommitError::Pack)?;
        adding.keep(&diff_id, contents, &layer.path)?;
        let failed = |source| CommitError::Config { parent: parent.digest, source };
        let config = extended(&config, &diff_id, comment).map_err(failed)?;
        let mut layers = Manifest::parse(&manifest)?.layers;
        layers.push(Descriptor::new(LAYER, diff_id, size));
        let entry = Descriptor::new(CONFIG, Digest::of(&config), config.len() as u64);
        let manifest = serde_json::to_vec(&Manifest::new(entry, layers)).map_err(failed)?;
        Ok(adding.finish(&manifest, &config, name)?)
    }
}

/// A configuration with one more layer.
fn extended(config: &[u8], diff_id: &Digest, comment: &str) -> serde_json::Result<Vec<u8>> {
    let mut config: Value = serde_json::from_slice(config)?;
    let now = Timestamp::now().to_string();
    config["created"] = now.clone().into();
    let step = json!({ "created": now, "created_by": "navigator snapshot", "comment": comment });
    // Parsed when the parent was added: the list is there.
    if let Some(list) = config["rootfs"]["diff_ids"].as_array_mut() {
        list.push(diff_id.to_string().into());
    }
    match config["history"].as_array_mut() {
        Some(history) => history.push(step),
        None => config["history"] = json!([step]),
    }
    serde_json::to_vec(&config)
}
