//! Why a transfer failed.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::client::ClientError;

/// Why a transfer failed. Paths of the sandbox are raw: whoever shows them makes them harmless first.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The user's side.
    #[error("failed to {action} {path:?} here")]
    Local {
        /// What was tried.
        action: &'static str,
        /// The path below the directory that the user named.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The sandbox's side.
    #[error("failed to {action} {path:?} in the sandbox")]
    Remote {
        /// What was tried.
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// The server's reason.
        #[source]
        source: ClientError,
    },
    /// A name that could leave its directory.
    #[error(
        "failed to list {directory:?}: the sandbox named an entry {name:?}, which no directory has"
    )]
    Name {
        /// The directory that was listed.
        directory: PathBuf,
        /// The name, with what is not text made visible.
        name: String,
    },
    /// A tree with more than is transferred at once.
    #[error("failed to list {path:?}: it has more than {limit} {what}")]
    TooMuch {
        /// Where the limit was reached.
        path: PathBuf,
        /// What was counted.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// A file that changed while it was read.
    #[error("failed to copy {0:?}: it became shorter while it was read; copy it again")]
    Changed(PathBuf),
    /// Something that is in the way of what is copied.
    #[error(
        "failed to write {0:?}: something of another kind, or a link, is in its place; remove it first"
    )]
    InTheWay(PathBuf),
    /// Neither a file nor a directory nor a link.
    #[error("failed to copy {0:?}: it is neither a file nor a directory nor a link")]
    Special(PathBuf),
    /// Watching ended.
    #[error("failed to watch {path:?}")]
    Watch {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: notify::Error,
    },
}
