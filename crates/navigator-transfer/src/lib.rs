//! Copies and syncs files with a sandbox whose file server is not trusted.
//!
//! What the other side says is checked here: names are single parts of a path, listings and trees have bounds, a
//! file is no longer than it was announced to be. The user's own side is walked by descriptors of directories and
//! never through a symbolic link below the directory that the user named, so that neither the sandbox nor a race
//! reads or writes outside it.
//!
//! What the protocol cannot prevent: names on the sandbox's side are looked up by the server, so that whoever
//! controls the sandbox can redirect what is uploaded to another place *in the sandbox*. Links that are there before
//! are refused; the sandbox's own restrictions bound the rest.
#![forbid(unsafe_code)]

mod apply;
pub mod client;
mod copy;
mod entry;
mod error;
mod file;
mod ignores;
mod local;
mod name;
mod options;
mod remote;
mod sync;
mod watch;

pub use client::Client;
pub use copy::{copy_down, copy_up};
pub use error::TransferError;
pub use name::{Name, RemotePath};
pub use options::{Event, Links, Options, Preserve, Progress, Report, Silent, Skipped};
pub use sync::{Compare, Extra, SyncOptions, sync_down, sync_up};
pub use watch::watch_up;
