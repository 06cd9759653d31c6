//! The gateway's own certificates: one authority, the server's certificate, and one per user.
//!
//! In the directory (0700) are `ca.pem`, `ca-key.pem`, `server.pem`, `clients/NAME.pem` and, when somebody made it,
//! `revoked`. A certificate and its key are one file (0600), so that a renewal is one rename and no reader ever sees a
//! key without its certificate.

mod acceptor;
mod authority;
mod files;
mod revoked;
mod user;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use x509_parser::prelude::GeneralName;

pub use acceptor::acceptor;
use authority::Authority;
pub use user::{PeerError, UserName, UserNameError, peer};

/// Names that the server's certificate always has: the gateway may always be called from its own machine.
const OWN_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// Most names in one certificate; clients refuse larger handshakes.
const MOST_NAMES: usize = 100;

/// A certificate that could not be made, kept or used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file.
    #[error("failed to {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file that does not hold what it should.
    #[error("failed to use {}: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what helps.
        reason: String,
    },
    /// Something that is there and is not replaced.
    #[error("failed to make {}: it is there already; renew it instead", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A name of a server that is none.
    #[error("failed to use `{0}` as name of the server: it is neither a DNS name nor an address")]
    ServerName(String),
    /// Too many of them.
    #[error("failed to make a certificate with {0} names: at most {MOST_NAMES} fit")]
    Names(usize),
    /// A certificate was not made.
    #[error("failed to make a certificate")]
    Make(#[from] rcgen::Error),
    /// No random numbers.
    #[error("failed to make a certificate: the system gives no random numbers")]
    Random,
    /// TLS cannot be set up.
    #[error("failed to set up TLS")]
    Tls(#[from] rustls::Error),
}

/// What a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// To sign the others.
    Authority,
    /// To prove that the gateway is the gateway.
    Server,
    /// To prove who a user is.
    Client(UserName),
}

/// When a certificate ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// What it is for.
    pub purpose: Purpose,
    /// The end.
    pub not_after: Timestamp,
}

impl Purpose {
    fn path(&self, dir: &Path) -> PathBuf {
        match self {
            Self::Authority => dir.join("ca.pem"),
            Self::Server => dir.join("server.pem"),
            Self::Client(name) => dir.join("clients").join(format!("{name}.pem")),
        }
    }
}

/// Makes the authority and the server's certificate, as far as they are missing. The server's has the given DNS names
/// and addresses, and those of this machine itself.
///
/// # Errors
/// [`CertificateError`]; what was made before stays and is used by the next call.
pub fn init(dir: &Path, names: &[String]) -> Result<(), CertificateError> {
    files::directory(dir)?;
    files::directory(&dir.join("clients"))?;
    let names = server_names(names)?;
    let authority = Authority::make(dir)?;
    let path = Purpose::Server.path(dir);
    if files::is_there(&path)? {
        return Ok(());
    }
    files::write_new(&path, &authority.server(names)?)
}

/// Makes a certificate for a user; the path of the file with it and its key.
///
/// # Errors
/// [`CertificateError`], also when this user has one.
pub fn issue_client(dir: &Path, name: &UserName) -> Result<PathBuf, CertificateError> {
    let path = Purpose::Client(name.clone()).path(dir);
    files::write_new(&path, &Authority::load(dir)?.client(name)?)?;
    Ok(path)
}

/// Replaces a certificate and its key by new ones for the same names, signed by the same authority. The authority
/// itself is not renewed: whoever trusts it would have to be told.
///
/// # Errors
/// [`CertificateError`], also when there is none to renew.
pub fn renew(dir: &Path, purpose: &Purpose) -> Result<(), CertificateError> {
    let path = purpose.path(dir);
    let old = files::certificate(&path)?;
    let authority = Authority::load(dir)?;
    let new = match purpose {
        Purpose::Authority => return Err(CertificateError::Exists { path }),
        Purpose::Server => authority.server(names_of(&path, &old)?)?,
        Purpose::Client(name) => authority.client(name)?,
    };
    files::replace(&path, &new)
}

/// When every certificate in the directory ends.
///
/// # Errors
/// [`CertificateError`] when one cannot be read.
pub fn expiries(dir: &Path) -> Result<Vec<Expiry>, CertificateError> {
    let mut purposes = vec![Purpose::Authority, Purpose::Server];
    for file in files::names(&dir.join("clients"))? {
        let name = file.strip_suffix(".pem").and_then(|name| UserName::parse(name).ok());
        purposes.extend(name.map(Purpose::Client));
    }
    purposes.sort();
    let expiry = |purpose: Purpose| {
        let path = purpose.path(dir);
        let der = files::certificate(&path)?;
        let certificate = files::parsed(&path, &der)?;
        let seconds = certificate.validity().not_after.timestamp();
        let not_after = Timestamp::from_second(seconds)
            .map_err(|_| invalid(&path, "its end lies beyond all calendars; make a new one"))?;
        Ok(Expiry { purpose, not_after })
    };
    purposes.into_iter().map(expiry).collect()
}

/// The names, each once, with the machine's own.
fn server_names(names: &[String]) -> Result<Vec<String>, CertificateError> {
    let mut all: Vec<String> = names.to_vec();
    all.extend(OWN_NAMES.map(String::from));
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|name| seen.insert(name.clone()));
    if all.len() > MOST_NAMES {
        return Err(CertificateError::Names(all.len()));
    }
    for name in &all {
        let plain = name.strip_prefix("*.").unwrap_or(name);
        rustls::pki_types::ServerName::try_from(plain)
            .map_err(|_| CertificateError::ServerName(name.clone()))?;
    }
    Ok(all)
}

/// The names that a server's certificate has.
fn names_of(path: &Path, der: &[u8]) -> Result<Vec<String>, CertificateError> {
    let certificate = files::parsed(path, der)?;
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.ok_or_else(|| invalid(path, "it has no names; make a new one"))?;
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    };
    server_names(&names.value.general_names.iter().filter_map(name).collect::<Vec<_>>())
}

fn address(bytes: &[u8]) -> Option<String> {
    let four = <[u8; 4]>::try_from(bytes).map(|bytes| std::net::IpAddr::from(bytes).to_string());
    let six = || <[u8; 16]>::try_from(bytes).map(|bytes| std::net::IpAddr::from(bytes).to_string());
    four.or_else(|_| six()).ok()
}

fn invalid(path: &Path, reason: impl Into<String>) -> CertificateError {
    CertificateError::Invalid { path: path.to_owned(), reason: reason.into() }
}

#[cfg(test)]
#[path = "certificates/tests.rs"]
mod tests;
