//! Who uses images: sandboxes that stay, by a file; processes, by living.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::live::{Session, Use};
use super::{Locked, Store, StoreError};
use crate::digest::Digest;
use crate::image::Image;

/// Characters of a holder's name; sandboxes are named by identifiers of 36.
const HOLDER_LENGTH: usize = 128;

/// What a holder uses.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Holding {
    pub(super) image: Digest,
    pub(super) layers: Vec<Digest>,
}

/// An image that this process uses: it stays until this is dropped, or the process and those it forked have ended.
#[derive(Debug)]
#[must_use]
pub struct Lease {
    _session: Session,
}

impl Store {
    /// Keeps an image until `release`, whatever happens to its names or to this process. What the holder held before is
    /// held no longer.
    pub fn hold(&self, image: &Image, holder: &str) -> Result<(), StoreError> {
        let path = self.holder_path(holder)?;
        let locked = self.lock()?;
        self.check_there(&locked, image)?;
        let layers = image.layers.iter().map(|layer| layer.diff_id).collect();
        self.replace(&locked, &path, &Holding { image: image.digest, layers })
    }

    /// Ends what `hold` began; a holder of nothing is fine.
    pub fn release(&self, holder: &str) -> Result<(), StoreError> {
        let path = self.holder_path(holder)?;
        let _locked = self.lock()?;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::at("release an image", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Keeps an image while this process lives.
    pub fn lease(&self, image: &Image) -> Result<Lease, StoreError> {
        let session = Session::begin(self)?;
        let locked = self.lock()?;
        self.check_there(&locked, image)?;
        session.uses(Use::Image(image.digest))?;
        for layer in &image.layers {
            session.uses(Use::Layer(layer.diff_id))?;
        }
        drop(locked);
        Ok(Lease { _session: session })
    }

    /// Everything that holders use.
    pub(super) fn holdings(&self, _locked: &Locked) -> Result<Vec<Holding>, StoreError> {
        let dir = self.root.join("held");
        let paths =
            super::live::list(&dir).map_err(StoreError::at("read who holds images", &dir))?;
        paths.iter().map(|path| super::read::json(path)).collect()
    }

    fn check_there(&self, _locked: &Locked, image: &Image) -> Result<(), StoreError> {
        let manifest = self.images_dir().join(image.digest.hex()).exists();
        let layers = image.layers.iter().all(|layer| self.layer_path(&layer.diff_id).exists());
        if manifest && layers { Ok(()) } else { Err(StoreError::Gone { digest: image.digest }) }
    }

    fn holder_path(&self, holder: &str) -> Result<PathBuf, StoreError> {
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let length = (1..=HOLDER_LENGTH).contains(&holder.len());
        if !length || !holder.chars().all(fine) || holder.starts_with('.') {
            return Err(StoreError::Holder { holder: holder.into() });
        }
        Ok(self.root.join("held").join(holder))
    }
}
