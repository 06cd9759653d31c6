//! Which authorities a registry's certificate may come from: the system's, and those that the caller adds.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

/// Why the certificate authorities cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrustError {
    /// A file of them cannot be read.
    #[error("failed to read certificate authorities from {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// A file has none, or one that is broken.
    #[error("failed to find usable certificate authorities in {}; it must be PEM", path.display())]
    None {
        /// The file.
        path: PathBuf,
    },
    /// There are none at all.
    #[error(
        "failed to find certificate authorities on this system; install `ca-certificates` or set \
         SSL_CERT_FILE"
    )]
    NoSystem,
    /// TLS cannot be set up.
    #[error("failed to set up TLS")]
    Tls(#[from] rustls::Error),
}

/// Settings that trust the system's authorities (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others) and these.
pub(crate) fn client_config(added: &[PathBuf]) -> Result<Arc<ClientConfig>, TrustError> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(%error, "some certificate authorities of the system were not read");
    }
    roots.add_parsable_certificates(system.certs);
    for path in added {
        roots.add_parsable_certificates(certificates(path)?);
    }
    if roots.is_empty() {
        return Err(TrustError::NoSystem);
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let read = |source| TrustError::Read { path: path.to_owned(), source };
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(read)?
        .collect::<Result<_, _>>()
        .map_err(read)?;
    let (_, ignored) = RootCertStore::empty().add_parsable_certificates(found.iter().cloned());
    if found.is_empty() || ignored > 0 {
        return Err(TrustError::None { path: path.to_owned() });
    }
    Ok(found)
}
