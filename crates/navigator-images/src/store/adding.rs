//! Adding an image: its layers in any order and from several threads, then its manifest and configuration.

use std::collections::BTreeSet;
use std::io::{self, BufReader, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use uuid::Uuid;

use super::live::{Session, Use};
use super::read::{ImageRecord, LayerRecord};
use super::{Store, StoreError, write};
use crate::beneath;
use crate::compression::decompressed;
use crate::config::ImageConfig;
use crate::digest::{Digest, Hashing};
use crate::image::Image;
use crate::limits::CHUNK;
use crate::manifest::{Descriptor, Manifest};
use crate::progress::Progress;
use crate::reference::Reference;
use crate::unpack::{Contents, UnpackError, unpack};

/// An image that is being added. What it has added stays when it fails, for the next attempt, until `prune`.
#[derive(Debug)]
pub struct Adding<'s> {
    store: &'s Store,
    session: Session,
    layers: Mutex<BTreeSet<Digest>>,
}

/// A layer that was not added; nothing of it stays.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The stream has other bytes than its digest says.
    #[error("failed to verify the layer {expected}: its digest is {found}")]
    Digest {
        /// What it should be.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// The stream is shorter or longer than the manifest says.
    #[error("failed to verify the layer {digest}: it has {found} bytes, not {expected}")]
    Size {
        /// Of which layer.
        digest: Digest,
        /// What it should be.
        expected: u64,
        /// What was read, at least.
        found: u64,
    },
    /// The archive is another one than the configuration says.
    #[error("failed to verify the layer: its uncompressed digest is {found}, not {expected}")]
    DiffId {
        /// What it should be.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// Reading it.
    #[error("failed to read the layer {digest}")]
    Read {
        /// Which.
        digest: Digest,
        /// Why.
        source: io::Error,
    },
    /// Its archive.
    #[error("failed to unpack the layer {digest}")]
    Unpack {
        /// Which.
        digest: Digest,
        /// Why.
        source: UnpackError,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Begins to add an image.
    pub fn begin(&self) -> Result<Adding<'_>, StoreError> {
        let session = Session::begin(self)?;
        Ok(Adding { store: self, session, layers: Mutex::default() })
    }
}

impl Adding<'_> {
    /// Whether a layer is there already; then it stays for as long as this lives.
    pub fn has_layer(&self, diff_id: &Digest) -> Result<bool, StoreError> {
        let locked = self.store.lock()?;
        let there = self.store.layer_path(diff_id).exists();
        if there {
            self.session.uses(Use::Layer(*diff_id))?;
            self.note(diff_id);
        }
        drop(locked);
        Ok(there)
    }

    /// Reads a layer as the manifest describes it, verifies and unpacks it. `diff_id` is the digest of its uncompressed
    /// archive, from the configuration. The stream is not read when the layer is there already.
    pub fn add_layer(
        &self,
        layer: &Descriptor,
        diff_id: &Digest,
        stream: impl Read,
        progress: &dyn Progress,
    ) -> Result<(), LayerError> {
        if !self.has_layer(diff_id)? {
            let unfinished = Unfinished::make(&self.session.tmp)?;
            let stream = Watched { stream, layer, progress, done: 0 };
            let contents = self.unpack(layer, diff_id, stream, &unfinished.path)?;
            self.keep(diff_id, contents, &unfinished.path)?;
        }
        progress.have(&layer.digest);
        Ok(())
    }

    fn unpack(
        &self,
        layer: &Descriptor,
        diff_id: &Digest,
        stream: Watched<'_, impl Read>,
        path: &Path,
    ) -> Result<Contents, LayerError> {
        let digest = layer.digest;
        let failed = |source| LayerError::Read { digest, source };
        let tree = beneath::directory(&path.join("tree")).map_err(|error| failed(error.into()))?;
        let mut compressed = BufReader::with_capacity(CHUNK, Hashing::new(stream));
        let plain = decompressed(&mut compressed).map_err(failed)?;
        let limit = self.store.limits.layer_bytes;
        let mut plain = Hashing::new(Bounded { stream: plain, left: limit, limit });
        let unpacked = unpack(tree.as_fd(), &mut plain, &self.store.limits);
        let contents = unpacked.map_err(|source| LayerError::Unpack { digest, source })?;
        let (found, _, rest) = plain.finish();
        drop(rest);
        if found != *diff_id {
            return Err(LayerError::DiffId { expected: *diff_id, found });
        }
        verify(layer, compressed, failed)?;
        rustix::fs::syncfs(&tree).map_err(|error| failed(error.into()))?;
        Ok(contents)
    }

    /// Gives a finished layer its name, unless another process was faster with the same.
    pub(crate) fn keep(
        &self,
        diff_id: &Digest,
        contents: Contents,
        path: &Path,
    ) -> Result<(), StoreError> {
        let place = self.store.layer_path(diff_id);
        let record = path.join("record.json");
        let bytes = serde_json::to_vec(&LayerRecord { contents }).map_err(io::Error::from);
        bytes
            .and_then(|bytes| write::file(&record, &bytes))
            .map_err(StoreError::at("write a layer's record", &record))?;
        let locked = self.store.lock()?;
        self.session.uses(Use::Layer(*diff_id))?;
        if !place.exists() {
            std::fs::rename(path, &place)
                .and_then(|()| write::sync_directory(&self.store.layers_dir()))
                .map_err(StoreError::at("add a layer", &place))?;
        }
        drop(locked);
        self.note(diff_id);
        Ok(())
    }

    /// A file without a name that holds all of a stream.
    pub(crate) fn temporary(&self, stream: &mut impl Read) -> io::Result<std::fs::File> {
        let path = self.session.tmp.join("stream");
        let open = std::fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        let mut file = open?;
        std::fs::remove_file(&path)?;
        let limit = self.store.limits.layer_bytes;
        io::copy(&mut Bounded { stream, left: limit, limit }, &mut file)?;
        io::Seek::rewind(&mut file)?;
        Ok(file)
    }

    /// A directory for a layer that is made here.
    pub(crate) fn unfinished(&self) -> Result<Unfinished, StoreError> {
        Unfinished::make(&self.session.tmp)
    }

    fn note(&self, diff_id: &Digest) {
        // The set is whole whatever another thread did.
        self.layers.lock().unwrap_or_else(PoisonError::into_inner).insert(*diff_id);
    }

    /// Adds the image itself, once all of its layers are there, and names it. Both documents are kept as they are.
    pub fn finish(
        self,
        manifest: &[u8],
        config: &[u8],
        name: Option<&Reference>,
    ) -> Result<Image, StoreError> {
        let parsed = Manifest::parse(manifest)?;
        let found = Digest::of(config);
        if found != parsed.config.digest {
            let expected = parsed.config.digest;
            return Err(StoreError::Digest { what: "the configuration", expected, found });
        }
        let parsed_config = ImageConfig::parse(config)?;
        parsed_config.check(parsed.layers.len())?;
        for diff_id in &parsed_config.diff_ids {
            let layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
            if !layers.contains(diff_id) {
                return Err(StoreError::Layer { diff_id: *diff_id });
            }
        }
        let digest = Digest::of(manifest);
        let new = self.session.tmp.join("image");
        write_image(&new, manifest, config).map_err(StoreError::at("write the image", &new))?;
        let place = self.store.images_dir().join(digest.hex());
        let locked = self.store.lock()?;
        if !place.exists() {
            std::fs::rename(&new, &place)
                .and_then(|()| write::sync_directory(&self.store.images_dir()))
                .map_err(StoreError::at("add the image", &place))?;
        }
        if let Some(name) = name {
            self.store.set_name(&locked, name, digest)?;
        }
        self.store.read_image(&locked, &digest)
    }
}

