//! OCI layouts: an index that names manifests, and blobs by their digests.

use serde::Deserialize;

use super::files::Files;
use super::{SourceError, document, own_name};
use crate::config::ImageConfig;
use crate::digest::Digest;
use crate::image::Image;
use crate::limits::{CONFIG_BYTES, MANIFEST_BYTES};
use crate::manifest::{Descriptor, Document, Manifest, for_this_machine};
use crate::progress::Progress;
use crate::reference::Reference;
use crate::store::{Adding, StoreError};

/// The annotation that names a manifest of a layout.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Indexes within each other: an index of a layout leads to one for several machines, seldom further.
const NESTED: usize = 4;

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

pub(super) fn import(
    adding: Adding<'_>,
    files: &impl Files,
    tag: Option<&str>,
    name: Option<&Reference>,
    progress: &dyn Progress,
) -> Result<Image, SourceError> {
    let bytes = document(files, "index.json", MANIFEST_BYTES)?;
    let index: Index = serde_json::from_slice(&bytes)
        .map_err(|source| SourceError::Json { file: "index.json".into(), source })?;
    let chosen = choose(&index.manifests, tag)?;
    let own = ref_name(chosen).and_then(own_name);
    let (bytes, manifest) = manifest(files, chosen)?;
    let config = blob(files, &manifest.config, CONFIG_BYTES)?;
    let parsed = ImageConfig::parse(&config).map_err(StoreError::from)?;
    parsed.check(manifest.layers.len()).map_err(StoreError::from)?;
    for (layer, diff_id) in manifest.layers.iter().zip(&parsed.diff_ids) {
        if adding.has_layer(diff_id)? {
            progress.have(&layer.digest);
            continue;
        }
        let (stream, _) = files.open(&path(&layer.digest))?;
        adding.add_layer(layer, diff_id, stream, progress)?;
    }
    Ok(adding.finish(&bytes, &config, name.or(own.as_ref()))?)
}

fn ref_name(entry: &Descriptor) -> Option<&str> {
    entry.annotations.as_ref()?.get(REF_NAME).map(String::as_str)
}

/// The manifest with a tag; without a tag the only one.
fn choose<'a>(entries: &'a [Descriptor], tag: Option<&str>) -> Result<&'a Descriptor, SourceError> {
    let tags = || entries.iter().filter_map(ref_name).map(str::to_owned).collect();
    match tag {
        Some(tag) => {
            let found = entries.iter().find(|entry| ref_name(entry) == Some(tag));
            found.ok_or_else(|| SourceError::Tag { tag: tag.into(), tags: tags() })
        }
        None if entries.len() <= 1 => Ok(for_this_machine(entries)?),
        // Several manifests without names are one image for several machines.
        None if entries.iter().all(|entry| ref_name(entry).is_none()) => {
            Ok(for_this_machine(entries)?)
        }
        None => Err(SourceError::Several { tags: tags() }),
    }
}

/// Follows indexes to the manifest for this machine.
fn manifest(files: &impl Files, entry: &Descriptor) -> Result<(Vec<u8>, Manifest), SourceError> {
    let mut entry = entry.clone();
    for _ in 0..NESTED {
        let bytes = blob(files, &entry, MANIFEST_BYTES)?;
        match Document::parse(&bytes)? {
            Document::Manifest(manifest) => return Ok((bytes, manifest)),
            Document::Index(entries) => entry = for_this_machine(&entries)?.clone(),
        }
    }
    Err(SourceError::Nested)
}

/// A verified document.
fn blob(files: &impl Files, entry: &Descriptor, limit: u64) -> Result<Vec<u8>, SourceError> {
    let file = path(&entry.digest);
    let bytes = document(files, &file, limit)?;
    let (size, found) = (bytes.len() as u64, Digest::of(&bytes));
    if size != entry.size {
        return Err(SourceError::Size { file, expected: entry.size, found: size });
    }
    if found != entry.digest { Err(SourceError::Digest { file, found }) } else { Ok(bytes) }
}

fn path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}
