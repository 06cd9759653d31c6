//! Small images, made here, whose every byte is known.

use std::path::{Path, PathBuf};

use navigator_registry::{Digest, Download, Resolved};
use serde_json::{Value, json};

pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// An image for Linux on amd64.
#[derive(Clone)]
pub struct Image {
    pub layers: Vec<Vec<u8>>,
    pub config: Vec<u8>,
    pub manifest: Vec<u8>,
}

impl Image {
    /// With layers of these sizes. What is in them is no archive: nobody here unpacks.
    pub fn with_layers(sizes: &[usize]) -> Image {
        let noise = |(seed, size): (usize, &usize)| {
            let mut state = seed as u32 + 1;
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            };
            (0..*size).map(|_| next()).collect()
        };
        let layers: Vec<Vec<u8>> = sizes.iter().enumerate().map(noise).collect();
        Image::new(layers, "amd64")
    }

    pub fn new(layers: Vec<Vec<u8>>, architecture: &str) -> Image {
        let config = json!({ "os": "linux", "architecture": architecture, "config": {} });
        let config = config.to_string().into_bytes();
        let described: Vec<Value> = layers.iter().map(|layer| descriptor(LAYER, layer)).collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(CONFIG, &config),
            "layers": described,
        });
        Image { layers, config, manifest: manifest.to_string().into_bytes() }
    }

    /// The same image as Docker describes it.
    pub fn dockers(&self) -> Image {
        let text = String::from_utf8(self.manifest.clone()).unwrap();
        let text = [
            (MANIFEST, DOCKER_MANIFEST),
            (CONFIG, "application/vnd.docker.container.image.v1+json"),
            (LAYER, "application/vnd.docker.image.rootfs.diff.tar.gzip"),
        ]
        .iter()
        .fold(text, |text, (oci, docker)| text.replace(oci, docker));
        Image { manifest: text.into_bytes(), ..self.clone() }
    }

    pub fn digest(&self) -> Digest {
        Digest::sha256(&self.manifest)
    }

    /// Everything that a registry has of it, by digest.
    pub fn find(&self, digest: &str) -> Option<&[u8]> {
        let all = self.layers.iter().chain([&self.config, &self.manifest]);
        all.map(Vec::as_slice).find(|bytes| Digest::sha256(bytes).to_string() == digest)
    }
}

pub fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    let digest = Digest::sha256(bytes).to_string();
    json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() })
}

pub fn index(entries: &[(&Image, &str)]) -> Vec<u8> {
    let entries: Vec<Value> = entries
        .iter()
        .map(|(image, architecture)| {
            let mut entry = descriptor(MANIFEST, &image.manifest);
            entry["platform"] = json!({ "os": "linux", "architecture": architecture });
            entry
        })
        .collect();
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries });
    index.to_string().into_bytes()
}

/// A file in a directory for each layer.
pub fn downloads(found: &Resolved, directory: &Path) -> Vec<Download> {
    let layers = found.manifest.layers.iter();
    layers
        .map(|layer| Download {
            blob: layer.blob.clone(),
            path: directory.join(layer.blob.digest.hex()),
        })
        .collect()
}

/// The names in a directory, sorted.
pub fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut names: Vec<_> = entries.map(|entry| name(entry.unwrap().path())).collect();
    names.sort();
    names
}
