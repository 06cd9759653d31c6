//! What happens to a full audit file: it gets a name with the time, and a new file goes on with its chain.
//!
//! The order makes every moment safe to be killed in: the full file gets its second name, then a last line that
//! says so, and only then the prepared new file takes over the first name. A name always leads to a file, and the
//! last line of the old file tells every other writer where to go.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::history;
use super::line::{Continued, Event, Rotated};

/// Bytes at which a file is full: about a hundred thousand decisions.
pub const ROTATE_AT: u64 = 64 * 1024 * 1024;
/// Full files that are kept, about 1 GiB together. What runs in a sandbox can cause any number of records, and they
/// must not fill the disk; what is removed is recorded.
pub const KEPT: usize = 15;

/// When to rotate and what to keep.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) rotate_at: u64,
    pub(super) kept: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { rotate_at: ROTATE_AT, kept: KEPT }
    }
}

/// Gives the file its second name and returns it, with the event that says so.
pub(super) fn set_aside(path: &Path) -> io::Result<(String, Event)> {
    let time = Timestamp::now();
    let name = history::name_at(path, time);
    std::fs::hard_link(path, path.with_file_name(&name))?;
    Ok((name.clone(), Event::Rotated(Rotated { time, to: name })))
}

/// Undoes [`set_aside`].
pub(super) fn take_back(path: &Path, name: &str) {
    if let Err(error) = std::fs::remove_file(path.with_file_name(name)) {
        tracing::warn!(name, %error, "failed to remove the second name of the audit file");
    }
}

/// The name that a full file has besides the first one.
pub(super) fn name_aside(path: &Path, file: &File) -> io::Result<String> {
    let ours = file.metadata()?;
    let same = |other: &PathBuf| {
        std::fs::metadata(other)
            .is_ok_and(|other| (other.dev(), other.ino()) == (ours.dev(), ours.ino()))
    };
    let found = history::named_aside(path).into_iter().rfind(same);
    if let Some(name) = found.as_deref().and_then(history::file_name) {
        return Ok(name);
    }
    // Somebody removed the second name since; without one the file would be lost when it is replaced.
    set_aside(path).map(|(name, _)| name)
}

/// A new, empty file that nobody knows yet, readable by the same people.
pub(super) fn successor(path: &Path) -> io::Result<(File, PathBuf)> {
    let name = history::file_name(path).unwrap_or_default();
    let temporary = path.with_file_name(format!(".{name}.next"));
    // Left behind by a writer that was killed; whoever is here holds the lock of the full file.
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let file =
        OpenOptions::new().read(true).append(true).create_new(true).mode(0o600).open(&temporary)?;
    file.set_permissions(std::fs::metadata(path)?.permissions())?;
    Ok((file, temporary))
}

/// The oldest full files beyond those to keep.
pub(super) fn surplus(path: &Path, kept: usize) -> Vec<PathBuf> {
    let mut files = history::named_aside(path);
    files.truncate(files.len().saturating_sub(kept));
    files
}

/// The first event of a new file.
pub(super) fn continuation(from: String, surplus: &[PathBuf]) -> Event {
    let removed = surplus.iter().filter_map(|file| history::file_name(file)).collect();
    Event::Continued(Continued { time: Timestamp::now(), from, removed })
}

/// Removes full files.
pub(super) fn remove(surplus: &[PathBuf]) {
    for old in surplus {
        if let Err(error) = std::fs::remove_file(old) {
            tracing::warn!(path = %old.display(), %error, "failed to remove an old audit file");
        }
    }
}
