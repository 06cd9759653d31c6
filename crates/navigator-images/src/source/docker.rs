//! What `docker save` and its relatives write: a list of images, each with a configuration and archives of layers.

use serde::Deserialize;

use super::files::Files;
use super::{SourceError, document, own_name};
use crate::config::ImageConfig;
use crate::digest::Digest;
use crate::image::Image;
use crate::limits::{CONFIG_BYTES, MANIFEST_BYTES};
use crate::manifest::{CONFIG, Descriptor, LAYER, Manifest};
use crate::progress::Progress;
use crate::reference::Reference;
use crate::store::{Adding, StoreError};

const MANIFEST_FILE: &str = "manifest.json";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

pub(super) fn import(
    adding: Adding<'_>,
    files: &impl Files,
    tag: Option<&str>,
    name: Option<&Reference>,
    progress: &dyn Progress,
) -> Result<Image, SourceError> {
    let bytes = document(files, MANIFEST_FILE, MANIFEST_BYTES)?;
    let entries: Vec<Entry> = serde_json::from_slice(&bytes)
        .map_err(|source| SourceError::Json { file: MANIFEST_FILE.into(), source })?;
    let (entry, own) = choose(entries, tag)?;
    let config = config(files, &entry.config)?;
    let parsed = ImageConfig::parse(&config).map_err(StoreError::from)?;
    parsed.check(entry.layers.len()).map_err(StoreError::from)?;
    let mut layers = vec![];
    for (file, diff_id) in entry.layers.iter().zip(&parsed.diff_ids) {
        layers.push(layer(&adding, files, file, diff_id, progress)?);
    }
    let config_entry = Descriptor::new(CONFIG, Digest::of(&config), config.len() as u64);
    let manifest = serde_json::to_vec(&Manifest::new(config_entry, layers))
        .map_err(|source| SourceError::Json { file: MANIFEST_FILE.into(), source })?;
    Ok(adding.finish(&manifest, &config, name.or(own.as_ref()))?)
}

/// Adds a layer. The archive names no digest but that of the configuration, so the manifest that is made for it has the
/// layer's file as it is.
fn layer(
    adding: &Adding<'_>,
    files: &impl Files,
    file: &str,
    diff_id: &Digest,
    progress: &dyn Progress,
) -> Result<Descriptor, SourceError> {
    let (mut stream, size) = files.open(file)?;
    let mut hashing = crate::digest::Hashing::new(&mut stream);
    std::io::copy(&mut hashing, &mut std::io::sink()).map_err(super::failed(file))?;
    let (digest, _, _) = hashing.finish();
    let layer = Descriptor::new(LAYER, digest, size);
    let (stream, _) = files.open(file)?;
    adding.add_layer(&layer, diff_id, stream, progress)?;
    Ok(layer)
}

/// The configuration; most tools name it by its digest.
fn config(files: &impl Files, file: &str) -> Result<Vec<u8>, SourceError> {
    let bytes = document(files, file, CONFIG_BYTES)?;
    let base = file.rsplit('/').next().unwrap_or(file);
    let named = Digest::from_hex(base.strip_suffix(".json").unwrap_or(base)).ok();
    let found = Digest::of(&bytes);
    match named.is_none_or(|named| named == found) {
        true => Ok(bytes),
        false => Err(SourceError::Digest { file: file.into(), found }),
    }
}

/// The image with a tag, or the only one, and what it is called.
fn choose(
    entries: Vec<Entry>,
    tag: Option<&str>,
) -> Result<(Entry, Option<Reference>), SourceError> {
    let tags: Vec<String> =
        entries.iter().flat_map(|entry| entry.repo_tags.clone().unwrap_or_default()).collect();
    let wanted = tag.and_then(|tag| Reference::parse(tag).ok());
    let fits = |text: &String| wanted.is_some() && Reference::parse(text).ok() == wanted;
    let several = entries.len() > 1;
    let mut found = entries.into_iter().filter(|entry| {
        tag.is_none() || entry.repo_tags.as_ref().is_some_and(|tags| tags.iter().any(fits))
    });
    match (found.next(), tag) {
        (Some(_), None) if several => Err(SourceError::Several { tags }),
        (Some(entry), _) => {
            let first = || entry.repo_tags.as_ref()?.first().and_then(|tag| own_name(tag));
            let own = wanted.or_else(first);
            Ok((entry, own))
        }
        (None, tag) => Err(SourceError::Tag { tag: tag.unwrap_or("an image").into(), tags }),
    }
}
