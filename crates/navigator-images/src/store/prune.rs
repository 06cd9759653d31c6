//! Removing what nobody uses. Others may add, hold and remove at the same time.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::live::{Session, Use};
use super::{Locked, Store, StoreError};
use crate::digest::Digest;
use crate::image::Image;

/// Which images may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those without a name.
    Unnamed,
    /// This one, if it has no name.
    One(Digest),
    /// All that nobody holds, with their names.
    Unused,
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Images.
    pub images: u64,
    /// Layers.
    pub layers: u64,
    /// Bytes of disk.
    pub bytes: u64,
}

impl Store {
    /// Removes images that nobody uses, layers that no image and nobody uses, and what dead processes left.
    pub fn prune(&self, scope: Scope) -> Result<Pruned, StoreError> {
        let session = Session::begin(self)?;
        let trash = session.tmp.join("pruned");
        super::write::private_directory(&trash)
            .map_err(StoreError::at("remove from the image store", &trash))?;
        // What is moved away under the lock nobody can find any more; removing it takes longer than others should wait.
        let locked = self.lock()?;
        let images = self.unused_images(&locked, scope)?;
        let kept = self.forget_images(&locked, &images, &trash)?;
        let layers = self.unused_layers(&locked, &kept)?;
        for layer in &layers {
            discard_to(layer, &trash, "layer-")?;
        }
        drop(locked);
        let bytes = super::live::discard(&trash)
            .map_err(StoreError::at("remove from the image store", &trash))?;
        Ok(Pruned { images: images.len() as u64, layers: layers.len() as u64, bytes })
    }

    /// Removes a name, and the image if that was its last and nobody holds it.
    pub fn remove(&self, image: &Image) -> Result<Pruned, StoreError> {
        for name in &image.names {
            self.untag(name)?;
        }
        self.prune(Scope::One(image.digest))
    }

    fn unused_images(&self, locked: &Locked, scope: Scope) -> Result<Vec<Digest>, StoreError> {
        let mut used: BTreeSet<_> = self.holdings(locked)?.iter().map(|held| held.image).collect();
        used.extend(self.in_use(locked)?.iter().filter_map(|used| match used {
            Use::Image(digest) => Some(*digest),
            Use::Layer(_) => None,
        }));
        if scope != Scope::Unused {
            used.extend(self.names(locked)?.into_values());
        }
        let mut images = self.image_digests(locked)?;
        images.retain(|image| match scope {
            Scope::One(one) => *image == one && !used.contains(image),
            Scope::Unnamed | Scope::Unused => !used.contains(image),
        });
        Ok(images)
    }

    /// Removes images and their names, and returns the layers of all others.
    fn forget_images(
        &self,
        locked: &Locked,
        images: &[Digest],
        trash: &Path,
    ) -> Result<BTreeSet<Digest>, StoreError> {
        let mut names = self.names(locked)?;
        let before = names.len();
        names.retain(|_, digest| !images.contains(digest));
        if names.len() != before {
            self.replace(locked, &self.root.join("names.json"), &names)?;
        }
        // Images go before their layers, so that whatever stops this leaves no image without them.
        for image in images {
            discard_to(&self.images_dir().join(image.hex()), trash, "image-")?;
        }
        let mut kept = BTreeSet::new();
        for digest in self.image_digests(locked)? {
            kept.extend(self.read_image(locked, &digest)?.config.diff_ids);
        }
        Ok(kept)
    }

    fn unused_layers(
        &self,
        locked: &Locked,
        kept: &BTreeSet<Digest>,
    ) -> Result<Vec<PathBuf>, StoreError> {
        let mut used = kept.clone();
        used.extend(self.holdings(locked)?.into_iter().flat_map(|held| held.layers));
        used.extend(self.in_use(locked)?.iter().filter_map(|used| match used {
            Use::Layer(digest) => Some(*digest),
            Use::Image(_) => None,
        }));
        let dir = self.layers_dir();
        let mut layers =
            super::live::list(&dir).map_err(StoreError::at("list the layers", &dir))?;
        layers.retain(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.and_then(|name| Digest::from_hex(name).ok())
                .is_some_and(|digest| !used.contains(&digest))
        });
        Ok(layers)
    }
}

fn discard_to(path: &Path, trash: &Path, kind: &str) -> Result<(), StoreError> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    std::fs::rename(path, trash.join(format!("{kind}{name}")))
        .map_err(StoreError::at("remove from the image store", path))
}
