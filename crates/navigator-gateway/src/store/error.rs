//! What can go wrong with the store, in the words of those who use it.

use std::path::PathBuf;

/// An error of a database or its driver.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why the store did not do what was asked. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A record of the same kind has this name.
    #[error("the name is taken")]
    NameTaken,
    /// The record has changed since it was read.
    #[error("the record has changed since it was read; read it again")]
    Conflict,
    /// What the change is about is not there.
    #[error("the record does not exist")]
    Missing,
    /// The database can be read and not written.
    #[error("failed to write to the store: it is read-only")]
    ReadOnly(#[source] Cause),
    /// There is no room.
    #[error("failed to write to the store: the disk is full; make room on it")]
    Full(#[source] Cause),
    /// The database does not answer.
    #[error("failed to reach the store")]
    Unavailable(#[source] Cause),
    /// Something in the database is not as this program wrote it.
    #[error("failed to read the store: {0} is damaged")]
    Corrupt(String),
    /// A value would not be the same when it is read again.
    #[error("failed to store {0}: it would not be the same when it is read again")]
    Unstorable(&'static str),
    /// Another process has the database file.
    #[error("failed to open the store: another gateway uses {0}; stop it first")]
    InUse(PathBuf),
    /// The database was made by a later version of this program.
    #[error(
        "failed to open the store: its schema {found} is newer than this program's {known}; use a newer navigator"
    )]
    Newer {
        /// Schema of the database.
        found: i64,
        /// Newest schema that this program knows.
        known: i64,
    },
    /// The secrets in the database were sealed with another key.
    #[error(
        "failed to open the store: its secrets were sealed with another key; give it the key file it was made with"
    )]
    WrongKey,
    /// A file or directory of the store cannot be used.
    #[error("failed to prepare {path} for the store")]
    Path {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}
