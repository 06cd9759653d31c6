//! Container images in a store of their own: layers are verified, unpacked once, and mounted by overlayfs; what runs is
//! never removed. Whoever makes an image or writes in a sandbox is not trusted.
#![forbid(unsafe_code)]

mod archive;
mod beneath;
mod compression;
mod config;
mod digest;
mod image;
mod limits;
pub mod manifest;
mod progress;
mod reference;
mod source;
mod store;
mod unpack;

pub use archive::ArchiveError;
pub use config::{ConfigError, ImageConfig, PlatformName, Step};
pub use digest::{Digest, DigestError};
pub use image::{Image, Layer};
pub use limits::{CONFIG_BYTES, Limits, MANIFEST_BYTES};
pub use progress::{Progress, Quiet};
pub use reference::{Reference, ReferenceError};
pub use source::{Source, SourceError};
pub use store::{Adding, LayerError, Lease, Pruned, Scope, Store, StoreError};
pub use unpack::{Contents, EntryError, UnpackError};
