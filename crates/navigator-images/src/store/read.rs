//! Reading images of the store.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Locked, Store, StoreError};
use crate::config::ImageConfig;
use crate::digest::Digest;
use crate::image::{Image, Layer};
use crate::limits::CONFIG_BYTES;
use crate::manifest::Manifest;
use crate::unpack::Contents;

/// What is written beside a layer's tree.
#[derive(Serialize, Deserialize)]
pub(super) struct LayerRecord {
    #[serde(flatten)]
    pub(super) contents: Contents,
}

/// What is written beside a manifest.
#[derive(Serialize, Deserialize)]
pub(super) struct ImageRecord {
    pub(super) added: Timestamp,
}

impl Store {
    pub(super) fn layer_path(&self, diff_id: &Digest) -> PathBuf {
        self.layers_dir().join(diff_id.hex())
    }

    /// All images, the newest first.
    pub fn images(&self) -> Result<Vec<Image>, StoreError> {
        let locked = self.lock()?;
        let digests = self.image_digests(&locked)?;
        let images = digests.iter().map(|digest| self.read_image(&locked, digest));
        let mut images = images.collect::<Result<Vec<_>, _>>()?;
        images.sort_by_key(|image| (std::cmp::Reverse(image.added), image.digest));
        Ok(images)
    }

    /// Manifest and configuration of an image, as they came.
    pub fn documents(&self, image: &Image) -> Result<(Vec<u8>, Vec<u8>), StoreError> {
        let dir = self.images_dir().join(image.digest.hex());
        Ok((whole(&dir.join("manifest"))?, whole(&dir.join("config"))?))
    }

    pub(super) fn image_digests(&self, _locked: &Locked) -> Result<Vec<Digest>, StoreError> {
        let dir = self.images_dir();
        let paths = super::live::list(&dir).map_err(StoreError::at("list the images", &dir))?;
        let name = |path: &PathBuf| Digest::from_hex(path.file_name()?.to_str()?).ok();
        Ok(paths.iter().filter_map(name).collect())
    }

    pub(super) fn read_image(&self, locked: &Locked, digest: &Digest) -> Result<Image, StoreError> {
        let dir = self.images_dir().join(digest.hex());
        let manifest = Manifest::parse(&whole(&dir.join("manifest"))?)?;
        let config = ImageConfig::parse(&whole(&dir.join("config"))?)?;
        let record: ImageRecord = json(&dir.join("record.json"))?;
        let layers = config.diff_ids.iter().rev().map(|diff_id| self.read_layer(diff_id));
        Ok(Image {
            digest: *digest,
            config_digest: manifest.config.digest,
            names: self.names_of(locked, digest)?,
            layers: layers.collect::<Result<_, _>>()?,
            config,
            added: record.added,
        })
    }

    fn read_layer(&self, diff_id: &Digest) -> Result<Layer, StoreError> {
        let dir = self.layer_path(diff_id);
        let LayerRecord { contents } = json(&dir.join("record.json"))?;
        let Contents { bytes, skipped, opaque, .. } = contents;
        Ok(Layer { diff_id: *diff_id, path: dir.join("tree"), bytes, skipped, opaque })
    }
}

/// All of a file of the store, none of which is larger than a configuration.
pub(super) fn whole(path: &Path) -> Result<Vec<u8>, StoreError> {
    let mut bytes = vec![];
    std::fs::File::open(path)
        .and_then(|file| file.take(CONFIG_BYTES + 1).read_to_end(&mut bytes))
        .and_then(|length| match length as u64 > CONFIG_BYTES {
            true => Err(io::Error::from(io::ErrorKind::FileTooLarge)),
            false => Ok(bytes),
        })
        .map_err(StoreError::at("read from the image store", path))
}

pub(super) fn json<T: DeserializeOwned>(path: &Path) -> Result<T, StoreError> {
    let damaged = |source| StoreError::Damaged { path: path.to_owned(), source };
    serde_json::from_slice(&whole(path)?).map_err(damaged)
}
