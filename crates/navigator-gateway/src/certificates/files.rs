//! Certificates and keys on disk: private, written whole or not at all, read with a bound.

use std::fs::DirBuilder;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use zeroize::Zeroizing;

use super::{CertificateError, invalid};

/// Most bytes of a file: a chain of certificates and a key have a tenth of it.
const MOST_BYTES: u64 = 256 * 1024;
/// Rights that strangers must not have on a file with a key.
const STRANGERS: u32 = 0o007;

/// Makes a directory for this user only, if it is missing.
pub(super) fn directory(path: &Path) -> Result<(), CertificateError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(failed("make the directory", path))
}

pub(super) fn is_there(path: &Path) -> Result<bool, CertificateError> {
    path.try_exists().map_err(failed("look for", path))
}

/// Names of the files in a directory; none when it is missing.
pub(super) fn names(path: &Path) -> Result<Vec<String>, CertificateError> {
    let entries = match std::fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        entries => entries.map_err(failed("read", path))?,
    };
    let name = |entry: io::Result<std::fs::DirEntry>| Ok(entry?.file_name());
    let names: io::Result<Vec<_>> = entries.map(name).collect();
    let names = names.map_err(failed("read", path))?;
    Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
}

/// Writes a file that must not be there yet.
pub(super) fn write_new(path: &Path, text: &str) -> Result<(), CertificateError> {
    match written(path, text)?.persist_noclobber(path) {
        Ok(_) => kept(path),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            Err(CertificateError::Exists { path: path.to_owned() })
        }
        Err(error) => Err(failed("write", path)(error.error)),
    }
}

/// Replaces a file.
pub(super) fn replace(path: &Path, text: &str) -> Result<(), CertificateError> {
    written(path, text)?.persist(path).map_err(|error| failed("write", path)(error.error))?;
    kept(path)
}

/// A temporary file beside the path, 0600, with the text in it and on disk.
fn written(path: &Path, text: &str) -> Result<tempfile::NamedTempFile, CertificateError> {
    let write = || {
        let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(parent)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        Ok(file)
    };
    write().map_err(failed("write", path))
}

/// Sees to it that the new name of a file is on disk as well.
fn kept(path: &Path) -> Result<(), CertificateError> {
    let sync =
        || std::fs::File::open(path.parent().ok_or(io::ErrorKind::InvalidInput)?)?.sync_all();
    sync().map_err(failed("write", path))
}

/// A file's text.
pub(super) fn read(path: &Path) -> Result<Zeroizing<String>, CertificateError> {
    let mut text = Zeroizing::new(String::new());
    let file = std::fs::File::open(path).map_err(failed("read", path))?;
    match file.take(MOST_BYTES + 1).read_to_string(&mut text) {
        Ok(read) if read as u64 > MOST_BYTES => {
            Err(invalid(path, "it is too large to be what it should be"))
        }
        Ok(_) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(invalid(path, "it is no text; PEM is"))
        }
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// The certificates in a file, the first first.
pub(super) fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let text = read(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) | Err(_) => Err(invalid(path, "it holds no certificate in PEM")),
    }
}

/// The first certificate in a file.
pub(super) fn certificate(path: &Path) -> Result<CertificateDer<'static>, CertificateError> {
    Ok(chain(path)?.swap_remove(0))
}

/// The key in a file, as PEM was meant to be kept: for this user, or a group that somebody chose.
pub(super) fn key(path: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
    let mode = std::fs::metadata(path).map_err(failed("read", path))?.mode();
    if mode & STRANGERS != 0 {
        return Err(invalid(path, "everybody may read the key in it; run `chmod 600` on it"));
    }
    PrivateKeyDer::from_pem_slice(read(path)?.as_bytes())
        .map_err(|_| invalid(path, "it holds no private key in PEM"))
}

pub(super) fn parsed<'a>(
    path: &Path,
    der: &'a [u8],
) -> Result<X509Certificate<'a>, CertificateError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) | Err(_) => Err(invalid(path, "its certificate cannot be read")),
    }
}

pub(super) fn failed(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> CertificateError {
    let path: PathBuf = path.to_owned();
    move |source| CertificateError::File { action, path, source }
}
