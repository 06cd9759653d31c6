//! Wildcard hosts: `*.example.com` means every name below, never the domain itself.

use std::fmt;

use crate::host::{HostError, HostName};

/// A domain whose every name below is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPattern(HostName);

/// A text that is not such a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A bare `*`.
    #[error("a bare `*` is not a host; name the domain, as in `*.example.com`")]
    Bare,
    /// A `*` that is not the whole first label.
    #[error("`*` must be the whole first label, as in `*.example.com`")]
    Place,
    /// A wildcard over a public suffix.
    #[error("`*.{suffix}` would cover a public suffix; name a registered domain below it")]
    PublicSuffix {
        /// The suffix.
        suffix: String,
    },
    /// The domain itself.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl HostPattern {
    /// Parses a text that contains a `*`.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.trim_end_matches('.') == "*" {
            return Err(PatternError::Bare);
        }
        let domain = text.strip_prefix("*.").ok_or(PatternError::Place)?;
        if domain.contains('*') {
            return Err(PatternError::Place);
        }
        let domain = HostName::parse(domain)?;
        let suffix = psl::suffix(domain.as_str().as_bytes());
        if suffix.is_some_and(|suffix| suffix.as_bytes() == domain.as_str().as_bytes()) {
            return Err(PatternError::PublicSuffix { suffix: domain.to_string() });
        }
        Ok(Self(domain))
    }

    /// The domain above the names that are meant.
    #[must_use]
    pub fn domain(&self) -> &HostName {
        &self.0
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "*.{}", self.0)
    }
}
