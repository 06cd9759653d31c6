//! Secrets at rest: AES-256-GCM, bound to the place that they are kept in, so that none can be moved to another.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use zeroize::Zeroizing;

use crate::records::Secret;

/// Bytes of a key.
const KEY_BYTES: usize = 32;
/// Which key sealed a secret: the first byte of each, so that keys can change one day. There is one so far.
pub(super) const KEY_ID: u8 = 1;
/// Permissions of anybody but the owner.
const OTHERS: u32 = 0o077;

/// The key that secrets are sealed with; never printed.
#[derive(Clone)]
pub struct SealingKey(Arc<RandomizedNonceKey>);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealingKeyError {
    /// The file cannot be made.
    #[error("failed to make the key file {path}")]
    Make {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file cannot be read.
    #[error("failed to read the key file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others may read the file.
    #[error("failed to trust the key file {0}: others may use it; run `chmod 600 {0}`")]
    Exposed(PathBuf),
    /// The file is somebody else's.
    #[error("failed to trust the key file {0}: it belongs to somebody else")]
    Foreign(PathBuf),
    /// The file holds no key.
    #[error("failed to use the key file {0}: it is no file of 32 bytes; put the right one back")]
    Malformed(PathBuf),
    /// The system gives no random bytes.
    #[error("failed to get random bytes from the system")]
    Random,
}

/// A secret that was not sealed here, or with another key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to unseal a secret")]
pub(super) struct UnsealError;

/// Where a secret is kept.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// Table.
    pub(super) table: &'a str,
    /// Id of the row.
    pub(super) row: &'a str,
    /// What it is called there.
    pub(super) name: &'a str,
}

impl SealingKey {
    /// Takes a key over, for tests and for keys that are kept elsewhere.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; KEY_BYTES]) -> Self {
        let key = RandomizedNonceKey::new(&AES_256_GCM, bytes);
        Self(Arc::new(key.expect("AES-256 takes every key of 32 bytes")))
    }

    /// Reads the key from a file, which is made on first use: for its owner only and never half written.
    ///
    /// # Errors
    /// When it cannot be made or read, when it belongs to somebody else, when others may use it, or when it is no
    /// key.
    pub fn load_or_create(path: &Path) -> Result<Self, SealingKeyError> {
        match open(path) {
            Err(source) if source.kind() == io::ErrorKind::NotFound => create(path)?,
            Err(source) => return Err(SealingKeyError::Read { path: path.into(), source }),
            Ok(file) => return read(path, file),
        }
        let file = open(path);
        read(path, file.map_err(|source| SealingKeyError::Read { path: path.into(), source })?)
    }

    /// Seals a secret for a place.
    pub(super) fn seal(&self, secret: &[u8], place: Place<'_>) -> Vec<u8> {
        // The sealed bytes replace the secret where it stands; the copy must not be moved by growing.
        let mut sealed = Zeroizing::new(Vec::with_capacity(secret.len() + AES_256_GCM.tag_len()));
        sealed.extend_from_slice(secret);
        let nonce = self.0.seal_in_place_append_tag(place.data(), &mut *sealed);
        // Only secrets of more than 64 GiB cannot be sealed.
        let nonce = nonce.expect("secrets are short");
        [&[KEY_ID], nonce.as_ref().as_slice(), sealed.as_slice()].concat()
    }

    /// Unseals what was sealed for the same place.
    pub(super) fn unseal(&self, sealed: &[u8], place: Place<'_>) -> Result<Secret, UnsealError> {
        let (&key_id, rest) = sealed.split_first().ok_or(UnsealError)?;
        let (nonce, rest) = rest.split_at_checked(NONCE_LEN).ok_or(UnsealError)?;
        if key_id != KEY_ID {
            return Err(UnsealError);
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| UnsealError)?;
        let mut bytes = Zeroizing::new(rest.to_vec());
        let plain = self.0.open_in_place(nonce, place.data(), &mut bytes);
        let plain = std::str::from_utf8(plain.map_err(|_| UnsealError)?);
        Ok(Secret::new(plain.map_err(|_| UnsealError)?.to_owned()))
    }
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SealingKey([redacted])")
    }
}

impl Place<'_> {
    /// The place as bytes that no other place has: each part with its length before it.
    fn data(self) -> Aad<Vec<u8>> {
        let mut bytes = vec![KEY_ID];
        for part in [self.table, self.row, self.name] {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        Aad::from(bytes)
    }
}

fn open(path: &Path) -> io::Result<File> {
    // Neither a symbolic link nor a pipe that waits for a writer is a key file.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

fn read(path: &Path, mut file: File) -> Result<SealingKey, SealingKeyError> {
    let unreadable = |source| SealingKeyError::Read { path: path.into(), source };
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(SealingKeyError::Foreign(path.into()));
    }
    if metadata.mode() & OTHERS != 0 {
        return Err(SealingKeyError::Exposed(path.into()));
    }
    if !metadata.is_file() || metadata.len() != KEY_BYTES as u64 {
        return Err(SealingKeyError::Malformed(path.into()));
    }
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    file.read_exact(bytes.as_mut_slice()).map_err(unreadable)?;
    Ok(SealingKey::from_bytes(&bytes))
}

/// Makes the file under another name and then gives it its own, unless another process was faster.
fn create(path: &Path) -> Result<(), SealingKeyError> {
    let failed = |source| SealingKeyError::Make { path: path.into(), source };
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    aws_lc_rs::rand::fill(bytes.as_mut_slice()).map_err(|_| SealingKeyError::Random)?;
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    // `tempfile` makes files with O_EXCL and for their owner only.
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
    file.write_all(bytes.as_slice()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(failed(error.error));
        }
        _ => {}
    }
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)
}
