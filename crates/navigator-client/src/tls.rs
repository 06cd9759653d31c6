//! Mutual TLS from PEM texts: this side shows a certificate and trusts one authority only.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::{ClientConfig, RootCertStore};

use crate::gateways::Credentials;

/// Credentials that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A text that is not PEM, or does not hold what it should. The text itself is never shown.
    #[error("failed to read the {what}")]
    Pem {
        /// Which text.
        what: &'static str,
        /// Why.
        source: pem::Error,
    },
    /// A certificate that is none, or a key that belongs to another certificate.
    #[error("failed to use the {what}")]
    Use {
        /// Which text.
        what: &'static str,
        /// Why.
        source: rustls::Error,
    },
}

/// How to speak TLS with the gateway. Both sides are of this project, so the newest version is the only one.
pub(crate) fn configuration(
    credentials: &Credentials,
) -> Result<Arc<ClientConfig>, CredentialsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in certificates("authority's certificate", &credentials.ca)? {
        roots
            .add(certificate)
            .map_err(|source| CredentialsError::Use { what: "authority's certificate", source })?;
    }
    let chain = certificates("client's certificate", &credentials.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(credentials.key.as_bytes())
        .map_err(|source| CredentialsError::Pem { what: "client's key", source })?;
    let used = |source| CredentialsError::Use { what: "client's certificate and key", source };
    let mut configuration = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(used)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(used)?;
    configuration.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(configuration))
}

/// All certificates of a text, at least one.
fn certificates(
    what: &'static str,
    text: &str,
) -> Result<Vec<CertificateDer<'static>>, CredentialsError> {
    let pem = |source| CredentialsError::Pem { what, source };
    let all: Vec<_> =
        CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<_, _>>().map_err(pem)?;
    if all.is_empty() {
        return Err(pem(pem::Error::NoItemsFound));
    }
    Ok(all)
}
