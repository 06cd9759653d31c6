//! How far a layer is.

use crate::digest::Digest;

/// Hears how layers come in; called from the thread that reads the layer.
pub trait Progress: Sync {
    /// `done` of `total` bytes of the layer that the manifest calls `digest` have been read.
    fn layer(&self, digest: &Digest, done: u64, total: u64);

    /// The layer is in the store already, or now.
    fn have(&self, digest: &Digest);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug)]
pub struct Quiet;

impl Progress for Quiet {
    fn layer(&self, _digest: &Digest, _done: u64, _total: u64) {}

    fn have(&self, _digest: &Digest) {}
}
