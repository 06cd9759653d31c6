//! Why a policy command failed.

use navigator_policy::{AddressRefusal, CasesError, HostError, PathError, RequestPathError};

use crate::output::OutputError;
use crate::sandbox::error::SandboxError;
use crate::text_file::{ReadError, WriteError};

/// A policy command that failed.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The file.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What it says.
    #[error("failed to use the policy {file}: it has {count} {}", if *count == 1 { "error" } else { "errors" })]
    Invalid {
        /// The file.
        file: String,
        /// How many errors there are.
        count: usize,
        /// Each error with its place.
        rendered: String,
    },
    /// A host that is none.
    #[error("failed to understand the host `{text}`")]
    Host {
        /// What was given.
        text: String,
        /// Why.
        source: HostError,
    },
    /// An address that no policy can allow.
    #[error("failed to allow the host `{text}`")]
    Address {
        /// What was given.
        text: String,
        /// Why.
        source: AddressRefusal,
    },
    /// A program's path that is none.
    #[error("failed to understand the program `{text}`")]
    Binary {
        /// What was given.
        text: String,
        /// Why.
        source: PathError,
    },
    /// A path that is none.
    #[error("failed to understand the request path `{text}`")]
    Path {
        /// What was given.
        text: String,
        /// Why.
        source: RequestPathError,
    },
    /// The policy of a sandbox.
    #[error(transparent)]
    Revision(#[from] Box<SandboxError>),
    /// Cases that cannot be read.
    #[error(transparent)]
    Cases(#[from] CasesError),
    /// Several files where one can be printed.
    #[error("failed to print {count} policies at once")]
    Several {
        /// How many were named.
        count: usize,
    },
    /// A file that cannot be changed.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// An answer that cannot be printed.
    #[error(transparent)]
    Output(#[from] OutputError),
}
