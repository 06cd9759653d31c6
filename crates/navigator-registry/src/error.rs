//! Why an image is not pulled, and what to do about it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::credentials::CredentialError;
use crate::digest::Digest;
use crate::manifest::ManifestError;
use crate::platform::Platform;

/// A pull that failed: of what, from where, and why.
#[derive(Debug, Error)]
#[error("failed to pull {repository} ({reference}) from {host}")]
pub struct PullError {
    /// Host and maybe port of the registry or mirror.
    pub host: String,
    /// The repository.
    pub repository: String,
    /// The tag or digest.
    pub reference: String,
    /// Why.
    #[source]
    pub failure: Box<Failure>,
}

/// Why a pull failed. None of the texts has a secret.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Failure {
    /// The registry has no such image.
    #[error("failed to find the image in the registry; check its name and tag")]
    NotFound,
    /// The user may not have it.
    #[error(
        "failed to get leave to pull: the registry denies it to {}; ask its owner for the right to \
         pull",
        who(*.logged_in)
    )]
    Denied {
        /// Whether credentials were sent.
        logged_in: bool,
    },
    /// The registry does not know the user. Some registries say this also of images that do not exist.
    #[error(
        "failed to be let in by the registry, {}; check the image's name, or log in with \
         `podman login` or `docker login`",
        as_whom(*.logged_in)
    )]
    Unauthorised {
        /// Whether credentials were sent.
        logged_in: bool,
    },
    /// The registry would have the credentials in clear text.
    #[error(
        "failed to log in: credentials are not sent without TLS; give the registry a certificate"
    )]
    ClearText,
    /// The other side speaks no TLS, and may not be spoken to without.
    #[error(
        "failed to speak TLS: {0} must, as it is neither on this machine nor listed as insecure"
    )]
    Plain(String),
    /// The registry cannot be reached, or the connection was lost again and again.
    #[error("failed to reach the registry; check its name and the network")]
    Unreachable(#[source] TransportError),
    /// The registry's certificate is not trusted.
    #[error(
        "failed to trust the registry's certificate; if it is the right registry, name its \
         authority's certificate as a file, or set SSL_CERT_FILE"
    )]
    Untrusted(#[source] TransportError),
    /// The registry asks for fewer requests.
    #[error("failed to be served: the registry limits its users{}; try again later or log in", pause(.wait))]
    Limited {
        /// The pause that it asks for, if it says.
        wait: Option<Duration>,
    },
    /// The registry failed.
    #[error("failed to be served: the registry answers {0}; try again later")]
    Server(u16),
    /// The registry answers something that is no part of the protocol.
    #[error("failed to understand the registry: it answers {0}; is it a registry?")]
    Status(u16),
    /// A redirect is not followed.
    #[error("failed to follow the registry elsewhere: {0}")]
    Redirect(&'static str),
    /// The manifest is of no use.
    #[error("failed to use the manifest")]
    Manifest(#[source] ManifestError),
    /// The image's configuration is of no use.
    #[error("failed to read the image's configuration")]
    Config(#[source] serde_json::Error),
    /// There is no image for this platform.
    #[error("failed to find an image for {wanted}; there is {offered}")]
    Platform {
        /// What is wanted.
        wanted: Platform,
        /// What there is.
        offered: String,
    },
    /// What came is not what was asked for.
    #[error("failed to verify {what}: {wanted} was asked for, {got} came; nothing of it is used")]
    Digest {
        /// Of what.
        what: &'static str,
        /// What was asked for.
        wanted: Digest,
        /// What came.
        got: Digest,
    },
    /// What came is longer or shorter than announced.
    #[error("failed to verify {what}: it must have {wanted} bytes and has {got}")]
    Size {
        /// Of what.
        what: &'static str,
        /// The bytes that it must have.
        wanted: u64,
        /// The bytes that it has; one more than it must have when reading was stopped there.
        got: u64,
    },
    /// An answer is longer than any fitting one.
    #[error("failed to read {what}: it has more than {limit} bytes")]
    TooLong {
        /// Of what.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
    /// The registry sends another part than the rest of a layer.
    #[error("failed to resume a layer: the registry sends another part of it than was asked for")]
    Range,
    /// Its way to log in cannot be used.
    #[error("failed to log in: {0}")]
    Login(&'static str),
    /// The token endpoint refuses.
    #[error("failed to log in: the token endpoint answers {0}; log in again")]
    Token(u16),
    /// The credentials cannot be read.
    #[error("failed to read the credentials for the registry")]
    Credentials(#[from] CredentialError),
    /// A file cannot be written.
    #[error("failed to write {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Why a request got no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The name is unknown.
    #[error("failed to find the address of {host}")]
    Name {
        /// The host.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// No address of it answers.
    #[error("failed to connect to {host}")]
    Connect {
        /// The host.
        host: String,
        /// Why the last one did not.
        source: io::Error,
    },
    /// TLS failed.
    #[error("failed to establish TLS with {host}")]
    Tls {
        /// The host.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// The exchange broke.
    #[error("failed to exchange HTTP with {host}")]
    Http {
        /// The host.
        host: String,
        /// Why.
        source: hyper::Error,
    },
    /// It took too long.
    #[error("failed to wait for {what} from {host}: nothing within {seconds} s")]
    Deadline {
        /// The host.
        host: String,
        /// For what.
        what: &'static str,
        /// How long.
        seconds: u64,
    },
    /// The connection ended before the content.
    #[error("failed to read all from {host}: it ended {missing} bytes early")]
    Ended {
        /// The host.
        host: String,
        /// What is missing.
        missing: u64,
    },
}

/// Whether, and how, another attempt may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    No,
    Yes,
    After(Duration),
}

impl Failure {
    /// Whether it is likely to pass by itself.
    pub(crate) fn again(&self) -> Again {
        match self {
            Failure::Unreachable(TransportError::Name { .. }) => Again::No,
            Failure::Unreachable(_) | Failure::Server(_) | Failure::Limited { wait: None } => {
                Again::Yes
            }
            Failure::Limited { wait: Some(wait) } => Again::After(*wait),
            _ => Again::No,
        }
    }
}

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Failure {
        match &error {
            TransportError::Tls { source, .. } if is_distrust(source) => Failure::Untrusted(error),
            _ => Failure::Unreachable(error),
        }
    }
}

/// An error and its causes in one line.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn is_distrust(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(
        inner,
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)
    )
}

fn who(logged_in: bool) -> &'static str {
    if logged_in { "this user" } else { "users who are not logged in" }
}

fn as_whom(logged_in: bool) -> &'static str {
    if logged_in { "with the credentials that are there" } else { "without credentials" }
}

fn pause(wait: &Option<Duration>) -> String {
    wait.map(|wait| format!(" for {} s", wait.as_secs())).unwrap_or_default()
}
