//! Manifests and indexes: what they may be, and what is in them.

use serde::Deserialize;
use thiserror::Error;

use crate::digest::{Digest, DigestError};
use crate::limits;
use crate::platform::Platform;

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// The prefix of both media types of Docker's first manifests.
const SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+";
/// What registries say when they do not know what they hold.
const GENERIC: [&str; 3] = ["application/json", "text/plain", "application/octet-stream"];

/// What a request for a manifest accepts.
pub(crate) const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// One image for one platform.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The image's configuration.
    pub config: Descriptor,
    /// Its layers, the lowest first.
    pub layers: Vec<Layer>,
}

/// A layer, and how it is packed.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Where it is.
    pub blob: Descriptor,
    /// How the archive is compressed.
    pub compression: Compression,
}

/// How a layer's archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstandard,
}

/// Content by its digest, with the size that it must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// Why an answer is not a manifest of an image.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The registry holds the image in the form of 2014 only.
    #[error(
        "failed to use a manifest of Docker's schema 1, which cannot be verified; \
         push the image again with a current tool"
    )]
    Schema1,
    /// It is no JSON, or lacks what a manifest has.
    #[error("failed to read the manifest")]
    Json(#[source] serde_json::Error),
    /// It is something else.
    #[error("failed to use `{0}` as a manifest; is it an image?")]
    MediaType(String),
    /// What the answer, the manifest or its index say of its type is not the same.
    #[error("failed to tell what the manifest is: `{said}` by its answer, `{is}` by itself")]
    Ambiguous {
        /// The type by the answer's head or the index.
        said: String,
        /// The type by its content.
        is: String,
    },
    /// A digest in it is none.
    #[error("failed to read a digest in the manifest")]
    Digest(#[from] DigestError),
    /// It has a layer that is no archive of files, or one that is kept elsewhere.
    #[error("failed to use a layer of the type `{0}`")]
    LayerType(String),
    /// More than any image has.
    #[error("failed to accept {what}: {count}, more than {limit}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How much there is.
        count: u64,
        /// How much there may be.
        limit: u64,
    },
}

/// What is behind a name.
pub(crate) enum Document {
    Index(Vec<Entry>),
    Manifest(Manifest),
}

