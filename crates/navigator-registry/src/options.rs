//! What the caller decides about pulls.

use std::path::PathBuf;
use std::time::Duration;

use crate::credentials::CredentialFiles;
use crate::endpoint::Mirror;

/// How images are pulled.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Mirrors, in the order in which they are asked before the registries themselves.
    pub mirrors: Vec<Mirror>,
    /// Files with certificate authorities, trusted as well as the system's.
    pub authorities: Vec<PathBuf>,
    /// Registries (`HOST[:PORT]`) that may be spoken to without TLS. Loopback addresses always may; credentials are
    /// sent without TLS to loopback addresses alone.
    pub insecure: Vec<String>,
    /// Where credentials are.
    pub credentials: CredentialFiles,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// How often to try.
    pub retry: Retry,
}

/// How long to wait for a registry.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// For the head of an answer.
    pub first_byte: Duration,
    /// For the next piece of a body.
    pub idle: Duration,
    /// For the whole of a small answer: a manifest, a configuration, a token.
    pub document: Duration,
}

/// How often a request that failed by chance is made.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// Attempts in all; at least one is made.
    pub attempts: u32,
    /// The pause before the second; each further one is twice as long.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Options {
    /// The usual settings, with credentials from where this user's other tools keep them.
    #[must_use]
    pub fn from_environment() -> Options {
        let credentials = CredentialFiles::usual(|name| std::env::var_os(name));
        Options { credentials, ..Options::default() }
    }
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(30),
            idle: Duration::from_secs(30),
            document: Duration::from_secs(60),
        }
    }
}

impl Default for Retry {
    fn default() -> Retry {
        Retry {
            attempts: 5,
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(8),
        }
    }
}
