//! Why a command over images failed, its exit code and what to do next.

use navigator_images::{
    ExportError, LayerError, ReferenceError, SourceError, StoreError, UnpackError,
};

use navigator_registry::{MirrorError, NameError, PullError, TrustError};

use crate::output::OutputError;

/// A command that failed.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An import.
    #[error(transparent)]
    Import(#[from] SourceError),
    /// An export.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// A pull.
    #[error(transparent)]
    Pull(#[from] PullError),
    /// The certificate authorities of this machine.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// A name that no registry can have.
    #[error(transparent)]
    RegistryName(#[from] NameError),
    /// A mirror that is no address.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// A layer that was pulled.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// A layer that is named by another algorithm.
    #[error("failed to use the image: its layers are not named by SHA-256")]
    Algorithm,
    /// Where layers arrive.
    #[error("failed to use {path}")]
    Place {
        /// The file or directory.
        path: std::path::PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// What waits for registries.
    #[error("failed to start the event loop")]
    Runtime(#[source] std::io::Error),
    /// A name.
    #[error(transparent)]
    Name(#[from] ReferenceError),
    /// No source that is known.
    #[error("failed to import `{0}`: it names no kind of source")]
    Source(String),
    /// No target that is known.
    #[error("failed to export to `{0}`: it names no kind of target")]
    Target(String),
    /// Text that cannot be printed.
    #[error(transparent)]
    Output(#[from] OutputError),
}

impl ImageError {
    /// 2 for wrong usage, 1 for what is not there or cannot be, 125 for what failed here.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Name(_)
            | Self::RegistryName(_)
            | Self::Mirror(_)
            | Self::Source(_)
            | Self::Target(_) => 2,
            Self::Pull(_) | Self::Layer(_) | Self::Algorithm => 1,
            Self::Trust(_) | Self::Place { .. } | Self::Runtime(_) => 125,
            Self::Store(error) => store_code(error),
            Self::Import(SourceError::Store(error)) => store_code(error),
            Self::Import(SourceError::Layer(LayerError::Store(error))) => store_code(error),
            Self::Import(_) | Self::Export(ExportError::Exists { .. }) => 1,
            Self::Export(ExportError::Store(error)) => store_code(error),
            Self::Export(_) | Self::Output(_) => 125,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let next = match self {
            // The reasons say themselves what to do.
            Self::Pull(_) | Self::Trust(_) | Self::Runtime(_) => return None,
            Self::Mirror(_) => "write `https://HOST` or `REGISTRY=https://HOST`",
            Self::Layer(_) | Self::Algorithm => {
                "do not trust whoever made this image, unless the disk is full"
            }
            Self::Place { .. } => {
                "check who owns the directory, or name another with NAVIGATOR_STATE_DIR"
            }
            Self::Name(_) | Self::RegistryName(_) => {
                "write a name such as `tools:1` or `ghcr.io/owner/tools:1`"
            }
            Self::Source(_) => {
                "write `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]` or `docker-archive:FILE[:TAG]`"
            }
            Self::Target(_) => "write `oci:DIR[:TAG]` or `docker-archive:FILE[:TAG]`",
            Self::Store(error)
            | Self::Import(SourceError::Store(error))
            | Self::Import(SourceError::Layer(LayerError::Store(error)))
            | Self::Export(ExportError::Store(error)) => return store_hint(error),
            Self::Import(error) => import_hint(error),
            Self::Export(ExportError::Exists { .. }) => "name another file, or remove that one",
            Self::Export(_) => "check that there is room, and that you may write there",
            Self::Output(_) => return None,
        };
        Some(next.into())
    }
}

fn store_code(error: &StoreError) -> u8 {
    match error {
        StoreError::File { .. } | StoreError::Damaged { .. } => 125,
        _ => 1,
    }
}

fn store_hint(error: &StoreError) -> Option<String> {
    let next = match error {
        StoreError::NotFound { .. } | StoreError::Gone { .. } => {
            "`navigator image list` shows what there is"
        }
        StoreError::Ambiguous { .. } => "write more of its digits, or its name",
        StoreError::File { .. } => {
            "check who owns the directory, or name another with NAVIGATOR_STATE_DIR"
        }
        StoreError::Damaged { .. } => "remove the damaged file, and import the image again",
        StoreError::Config(_) => "use an image that was built for this machine",
        StoreError::Manifest(_) | StoreError::Digest { .. } | StoreError::Layer { .. } => {
            "write the image again with the tool that made it"
        }
        StoreError::Holder { .. } => return None,
    };
    Some(next.into())
}

fn import_hint(error: &SourceError) -> &'static str {
    match error {
        SourceError::Tag { .. } | SourceError::Several { .. } => {
            "write one of these after the path and a colon"
        }
        SourceError::Layer(LayerError::Unpack { source: UnpackError::Entry { .. }, .. }) => {
            "do not trust whoever made this image, unless the disk is full"
        }
        SourceError::Read { .. } | SourceError::Archive { .. } => {
            "check that it is there, whole, and that you may read it"
        }
        _ => "write the image again with the tool that made it",
    }
}
