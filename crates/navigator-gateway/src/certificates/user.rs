//! Who a client certificate is of.

use std::fmt;

use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::{FromDer, GeneralName};

/// What the role and the name of a user look like in a certificate.
const USER: &str = "navigator://user/";
/// Longest name in bytes: it is also a common name, which has at most 64 (RFC 5280 appendix A.1).
const NAME_BYTES: usize = 64;

/// A user's name: 1 to 64 letters, digits, `.`, `_` and `-`, beginning with a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserName(String);

/// Text that is no user's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid user name: use 1 to 64 letters, digits, `.`, `_` and `-`, with a letter or digit first"
)]
pub struct UserNameError;

/// A certificate that is no user's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// There is none.
    #[error("failed to tell who calls: there is no client certificate")]
    Missing,
    /// It cannot be read.
    #[error("failed to tell who calls: the client certificate cannot be read")]
    Unreadable,
    /// It names nobody, or several.
    #[error(
        "failed to tell who calls: the client certificate is not of one user; make one with `navigator gateway`"
    )]
    NoUser,
}

impl UserName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`UserNameError`] when it is not one.
    pub fn parse(text: &str) -> Result<Self, UserNameError> {
        let bytes = text.as_bytes();
        let first = bytes.first().is_some_and(u8::is_ascii_alphanumeric);
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        if first && bytes.len() <= NAME_BYTES && bytes.iter().all(plain) {
            Ok(Self(text.into()))
        } else {
            Err(UserNameError)
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn uri(&self) -> String {
        format!("{USER}{}", self.0)
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Who a certificate is of that was verified before.
///
/// # Errors
/// [`PeerError`] unless it is of exactly one user.
pub fn peer(chain: &[CertificateDer<'_>]) -> Result<UserName, PeerError> {
    let der = chain.first().ok_or(PeerError::Missing)?;
    let Ok(([], certificate)) = X509Certificate::from_der(der) else {
        return Err(PeerError::Unreadable);
    };
    let names = certificate.subject_alternative_name().map_err(|_| PeerError::Unreadable)?;
    let names = names.ok_or(PeerError::NoUser)?;
    // A certificate that is also something else was not made for a user.
    let [GeneralName::URI(uri)] = names.value.general_names.as_slice() else {
        return Err(PeerError::NoUser);
    };
    let name = uri.strip_prefix(USER).ok_or(PeerError::NoUser)?;
    UserName::parse(name).map_err(|_| PeerError::NoUser)
}
