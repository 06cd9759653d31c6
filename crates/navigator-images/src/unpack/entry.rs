//! What can be wrong with an entry of a layer.

use std::io;

use rustix::io::Errno;

use crate::limits::{DEPTH, NAME_BYTES, PATH_BYTES};

/// Why an entry is not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// It leads upwards.
    #[error("its path leads out of the layer by `..`")]
    Upwards,
    /// It cannot be a path.
    #[error("its path has a NUL or is empty")]
    NoPath,
    /// It is too long.
    #[error(
        "its path has more than {PATH_BYTES} bytes, a part of more than {NAME_BYTES}, or more than {DEPTH} parts"
    )]
    Long,
    /// A whiteout that hides nothing that could have that name.
    #[error("it is no whiteout that hides a name")]
    Whiteout,
    /// The layer itself is no directory.
    #[error("the layer's own directory is something else in it")]
    Root,
    /// A type that no layer needs.
    #[error("entries of type `{}` are not unpacked", .kind.escape_debug())]
    Kind {
        /// The type's letter.
        kind: char,
    },
    /// A link at a place where a directory must be.
    #[error("a part of its path is a symbolic link or no directory")]
    Parent,
    /// A hard link to something that is not a file of the layer.
    #[error("the target of the hard link is no file of this layer")]
    HardlinkTarget,
    /// The layer is too large.
    #[error("the files of the layer take more than {limit} bytes")]
    Bytes {
        /// Bytes that they may take.
        limit: u64,
    },
    /// The disk is full, or nearly.
    #[error("less than {keep_free} bytes of the disk would be free")]
    Space {
        /// Bytes that stay free.
        keep_free: u64,
    },
    /// The system makes no whiteouts for this user.
    #[error(
        "the file system or the system does not let this user make whiteouts, which Linux 5.8 does"
    )]
    WhiteoutDenied(#[source] io::Error),
    /// Its data.
    #[error("its data cannot be read")]
    Read(#[source] io::Error),
    /// Making it.
    #[error("it cannot be made")]
    Write(#[source] io::Error),
}

impl From<Errno> for EntryError {
    fn from(error: Errno) -> Self {
        Self::Write(error.into())
    }
}

impl EntryError {
    pub(super) fn parent(error: Errno) -> Self {
        match error {
            Errno::LOOP | Errno::NOTDIR | Errno::XDEV => Self::Parent,
            Errno::NOENT => Self::HardlinkTarget,
            error => error.into(),
        }
    }

    pub(super) fn whiteout(error: Errno) -> Self {
        match error {
            Errno::PERM => Self::WhiteoutDenied(error.into()),
            error => error.into(),
        }
    }
}
