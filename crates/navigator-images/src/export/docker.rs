//! Archives as `docker load` reads them.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde_json::json;

use super::{ExportError, Exported, failed, outcome, rewritten, tag};
use crate::digest::Digest;
use crate::image::Image;
use crate::limits::CHUNK;
use crate::pack::{member, pack};

/// Writes an archive of the image. Layers are packed twice: their sizes stand before them.
pub(super) fn write(
    image: &Image,
    config: &[u8],
    path: &Path,
    name: Option<&str>,
) -> Result<Exported, ExportError> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    let file = file.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => ExportError::Exists { path: path.to_owned() },
        _ => failed(path)(error),
    })?;
    let mut out = BufWriter::with_capacity(CHUNK, file);
    let written = archive(image, config, name, &mut out, path);
    let finished = written.and_then(|exported| {
        out.flush().and_then(|()| out.get_ref().sync_all()).map_err(failed(path))?;
        Ok(exported)
    });
    if finished.is_err() {
        // Half an archive helps nobody; that it cannot be removed is less than why it is half.
        let _left = std::fs::remove_file(path);
    }
    finished
}

fn archive(
    image: &Image,
    config: &[u8],
    name: Option<&str>,
    out: &mut impl Write,
    path: &Path,
) -> Result<Exported, ExportError> {
    let mut layers: Vec<(Digest, u64)> = vec![];
    for layer in image.layers.iter().rev() {
        let pack_error = |source| ExportError::Pack { diff_id: layer.diff_id, source };
        let (digest, size) = pack(layer, io::sink()).map_err(pack_error)?;
        // Two layers of the same bytes are one file.
        if !layers.contains(&(digest, size)) {
            member(out, &file_name(&digest), size, |out| pack(layer, out).map(drop))
                .map_err(pack_error)?;
        }
        layers.push((digest, size));
    }
    let (manifest, config) = rewritten(config, &layers)?;
    let config_name = format!("{}.json", manifest.config.digest.hex());
    let files: Vec<_> = layers.iter().map(|(digest, _)| file_name(digest)).collect();
    let tags: Vec<_> = tag(image, name).into_iter().collect();
    let list = json!([{ "Config": config_name, "RepoTags": tags, "Layers": files }]).to_string();
    for (name, bytes) in [(config_name.as_str(), &config[..]), ("manifest.json", list.as_bytes())] {
        member(out, name, bytes.len() as u64, |out| out.write_all(bytes)).map_err(failed(path))?;
    }
    out.write_all(&[0; 1024]).map_err(failed(path))?;
    Ok(outcome(image, &manifest))
}

fn file_name(digest: &Digest) -> String {
    format!("{}.tar", digest.hex())
}
