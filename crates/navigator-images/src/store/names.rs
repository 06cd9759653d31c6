//! What images are called.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Locked, Store, StoreError};
use crate::digest::Digest;
use crate::image::Image;
use crate::reference::Reference;

/// Digits that are enough to mean an image by the beginning of its digest.
const FEWEST_DIGITS: usize = 6;

type Names = BTreeMap<Reference, Digest>;

impl Store {
    /// The image of a name, of a digest `sha256:…`, or of the first digits of one. Of a name with a digest behind it that
    /// no image has as its name, the digest alone counts: it is what was meant, whatever the name means now.
    pub fn find(&self, name: &str) -> Result<Image, StoreError> {
        let locked = self.lock()?;
        let names = self.names(&locked)?;
        let named =
            Reference::parse(name).ok().and_then(|reference| names.get(&reference).copied());
        let digest = match named {
            Some(digest) => digest,
            None => {
                let digits = name.rsplit_once('@').map_or(name, |(_, digest)| digest);
                self.by_digits(&locked, digits)?
            }
        };
        self.read_image(&locked, &digest)
    }

    fn by_digits(&self, locked: &Locked, name: &str) -> Result<Digest, StoreError> {
        let digits = name.strip_prefix("sha256:").unwrap_or(name);
        let not_found = || StoreError::NotFound { name: name.into() };
        if digits.len() < FEWEST_DIGITS {
            return Err(not_found());
        }
        let mut fitting = vec![];
        for digest in self.image_digests(locked)? {
            let config = self.read_image(locked, &digest)?.config_digest;
            // Other tools show the configuration's digest.
            if digest.hex().starts_with(digits) || config.hex().starts_with(digits) {
                fitting.push(digest);
            }
        }
        match fitting.as_slice() {
            [] => Err(not_found()),
            [digest] => Ok(*digest),
            _ => Err(StoreError::Ambiguous { name: name.into() }),
        }
    }

    /// Calls an image by a name, which no other image has any more.
    pub fn tag(&self, image: &Image, name: &Reference) -> Result<(), StoreError> {
        let locked = self.lock()?;
        if !self.images_dir().join(image.digest.hex()).exists() {
            return Err(StoreError::Gone { digest: image.digest });
        }
        self.set_name(&locked, name, image.digest)
    }

    /// Takes a name away; the image stays until `prune`.
    pub fn untag(&self, name: &Reference) -> Result<(), StoreError> {
        let locked = self.lock()?;
        let mut names = self.names(&locked)?;
        if names.remove(name).is_none() {
            return Err(StoreError::NotFound { name: name.familiar() });
        }
        self.replace(&locked, &self.names_path(), &names)
    }

    pub(super) fn set_name(
        &self,
        locked: &Locked,
        name: &Reference,
        digest: Digest,
    ) -> Result<(), StoreError> {
        let mut names = self.names(locked)?;
        names.insert(name.clone(), digest);
        self.replace(locked, &self.names_path(), &names)
    }

    pub(super) fn names(&self, _locked: &Locked) -> Result<Names, StoreError> {
        match super::read::json(&self.names_path()) {
            Err(StoreError::File { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                Ok(Names::new())
            }
            other => other,
        }
    }

    pub(super) fn names_of(
        &self,
        locked: &Locked,
        digest: &Digest,
    ) -> Result<Vec<Reference>, StoreError> {
        let names = self.names(locked)?.into_iter();
        Ok(names.filter(|(_, named)| named == digest).map(|(name, _)| name).collect())
    }

    fn names_path(&self) -> PathBuf {
        self.root.join("names.json")
    }
}
