//! The host key of a sandbox.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use russh::keys::ssh_key::{self, LineEnding};
use russh::keys::{Algorithm, HashAlg, PrivateKey};
use zeroize::Zeroizing;

/// Longest file of a key; an Ed25519 key has about 400 bytes.
const FILE: u64 = 16 << 10;

/// An Ed25519 host key. It is not copied to where it could be printed.
#[derive(Clone)]
pub struct HostKey {
    key: PrivateKey,
}

/// Why there is no host key.
#[derive(Debug, thiserror::Error)]
pub enum HostKeyError {
    /// The file cannot be read or written.
    #[error("failed to use the host key {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// No key can be made or written down.
    #[error("failed to make a host key")]
    Make(#[source] ssh_key::Error),
    /// It is not a key in OpenSSH's format.
    #[error("failed to read a host key")]
    Read(#[source] ssh_key::Error),
    /// It is another kind of key.
    #[error("failed to read a host key: it is not an Ed25519 key without a passphrase")]
    Kind,
}

impl HostKey {
    /// Makes a new key.
    ///
    /// # Errors
    ///
    /// When no key can be made.
    pub fn generate() -> Result<Self, HostKeyError> {
        let mut random = russh::keys::key::safe_rng();
        let key = PrivateKey::random(&mut random, Algorithm::Ed25519);
        Ok(Self { key: key.map_err(HostKeyError::Make)? })
    }

    /// Reads a key in OpenSSH's format.
    ///
    /// # Errors
    ///
    /// When it is not an Ed25519 key in that format, or has a passphrase.
    pub fn from_openssh(text: &str) -> Result<Self, HostKeyError> {
        let key = PrivateKey::from_openssh(text).map_err(HostKeyError::Read)?;
        let ours = key.algorithm() == Algorithm::Ed25519 && !key.is_encrypted();
        ours.then_some(Self { key }).ok_or(HostKeyError::Kind)
    }

    /// The key in OpenSSH's format.
    ///
    /// # Errors
    ///
    /// When it cannot be written in it.
    pub fn to_openssh(&self) -> Result<Zeroizing<String>, HostKeyError> {
        self.key.to_openssh(LineEnding::LF).map_err(HostKeyError::Make)
    }

    /// The key that a file holds; a new one, written to it for its owner only, when there is no file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or written, is a link, or holds something else.
    pub fn kept_at(path: &Path) -> Result<Self, HostKeyError> {
        let file = |cause| HostKeyError::File { path: path.to_owned(), cause };
        match read(path) {
            Ok(text) => Self::from_openssh(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = Self::generate()?;
                write(path, &key.to_openssh()?).map_err(file)?;
                Ok(key)
            }
            Err(error) => Err(file(error)),
        }
    }

    /// What a line of `known_hosts` says after the name of the host.
    ///
    /// # Errors
    ///
    /// When it cannot be written in that format.
    pub fn public_line(&self) -> Result<String, HostKeyError> {
        let mut public = self.key.public_key().clone();
        public.set_comment("");
        public.to_openssh().map_err(HostKeyError::Make)
    }

    /// The fingerprint as OpenSSH shows it: `SHA256:…`.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.key.public_key().fingerprint(HashAlg::Sha256).to_string()
    }

    pub(crate) fn key(&self) -> PrivateKey {
        self.key.clone()
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostKey({})", self.fingerprint())
    }
}

fn no_follow() -> i32 {
    rustix::fs::OFlags::NOFOLLOW.bits().cast_signed()
}

fn read(path: &Path) -> io::Result<Zeroizing<String>> {
    let file = OpenOptions::new().read(true).custom_flags(no_follow()).open(path)?;
    let mut text = Zeroizing::new(String::new());
    file.take(FILE).read_to_string(&mut text)?;
    Ok(text)
}

/// Writes beside it and links it there, so that a file is whole or not there, and is never replaced.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| std::fs::hard_link(&new, path));
    std::fs::remove_file(&new)?;
    linked
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_key_is_kept_and_shows_no_secret() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("host_key");
        let key = HostKey::kept_at(&path).unwrap();
        let again = HostKey::kept_at(&path).unwrap();
        assert_eq!(key.public_line().unwrap(), again.public_line().unwrap());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
        assert!(key.public_line().unwrap().starts_with("ssh-ed25519 AAAA"));
        assert!(key.fingerprint().starts_with("SHA256:"));
        assert_eq!(format!("{key:?}"), format!("HostKey({})", key.fingerprint()));
    }

    #[test]
    fn a_link_and_a_broken_key_are_refused() {
        let home = tempfile::tempdir().unwrap();
        let (path, link) = (home.path().join("key"), home.path().join("link"));
        HostKey::kept_at(&path).unwrap();
        symlink(&path, &link).unwrap();
        assert!(matches!(HostKey::kept_at(&link), Err(HostKeyError::File { .. })));
        std::fs::write(&path, "nothing").unwrap();
        assert!(matches!(HostKey::kept_at(&path), Err(HostKeyError::Read(_))));
    }
}
