//! Writing images for other tools.
//!
//! Layers are packed anew from their directories. A layer that was made here comes out with the bytes that its digest
//! names; one that came from elsewhere does not, since its archive was written by another program and lost what a layer
//! here never has. So each layer gets the digest of what is written, and configuration and manifest say so.

mod docker;
mod layout;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::digest::Digest;
use crate::image::Image;
use crate::manifest::{CONFIG, Descriptor, LAYER, Manifest};
use crate::store::{Store, StoreError};

/// Where an image goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    form: Form,
    path: PathBuf,
    tag: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// An OCI layout, to which the image is added.
    Layout,
    /// An archive as `docker load` reads it.
    DockerArchive,
}

const FORMS: [(&str, Form); 2] = [("oci", Form::Layout), ("docker-archive", Form::DockerArchive)];

impl Target {
    /// Reads `oci:DIR[:TAG]` or `docker-archive:FILE[:TAG]`; nothing when it begins otherwise.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (word, rest) = text.split_once(':')?;
        let (_, form) = FORMS.iter().find(|(name, _)| *name == word)?;
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) => (path, Some(tag.to_owned())),
            None => (rest, None),
        };
        let tag = tag.filter(|tag| !tag.is_empty());
        (!path.is_empty()).then(|| Self { form: *form, path: path.into(), tag })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = FORMS.iter().find(|(_, form)| *form == self.form).map_or("", |(word, _)| word);
        write!(f, "{word}:{}", self.path.display())?;
        self.tag.as_ref().map_or(Ok(()), |tag| write!(f, ":{tag}"))
    }
}

/// An image that was not written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A file.
    #[error("failed to write {path}")]
    Write {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A layer.
    #[error("failed to pack the layer {diff_id}")]
    Pack {
        /// Which.
        diff_id: Digest,
        /// The system's reason.
        source: io::Error,
    },
    /// A document.
    #[error("failed to read {file}")]
    Json {
        /// Which.
        file: &'static str,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The archive is there already.
    #[error("failed to write {path}: it exists")]
    Exists {
        /// Which.
        path: PathBuf,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Digest of the configuration as it was written.
    pub config_digest: Digest,
    /// Whether layers have other digests than in the store.
    pub rewritten: bool,
}

impl Store {
    /// Writes an image for other tools; it is not removed meanwhile.
    pub fn export(&self, image: &Image, target: &Target) -> Result<Exported, ExportError> {
        let _lease = self.lease(image)?;
        let (_, config) = self.documents(image)?;
        match target.form {
            Form::Layout => layout::write(image, &config, &target.path, target.tag.as_deref()),
            Form::DockerArchive => {
                docker::write(image, &config, &target.path, target.tag.as_deref())
            }
        }
    }
}

/// The tag that was asked for, or the image's first name.
fn tag(image: &Image, tag: Option<&str>) -> Option<String> {
    tag.map(str::to_owned).or_else(|| image.names.first().map(ToString::to_string))
}

/// Manifest and configuration that name the layers as they were written, the lowest first.
fn rewritten(config: &[u8], layers: &[(Digest, u64)]) -> Result<(Manifest, Vec<u8>), ExportError> {
    let failed = |source| ExportError::Json { file: "the configuration", source };
    let mut value: Value = serde_json::from_slice(config).map_err(failed)?;
    let digests: Vec<Value> = layers.iter().map(|(digest, _)| digest.to_string().into()).collect();
    let same = value["rootfs"]["diff_ids"].as_array() == Some(&digests);
    value["rootfs"]["diff_ids"] = digests.into();
    let config = if same { config.to_vec() } else { serde_json::to_vec(&value).map_err(failed)? };
    let entry = Descriptor::new(CONFIG, Digest::of(&config), config.len() as u64);
    let layers = layers.iter().map(|(digest, size)| Descriptor::new(LAYER, *digest, *size));
    Ok((Manifest::new(entry, layers.collect()), config))
}

fn outcome(image: &Image, manifest: &Manifest) -> Exported {
    let config_digest = manifest.config.digest;
    let written = manifest.layers.iter().rev().map(|layer| layer.digest);
    let rewritten = !written.eq(image.layers.iter().map(|layer| layer.diff_id));
    Exported { config_digest, rewritten }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> ExportError + use<> {
    let path = path.to_owned();
    move |source| ExportError::Write { path: path.clone(), source }
}
