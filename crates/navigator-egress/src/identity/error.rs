//! Why a caller could not be identified: each of these is a denial.

use rustix::io::Errno;
use thiserror::Error;

use super::sock_diag::SockDiagError;
use crate::limits::MAX_EXECUTABLE;

/// Why a caller could not be identified.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// The socket itself was not found.
    #[error(transparent)]
    Socket(#[from] SockDiagError),
    /// No process of the sandbox holds the socket.
    #[error("failed to find the program that owns the connection")]
    NoOwner,
    /// Too many processes or descriptors to look through.
    #[error("failed to search for the connection's owner: more than {limit} {what}")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// The socket or a process changed while it was examined.
    #[error("failed to identify the program: it changed while it was examined")]
    Changed,
    /// Hashing did not come to an end.
    #[error("failed to identify the program: its executables could not be settled")]
    Unsettled,
    /// A process is gone or unreadable.
    #[error("failed to read {what} of process {pid}")]
    Process {
        /// The process inside the sandbox.
        pid: u32,
        /// The file below its `/proc` directory.
        what: &'static str,
        /// The system's reason.
        #[source]
        source: Errno,
    },
    /// Something in `/proc` has a form that cannot be judged.
    #[error("failed to understand {what} of process {pid}")]
    Unreadable {
        /// The process inside the sandbox.
        pid: u32,
        /// The file below its `/proc` directory.
        what: &'static str,
    },
    /// The executable was deleted, or never had a file.
    #[error("failed to verify the program: its executable {path} was deleted or is only in memory")]
    Deleted {
        /// What the kernel calls it.
        path: String,
    },
    /// The path names another file than the one that runs.
    #[error("failed to verify the program: {path} is not the file that runs")]
    NotTheSameFile {
        /// The path.
        path: String,
    },
    /// The executable cannot be opened or read.
    #[error("failed to read the executable {path}")]
    Open {
        /// The path.
        path: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// It would take too long to read.
    #[error("failed to verify the program: {path} is larger than {} MiB", MAX_EXECUTABLE >> 20)]
    TooLarge {
        /// The path.
        path: String,
    },
    /// The content differs from the content at first use.
    #[error("failed to verify the program: {path} was replaced after its first use")]
    Replaced {
        /// The path.
        path: String,
    },
    /// The connection was made before anybody could look at the program that made it.
    #[error("failed to find out which program made the connection: its connect was not seen")]
    UnseenConnect,
    /// One that connected the socket could not be identified at that moment.
    #[error("failed to find out which program made the connection: {reason}")]
    Connector {
        /// Why.
        reason: String,
    },
    /// Code from outside the read-only system paths runs in the program.
    #[error(
        "failed to trust {program}: it runs code from {library}, which can be changed from inside the sandbox; \
         start it without that library"
    )]
    ForeignCode {
        /// The program.
        program: String,
        /// The file with the code.
        library: String,
    },
    /// A library outside the read-only system paths is loaded into the program.
    #[error(
        "failed to trust the program: {variable} loads {library}, which can be changed from inside the sandbox"
    )]
    Preload {
        /// The environment variable.
        variable: &'static str,
        /// The library it names.
        library: String,
    },
}

impl IdentityError {
    /// Whether it says that a process is not there any more.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Process { source: Errno::NOENT | Errno::SRCH, .. })
    }
}
