//! What a caller is told while a pull goes on.

use std::time::Duration;

use crate::digest::Digest;

/// Hears what happens; called often and from several transfers at once, so that it must be quick.
pub trait Progress: Send + Sync {
    /// Something happened.
    fn event(&self, event: Event<'_>);
}

/// What happens while an image is pulled.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A mirror failed; the next one, or the registry itself, is asked instead.
    MirrorFailed {
        /// The mirror's host.
        mirror: &'a str,
        /// Why, with its causes.
        why: String,
    },
    /// A request failed and is made again.
    Retrying {
        /// Why, with its causes.
        why: String,
        /// The pause before.
        after: Duration,
    },
    /// A layer is already there, whole.
    Cached {
        /// The layer.
        digest: &'a Digest,
        /// Its size.
        total: u64,
    },
    /// A layer begins to come, after what an earlier pull left of it.
    Started {
        /// The layer.
        digest: &'a Digest,
        /// Bytes that are there from before; more than 0 when it is resumed.
        resumed: u64,
        /// Its size.
        total: u64,
    },
    /// More of a layer came.
    Received {
        /// The layer.
        digest: &'a Digest,
        /// Bytes that are there now.
        done: u64,
        /// Its size.
        total: u64,
    },
    /// A layer is there, whole and verified.
    Finished {
        /// The layer.
        digest: &'a Digest,
        /// Its size.
        total: u64,
    },
}

/// Tells nobody.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {
    fn event(&self, _event: Event<'_>) {}
}
