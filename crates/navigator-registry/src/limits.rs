//! How much a registry may say, and how long it may take.

use std::time::Duration;

/// Bytes of a manifest, an index or an image's configuration: what the distribution specification asks registries to
/// accept at least, and far more than any image needs.
pub const DOCUMENT_BYTES: u64 = 4 << 20;
/// Bytes of a token endpoint's answer. Tokens travel in a header, so that longer ones would be of no use.
pub const TOKEN_ANSWER_BYTES: u64 = 64 << 10;
/// Bytes of a token: must fit a header with the rest of the head.
pub const TOKEN_BYTES: usize = 32 << 10;
/// Bytes of an answer's head; redirects to object stores carry signed locations of a few thousand bytes.
pub const HEAD_BYTES: usize = 64 << 10;
/// Lines of an answer's head.
pub const HEAD_LINES: usize = 128;
/// Bytes of one layer. The largest images in use have layers of some tens of GiB.
pub const LAYER_BYTES: u64 = 64 << 30;
/// Layers of one image; overlayfs of current kernels stacks 500.
pub const LAYERS: usize = 500;
/// Entries of an index.
pub const INDEX_ENTRIES: usize = 1024;
/// Indexes within indexes.
pub const INDEX_DEPTH: usize = 3;
/// Redirects of one request.
pub const REDIRECTS: usize = 5;
/// Layers that are fetched at once.
pub const LAYERS_AT_ONCE: usize = 3;
/// A file of credentials.
pub const CREDENTIAL_FILE_BYTES: u64 = 1 << 20;
/// What a credential helper may print.
pub const HELPER_BYTES: u64 = 64 << 10;
/// How long a credential helper may take: it may ask the user to unlock a keyring.
pub const HELPER_DEADLINE: Duration = Duration::from_secs(60);
/// The longest pause that a registry can ask for with `Retry-After`; longer ones are an error that names it.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);
/// What must come within one idle deadline while a body is read, so that a trickle does not hold a pull forever.
pub const LEAST_PROGRESS: u64 = 1 << 10;
/// A transfer that brought this much before it broke starts with fresh attempts.
pub const FRESH_ATTEMPTS_AFTER: u64 = 4 << 20;
