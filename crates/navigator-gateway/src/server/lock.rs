//! One gateway for one state directory.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

/// The right of everybody to write.
const EVERYBODY: u32 = 0o002;

/// A state directory that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another gateway uses it.
    #[error("failed to use {}: another gateway runs on it (process {pid})", directory.display())]
    Taken {
        /// The directory.
        directory: PathBuf,
        /// What the other one says its process id is.
        pid: String,
    },
    /// Others could change what is kept in it, and what runs.
    #[error(
        "failed to use {} as state directory: it belongs to somebody else, or everybody may write in it",
        directory.display()
    )]
    Exposed {
        /// The directory.
        directory: PathBuf,
    },
    /// The system refused.
    #[error("failed to use {} as state directory", directory.display())]
    System {
        /// The directory.
        directory: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// Holds a state directory; the kernel frees it when the process ends, however it ends.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

impl StateLock {
    /// Makes the directory if it is missing, for this user only, and holds it.
    ///
    /// # Errors
    /// [`LockError`] when another gateway holds it, or it cannot be made.
    pub fn take(directory: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::System { directory: directory.to_owned(), source };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
        let found = std::fs::metadata(directory).map_err(failed)?;
        let own = rustix::process::geteuid().as_raw();
        if found.uid() != own || found.mode() & EVERYBODY != 0 {
            return Err(LockError::Exposed { directory: directory.to_owned() });
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(directory.join("gateway.lock")).map_err(failed)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                let read = Read::by_ref(&mut file).take(16).read_to_string(&mut pid);
                let pid = if read.is_ok() { pid.trim().to_owned() } else { String::new() };
                return Err(LockError::Taken { directory: directory.to_owned(), pid });
            }
            Err(error) => return Err(failed(error.into())),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_everybody_may_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
        std::fs::set_permissions(dir.path(), mode).unwrap();
        assert!(matches!(StateLock::take(dir.path()), Err(LockError::Exposed { .. })));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_second_gateway_is_refused_and_told_by_whom() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let held = StateLock::take(&state).unwrap();
        let refused = StateLock::take(&state).unwrap_err().to_string();
        assert!(refused.contains(&std::process::id().to_string()), "{refused}");
        drop(held);
        StateLock::take(&state).unwrap();
    }
}
