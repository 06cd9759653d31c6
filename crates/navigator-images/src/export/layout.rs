//! OCI layouts.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::{ExportError, Exported, failed, outcome, rewritten, tag};
use crate::digest::Digest;
use crate::image::{Image, Layer};
use crate::limits::CHUNK;
use crate::manifest::{Descriptor, INDEX, MANIFEST};
use crate::pack::pack;
use crate::source::REF_NAME;

/// Adds the image to the layout in a directory, which is made if it is not there.
pub(super) fn write(
    image: &Image,
    config: &[u8],
    dir: &Path,
    name: Option<&str>,
) -> Result<Exported, ExportError> {
    let blobs = dir.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(failed(&blobs))?;
    let mut layers = vec![];
    for layer in image.layers.iter().rev() {
        layers.push(layer_blob(layer, &blobs)?);
    }
    let (manifest, config) = rewritten(config, &layers)?;
    blob(&blobs, &config)?;
    let json = |source| ExportError::Json { file: "the manifest", source };
    let bytes = serde_json::to_vec(&manifest).map_err(json)?;
    blob(&blobs, &bytes)?;
    let mut entry = Descriptor::new(MANIFEST, Digest::of(&bytes), bytes.len() as u64);
    let notes = tag(image, name).map(|tag| [(REF_NAME.to_owned(), tag)].into());
    entry.annotations = notes;
    index(dir, &entry)?;
    let version = json!({ "imageLayoutVersion": "1.0.0" });
    replace(&dir.join("oci-layout"), version.to_string().as_bytes())?;
    Ok(outcome(image, &manifest))
}

/// Packs a layer under a name of its own until its digest is known.
fn layer_blob(layer: &Layer, blobs: &Path) -> Result<(Digest, u64), ExportError> {
    let mut file = tempfile::NamedTempFile::new_in(blobs).map_err(failed(blobs))?;
    let out = BufWriter::with_capacity(CHUNK, file.as_file_mut());
    let diff_id = layer.diff_id;
    let (digest, size) =
        pack(layer, out).map_err(|source| ExportError::Pack { diff_id, source })?;
    let path = blobs.join(digest.hex());
    keep(file, &path).map_err(failed(&path))?;
    Ok((digest, size))
}

fn blob(blobs: &Path, bytes: &[u8]) -> Result<(), ExportError> {
    replace(&blobs.join(Digest::of(bytes).hex()), bytes)
}

/// Names the image in the layout's index; what had the name before is not named any more.
fn index(dir: &Path, entry: &Descriptor) -> Result<(), ExportError> {
    let path = dir.join("index.json");
    let json = |source| ExportError::Json { file: "index.json", source };
    let mut index: Value = match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(json)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [] })
        }
        Err(error) => return Err(failed(&path)(error)),
    };
    let new = serde_json::to_value(entry).map_err(json)?;
    let name = |entry: &Value| entry["annotations"][REF_NAME].as_str().map(str::to_owned);
    let mut entries = index["manifests"].as_array().cloned().unwrap_or_default();
    entries.retain(|old| {
        old["digest"] != new["digest"] && (name(old).is_none() || name(old) != name(&new))
    });
    entries.push(new);
    index["manifests"] = entries.into();
    replace(&path, index.to_string().as_bytes())
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), ExportError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let written = tempfile::NamedTempFile::new_in(dir).and_then(|mut file| {
        file.write_all(bytes)?;
        keep(file, path)
    });
    written.map_err(failed(path))
}

/// Gives a file its name, readable by everybody as other tools leave it.
fn keep(file: tempfile::NamedTempFile, path: &Path) -> io::Result<()> {
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(readable)?;
    let file: File = file.persist(path)?;
    file.sync_all()
}