/// One entry of an index.
pub(crate) struct Entry {
    pub(crate) descriptor: Descriptor,
    pub(crate) platform: Option<Platform>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDocument {
    schema_version: u64,
    media_type: Option<String>,
    manifests: Option<Vec<RawDescriptor>>,
    config: Option<RawDescriptor>,
    layers: Option<Vec<RawDescriptor>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    media_type: String,
    digest: String,
    size: u64,
    platform: Option<Platform>,
}

impl Document {
    /// Reads what came as `said`.
    pub(crate) fn read(bytes: &[u8], said: Option<&str>) -> Result<Document, ManifestError> {
        let said = said.map(essence).filter(|said| !GENERIC.contains(&said.as_str()));
        if said.as_deref().is_some_and(|said| said.starts_with(SCHEMA_1)) {
            return Err(ManifestError::Schema1);
        }
        if let Some(said) = said.as_ref().filter(|said| kind(said).is_none()) {
            return Err(ManifestError::MediaType(shown(said)));
        }
        let raw: RawDocument = serde_json::from_slice(bytes).map_err(ManifestError::Json)?;
        if raw.schema_version == 1 {
            return Err(ManifestError::Schema1);
        }
        let is = raw.media_type.clone().map(|is| essence(&is)).or_else(|| said.clone());
        let Some(is) = is else {
            return Err(ManifestError::MediaType("application/json".into()));
        };
        if let Some(said) = said.filter(|said| *said != is) {
            return Err(ManifestError::Ambiguous { said: shown(&said), is: shown(&is) });
        }
        raw.document(&is)
    }
}

impl RawDocument {
    /// A document is an index or a manifest; what has the parts of both can be read as either (CVE-2021-41190).
    fn document(self, is: &str) -> Result<Document, ManifestError> {
        match (kind(is), self.manifests, self.config, self.layers) {
            (Some(Kind::Index), Some(entries), None, None) => index(entries),
            (Some(Kind::Manifest), None, Some(config), Some(layers)) => manifest(config, layers),
            (Some(_), ..) => Err(ManifestError::Ambiguous {
                said: shown(is),
                is: "something with other parts".into(),
            }),
            (None, ..) => Err(ManifestError::MediaType(shown(is))),
        }
    }
}

fn index(entries: Vec<RawDescriptor>) -> Result<Document, ManifestError> {
    within("entries of an index", entries.len() as u64, limits::INDEX_ENTRIES as u64)?;
    let read = |mut raw: RawDescriptor| {
        let platform = raw.platform.take();
        Ok(Entry { descriptor: raw.read()?, platform })
    };
    entries
        .into_iter()
        .filter(|entry| kind(&essence(&entry.media_type)).is_some())
        .map(read)
        .collect::<Result<_, _>>()
        .map(Document::Index)
}

fn manifest(config: RawDescriptor, layers: Vec<RawDescriptor>) -> Result<Document, ManifestError> {
    let config = config.read()?;
    let image = ["application/vnd.oci.image.config.v1+json", DOCKER_CONFIG];
    if !image.contains(&config.media_type.as_str()) {
        return Err(ManifestError::MediaType(shown(&config.media_type)));
    }
    within("bytes of configuration", config.size, limits::DOCUMENT_BYTES)?;
    within("layers", layers.len() as u64, limits::LAYERS as u64)?;
    let layers = layers.into_iter().map(layer).collect::<Result<_, _>>()?;
    Ok(Document::Manifest(Manifest { config, layers }))
}

const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

fn layer(raw: RawDescriptor) -> Result<Layer, ManifestError> {
    let blob = raw.read()?;
    within("bytes of a layer", blob.size, limits::LAYER_BYTES)?;
    let compression = match blob.media_type.as_str() {
        "application/vnd.oci.image.layer.v1.tar"
        | "application/vnd.docker.image.rootfs.diff.tar" => Compression::None,
        "application/vnd.oci.image.layer.v1.tar+gzip"
        | "application/vnd.docker.image.rootfs.diff.tar.gzip" => Compression::Gzip,
        "application/vnd.oci.image.layer.v1.tar+zstd"
        | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Compression::Zstandard,
        other => return Err(ManifestError::LayerType(shown(other))),
    };
    Ok(Layer { blob, compression })
}

impl RawDescriptor {
    fn read(self) -> Result<Descriptor, ManifestError> {
        let media_type = essence(&self.media_type);
        Ok(Descriptor { media_type, digest: self.digest.parse()?, size: self.size })
    }
}

enum Kind {
    Index,
    Manifest,
}

fn kind(media_type: &str) -> Option<Kind> {
    match media_type {
        OCI_INDEX | DOCKER_LIST => Some(Kind::Index),
        OCI_MANIFEST | DOCKER_MANIFEST => Some(Kind::Manifest),
        _ => None,
    }
}

/// A media type without its parameters, in lower case (RFC 9110, 8.3.1).
fn essence(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// What a registry wrote, fit for a terminal.
fn shown(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(128).collect()
}

fn within(what: &'static str, count: u64, limit: u64) -> Result<(), ManifestError> {
    if count > limit {
        return Err(ManifestError::TooMuch { what, count, limit });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn descriptor(media_type: &str) -> Value {
        json!({ "mediaType": media_type, "digest": Digest::sha256(b"").to_string(), "size": 0 })
    }

    fn image() -> Value {
        json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json"),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip")],
        })
    }

    fn read(document: &Value, said: Option<&str>) -> Result<Document, ManifestError> {
        Document::read(document.to_string().as_bytes(), said)
    }

    #[test]
    fn a_manifest_is_read_with_its_layers() {
        for said in [None, Some(OCI_MANIFEST), Some("application/json; charset=utf-8")] {
            let Ok(Document::Manifest(manifest)) = read(&image(), said) else {
                panic!("{said:?} is refused");
            };
            assert_eq!(manifest.layers[0].compression, Compression::Gzip);
        }
    }

    #[test]
    fn what_is_no_image_is_refused_by_its_kind() {
        let old = json!({ "schemaVersion": 1, "fsLayers": [] });
        assert!(matches!(read(&old, None), Err(ManifestError::Schema1)));
        let prettyjws = "application/vnd.docker.distribution.manifest.v1+prettyjws";
        assert!(matches!(read(&image(), Some(prettyjws)), Err(ManifestError::Schema1)));
        let html = Document::read(b"<html>", Some("text/html"));
        assert!(matches!(html, Err(ManifestError::MediaType(_))));
        assert!(matches!(Document::read(b"{", None), Err(ManifestError::Json(_))));
        let mut chart = image();
        chart["config"]["mediaType"] = "application/vnd.cncf.helm.config.v1+json".into();
        assert!(matches!(read(&chart, None), Err(ManifestError::MediaType(_))));
    }

    #[test]
    fn what_can_be_read_as_two_things_is_refused() {
        let mut both = image();
        both["manifests"] = json!([]);
        assert!(matches!(read(&both, None), Err(ManifestError::Ambiguous { .. })));
        let index = read(&image(), Some(OCI_INDEX));
        assert!(matches!(index, Err(ManifestError::Ambiguous { .. })));
    }

    #[test]
    fn layers_that_are_kept_elsewhere_or_too_large_are_refused() {
        let mut foreign = image();
        let kept_elsewhere = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
        foreign["layers"][0]["mediaType"] = kept_elsewhere.into();
        assert!(matches!(read(&foreign, None), Err(ManifestError::LayerType(_))));
        for size in [json!(u64::MAX), json!(limits::LAYER_BYTES + 1)] {
            let mut huge = image();
            huge["layers"][0]["size"] = size;
            assert!(matches!(read(&huge, None), Err(ManifestError::TooMuch { .. })));
        }
        let mut negative = image();
        negative["layers"][0]["size"] = json!(-1);
        assert!(matches!(read(&negative, None), Err(ManifestError::Json(_))));
    }
}