fn write_image(dir: &Path, manifest: &[u8], config: &[u8]) -> io::Result<()> {
    write::private_directory(dir)?;
    let record = serde_json::to_vec(&ImageRecord { added: Timestamp::now() })?;
    for (name, bytes) in [("manifest", manifest), ("config", config), ("record.json", &record)] {
        write::file(&dir.join(name), bytes)?;
    }
    write::sync_directory(dir)
}

/// Reads the rest of a stream and compares what passed with what the manifest says.
fn verify<R: Read>(
    layer: &Descriptor,
    mut compressed: BufReader<Hashing<Watched<'_, R>>>,
    failed: impl Fn(io::Error) -> LayerError,
) -> Result<(), LayerError> {
    // What follows the archive belongs to the digest; how much that may be is known.
    io::copy(&mut compressed, &mut io::sink()).map_err(failed)?;
    let (found, bytes, _) = compressed.into_inner().finish();
    if bytes != layer.size {
        return Err(LayerError::Size { digest: layer.digest, expected: layer.size, found: bytes });
    }
    if found != layer.digest {
        return Err(LayerError::Digest { expected: layer.digest, found });
    }
    Ok(())
}

/// A layer's directory in the making; removed unless it was given its name.
#[derive(Debug)]
pub(crate) struct Unfinished {
    pub(crate) path: PathBuf,
}

impl Unfinished {
    fn make(tmp: &Path) -> Result<Self, StoreError> {
        let path = tmp.join(Uuid::now_v7().to_string());
        let failed = StoreError::at("begin a layer", &path);
        let unfinished = Self { path: path.clone() };
        let made = write::private_directory(&path).and_then(|()| {
            let tree = path.join("tree");
            std::fs::create_dir(&tree)?;
            // Whoever runs in the image must pass through its root; the store around it is private.
            std::fs::set_permissions(&tree, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        });
        made.map(|()| unfinished).map_err(failed)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // The session's end, or the next process, removes what cannot be removed now.
        let _left = super::live::discard(&self.path);
    }
}

/// The compressed stream: tells how far it is, and ends with an error where the manifest says it ends and it does not.
struct Watched<'a, R> {
    stream: R,
    layer: &'a Descriptor,
    progress: &'a dyn Progress,
    done: u64,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // One byte more than it may have shows that it is longer.
        let most = self.layer.size.saturating_add(1).saturating_sub(self.done);
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(buffer.len());
        let length = self.stream.read(&mut buffer[..most])?;
        self.done += length as u64;
        self.progress.layer(&self.layer.digest, self.done.min(self.layer.size), self.layer.size);
        Ok(length)
    }
}

/// The uncompressed stream, whose length nobody said.
struct Bounded<R> {
    stream: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.stream.read(buffer)? as u64;
        match self.left.checked_sub(length) {
            Some(left) => self.left = left,
            None => {
                let text = format!("the uncompressed layer has more than {} bytes", self.limit);
                return Err(io::Error::other(text));
            }
        }
        Ok(length as usize)
    }
}
