//! The content an executable had at its first use: what replaces it later is not it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::Stat;

use super::error::IdentityError;
use crate::limits::{MAX_EXECUTABLE, MAX_PINS};

/// What a file's metadata say about its content without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    size: i64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Fingerprint {
    #[expect(
        clippy::useless_conversion,
        clippy::unnecessary_cast,
        reason = "the widths of these fields differ between architectures"
    )]
    pub(crate) fn of(stat: &Stat) -> Fingerprint {
        Fingerprint {
            device: stat.st_dev.into(),
            inode: stat.st_ino.into(),
            size: stat.st_size as i64,
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        }
    }

    /// Whether all of the file can be read for its hash.
    pub(super) fn is_readable_whole(&self) -> bool {
        u64::try_from(self.size).is_ok_and(|size| size <= MAX_EXECUTABLE)
    }
}

/// A file whose content is known now.
pub(super) struct Hashed {
    pub(super) path: Arc<str>,
    pub(super) fingerprint: Fingerprint,
    pub(super) sha256: String,
    pub(super) loads_modules: bool,
}

/// The pinned executables of one sandbox.
#[derive(Debug, Default)]
pub struct Pins {
    by_path: Mutex<HashMap<Arc<str>, Pin>>,
}

/// What a content was found to be.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) sha256: Arc<str>,
    /// Made to load other people's code.
    pub(super) loads_modules: bool,
}

#[derive(Debug)]
struct Pin {
    content: Content,
    fingerprint: Fingerprint,
    /// A later content that was found to differ, so that it is read once only.
    rejected: Option<Fingerprint>,
}

/// What is known about a file with a fingerprint at a path.
pub(super) enum Known {
    Same(Content),
    Replaced,
    Unknown,
}

impl Pins {
    /// Accepts whatever is at `path` at its next use: a person has looked at the replacement.
    pub fn accept_replacement(&self, path: &str) {
        self.lock().remove(path);
    }

    pub(super) fn look_up(&self, path: &str, fingerprint: &Fingerprint) -> Known {
        match self.lock().get(path) {
            Some(pin) if pin.fingerprint == *fingerprint => Known::Same(pin.content.clone()),
            Some(pin) if pin.rejected == Some(*fingerprint) => Known::Replaced,
            Some(_) | None => Known::Unknown,
        }
    }

    pub(super) fn knows(&self, path: &str, fingerprint: &Fingerprint) -> bool {
        !matches!(self.look_up(path, fingerprint), Known::Unknown)
    }

    /// Pins a first content, or compares a later one with it. Metadata may change (a new hard
    /// link, a `touch`) while the content stays, so only the content decides.
    pub(super) fn settle(&self, hashed: Hashed) -> Result<(), IdentityError> {
        let mut pins = self.lock();
        if let Some(pin) = pins.get_mut(&hashed.path) {
            if *pin.content.sha256 == *hashed.sha256 {
                pin.fingerprint = hashed.fingerprint;
            } else {
                pin.rejected = Some(hashed.fingerprint);
            }
            return Ok(());
        }
        if pins.len() >= MAX_PINS {
            return Err(IdentityError::TooMany { what: "executables", limit: MAX_PINS });
        }
        let content = Content { sha256: hashed.sha256.into(), loads_modules: hashed.loads_modules };
        let pin = Pin { content, fingerprint: hashed.fingerprint, rejected: None };
        pins.insert(hashed.path, pin);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<str>, Pin>> {
        self.by_path.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
