//! Pulls images from registries that speak the OCI distribution specification.
//!
//! What a registry says is checked here: every byte that is handed on has the digest and the size that were asked
//! for, every answer has a bound, and no credential leaves for another host than the one it belongs to.
//!
//! ```no_run
//! # async fn pull() -> Result<(), Box<dyn std::error::Error>> {
//! use navigator_registry::{Client, Download, ImageName, Options, Platform, Silent};
//!
//! let client = Client::new(Options::from_environment())?;
//! let image: ImageName = "docker.io/library/debian:12".parse()?;
//! let found = client.resolve(&image, &Platform::this_machine(), &Silent).await?;
//! let layers = found.manifest.layers.iter().map(|layer| Download {
//!     blob: layer.blob.clone(),
//!     path: format!("/var/cache/layers/{}", layer.blob.digest.hex()).into(),
//! });
//! client.download(&found, layers.collect(), &Silent).await?;
//! # Ok(()) }
//! ```
//!
//! With a digest in the name, nothing that a registry or a mirror says can change the image. With a tag, whoever
//! answers first (the first mirror that works, else the registry) decides which image that tag is.
#![forbid(unsafe_code)]

mod address;
mod authenticate;
mod blob;
mod body;
mod challenge;
mod client;
mod credentials;
mod digest;
mod endpoint;
mod error;
mod limits;
mod manifest;
mod name;
mod options;
mod partial;
mod platform;
mod progress;
mod redirect;
mod resolve;
mod retry;
mod session;
mod transport;
mod trust;

pub use client::{Client, Download};
pub use credentials::{CredentialError, CredentialFiles};
pub use digest::{Digest, DigestError};
pub use endpoint::{Mirror, MirrorError};
pub use error::{Failure, PullError, TransportError};
pub use manifest::{Compression, Descriptor, Layer, Manifest, ManifestError};
pub use name::{ImageName, NameError, Selector};
pub use options::{Options, Retry, Timeouts};
pub use platform::Platform;
pub use progress::{Event, Progress, Silent};
pub use resolve::Resolved;
pub use trust::TrustError;
