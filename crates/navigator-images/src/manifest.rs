//! Manifests and indexes: what they name, and which one is meant for this machine.

use serde::{Deserialize, Serialize};

use crate::config::PlatformName;
use crate::digest::Digest;
use crate::limits::{CONFIG_BYTES, LAYERS};

/// Media type of a manifest as this crate writes it.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an index as this crate writes it.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const CONFIGS: [&str; 2] = [CONFIG, "application/vnd.docker.container.image.v1+json"];
const LAYER_TYPES: [&str; 9] = [
    LAYER,
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
];

/// What a manifest or an index says of another blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// Digest of its bytes.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
    /// For which machine it is, in an index.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub platform: Option<Platform>,
    /// Notes, such as the name under which a layout keeps a manifest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub annotations: Option<std::collections::BTreeMap<String, String>>,
}

impl Descriptor {
    /// One without notes.
    #[must_use]
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self { media_type: media_type.into(), digest, size, platform: None, annotations: None }
    }

    /// Whether it is a layer that can be unpacked.
    #[must_use]
    pub fn is_layer(&self) -> bool {
        LAYER_TYPES.contains(&self.media_type.as_str())
    }

    /// Whether it is an index or a manifest.
    #[must_use]
    pub fn is_document(&self) -> bool {
        [MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_INDEX].contains(&self.media_type.as_str())
    }
}

/// A machine, as an index names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// The processor, such as `amd64`.
    pub architecture: String,
    /// The system, such as `linux`.
    pub os: String,
}

/// A manifest: one image for one machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    schema_version: u32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    media_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// Layers, the lowest first.
    pub layers: Vec<Descriptor>,
}

impl Manifest {
    /// A manifest of these parts.
    #[must_use]
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self { schema_version: 2, media_type: Some(MANIFEST.into()), config, layers }
    }

    /// Reads a manifest.
    pub fn parse(json: &[u8]) -> Result<Self, ManifestError> {
        match Document::parse(json)? {
            Document::Manifest(manifest) => Ok(manifest),
            Document::Index(_) => Err(ManifestError::NoManifest),
        }
    }

    fn check(self) -> Result<Self, ManifestError> {
        if !CONFIGS.contains(&self.config.media_type.as_str()) {
            return Err(ManifestError::Kind { media_type: self.config.media_type });
        }
        if self.config.size > CONFIG_BYTES {
            return Err(ManifestError::ConfigSize { size: self.config.size });
        }
        if self.layers.is_empty() || self.layers.len() > LAYERS {
            return Err(ManifestError::Layers { count: self.layers.len() });
        }
        match self.layers.iter().find(|layer| !layer.is_layer()) {
            Some(layer) => Err(ManifestError::Kind { media_type: layer.media_type.clone() }),
            None => Ok(self),
        }
    }
}

/// What a digest or a tag of a registry or a layout leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// Several, of which one may be for this machine.
    Index(Vec<Descriptor>),
    /// An image.
    Manifest(Manifest),
}

impl Document {
    /// Reads an index or a manifest of OCI or of Docker's second schema.
    pub fn parse(json: &[u8]) -> Result<Self, ManifestError> {
        let shape: Shape = serde_json::from_slice(json).map_err(ManifestError::Json)?;
        if shape.schema_version != 2 {
            return Err(ManifestError::Schema { version: shape.schema_version });
        }
        // A document that could be read as both would be another thing to another reader.
        match (shape.manifests, shape.config, shape.layers) {
            (Some(manifests), None, None) => match shape.media_type.as_deref() {
                None | Some(INDEX | DOCKER_INDEX) => Ok(Self::Index(manifests)),
                Some(kind) => Err(ManifestError::Kind { media_type: kind.into() }),
            },
            (None, Some(config), Some(layers)) => match shape.media_type.as_deref() {
                None | Some(MANIFEST | DOCKER_MANIFEST) => {
                    let media_type = shape.media_type;
                    Manifest { schema_version: 2, media_type, config, layers }
                        .check()
                        .map(Self::Manifest)
                }
                Some(kind) => Err(ManifestError::Kind { media_type: kind.into() }),
            },
            _ => Err(ManifestError::Neither),
        }
    }
}

/// The entry of an index that is meant for this machine; entries without a platform are for every machine.
pub fn for_this_machine(entries: &[Descriptor]) -> Result<&Descriptor, ManifestError> {
    let this = PlatformName::of_this_machine();
    let fits = |entry: &&Descriptor| {
        entry.platform.as_ref().is_some_and(|p| p.os == "linux" && p.architecture == this.0)
    };
    let documents = || entries.iter().filter(|entry| entry.is_document());
    documents()
        .find(fits)
        .or_else(|| documents().find(|entry| entry.platform.is_none()))
        .ok_or_else(|| ManifestError::Platform {
            this: this.0.into(),
            offered: entries
                .iter()
                .filter_map(|e| Some(e.platform.as_ref()?.architecture.clone()))
                .collect(),
        })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    schema_version: u32,
    media_type: Option<String>,
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
}

/// A manifest or an index that is not used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is not JSON of the expected shape.
    #[error("failed to read the manifest")]
    Json(#[source] serde_json::Error),
    /// It is of another schema.
    #[error("failed to read the manifest: schema {version} is not known, 2 is")]
    Schema {
        /// Which.
        version: u32,
    },
    /// It has neither the parts of a manifest nor those of an index, or both.
    #[error("failed to read the manifest: it is neither an image nor an index")]
    Neither,
    /// It names something else than an image.
    #[error("failed to read the manifest: `{media_type}` is no part of an image that can be run")]
    Kind {
        /// What it names.
        media_type: String,
    },
    /// The configuration is too large.
    #[error("failed to read the manifest: its configuration of {size} bytes is too large")]
    ConfigSize {
        /// Bytes.
        size: u64,
    },
    /// Too few or too many layers.
    #[error("failed to read the manifest: {count} layers; 1 to {LAYERS} can be mounted")]
    Layers {
        /// How many.
        count: usize,
    },
    /// An index where a manifest must be.
    #[error("failed to read the manifest: it is an index")]
    NoManifest,
    /// Nothing is for this machine.
    #[error("failed to find an image for linux/{this}; there are: {}", .offered.join(", "))]
    Platform {
        /// This machine's processor.
        this: String,
        /// Processors for which there are images.
        offered: Vec<String>,
    },
}

#[cfg(test)]
#[path = "manifest/tests.rs"]
mod tests;
