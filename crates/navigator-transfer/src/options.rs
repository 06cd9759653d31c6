//! What a caller says about a transfer, and what it hears.

use std::path::{Path, PathBuf};

/// Whether times and exact permissions are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preserve {
    /// New files have their own times; of permissions, those that the receiver's mask allows.
    #[default]
    No,
    /// Times and permissions as they are at the source.
    Yes,
}

/// What happens with symbolic links on the user's side that are uploaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Links {
    /// They are copied as links.
    #[default]
    Copy,
    /// What they name is copied. The user's side only: links of a sandbox are never followed.
    Follow,
}

/// How a copy is done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Times and permissions.
    pub preserve: Preserve,
    /// Symbolic links.
    pub links: Links,
}

/// What happens during a transfer.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// What will be transferred, once it is known.
    Total {
        /// How many files.
        files: u64,
        /// How many bytes.
        bytes: u64,
    },
    /// That many bytes more are there, also those that were there before.
    Bytes(u64),
    /// A file is there under its name. The path may come from the sandbox: show it harmlessly.
    File(&'a Path),
}

/// Hears what happens during a transfer. Calls come often and must be quick.
pub trait Progress: Send + Sync {
    /// Something happened.
    fn event(&self, event: Event<'_>);
}

/// Hears nothing.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _: Event<'_>) {}
}

/// What was done.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Files that were transferred.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What was deleted on the receiving side.
    pub deleted: u64,
    /// What was left out, and why; raw paths.
    pub skipped: Vec<(PathBuf, Skipped)>,
}

/// Why something was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// A device, a pipe or a socket.
    Special,
    /// A link of the sandbox that names something outside the directory.
    LinkOutside,
    /// The repository's own directory, whose hooks would run on the user's side.
    Repository,
}
