//! Container images in a store of their own: layers are verified, unpacked once, and mounted by overlayfs; what runs is
//! never removed. Whoever makes an image or writes in a sandbox is not trusted.
#![forbid(unsafe_code)]

mod archive;
mod beneath;
mod changes;
mod commit;
mod compression;
mod config;
mod copy;
mod digest;
mod export;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod image;
mod limits;
pub mod manifest;
mod pack;
mod progress;
mod reading;
mod reference;
mod source;
mod store;
mod unpack;

pub use archive::ArchiveError;
pub use changes::{Change, ChangeKind, ChangesError, changes};
pub use commit::CommitError;
pub use config::{ConfigError, ImageConfig, PlatformName, Step};
pub use copy::{CopyError, copy_tree};
pub use digest::{Digest, DigestError};
pub use export::{ExportError, Exported, Target};
pub use image::{Image, Layer};
pub use limits::{CONFIG_BYTES, Limits, MANIFEST_BYTES};
pub use progress::{Progress, Quiet};
pub use reference::{Reference, ReferenceError};
pub use source::{Source, SourceError};
pub use store::{Adding, LayerError, Lease, Pruned, Scope, Store, StoreError};
pub use unpack::{Contents, EntryError, UnpackError};
