//! TLS towards servers: verified with the system's certificate authorities and those the user added.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use navigator_policy::Host;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::limits::HANDSHAKE_DEADLINE;
use crate::refuse::UpstreamFailure;

/// Why a file of certificate authorities cannot be used.
#[derive(Debug, Error)]
pub enum RootsError {
    /// It cannot be read, or is no PEM file.
    #[error("failed to read the certificates in {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// There is none in it, or one that is malformed.
    #[error("failed to use {path}: it holds no certificate of an authority")]
    None {
        /// The file.
        path: PathBuf,
    },
}

/// Which protocols are offered to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Alpn {
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2, or HTTP/1.1 where the server has nothing else.
    Http2OrHttp1,
}

/// What a handshake came to.
#[derive(Debug)]
pub(crate) struct Handshaken {
    pub(crate) stream: TlsStream<TcpStream>,
    pub(crate) http2: bool,
}

/// Verifies servers. The system's authorities are read at the first use, because few sandboxes need them.
#[derive(Debug, Default)]
pub struct UpstreamTls {
    added: Vec<CertificateDer<'static>>,
    config: OnceCell<Arc<ClientConfig>>,
}

impl UpstreamTls {
    /// Trusts the authorities in these PEM files as well as the system's.
    ///
    /// # Errors
    /// [`RootsError`] when a file cannot be read or holds no usable certificate.
    pub fn with_added(files: &[PathBuf]) -> Result<UpstreamTls, RootsError> {
        let mut added = Vec::new();
        for path in files {
            added.extend(certificates(path)?);
        }
        Ok(UpstreamTls { added, config: OnceCell::new() })
    }

    /// Starts TLS with a server that must prove to be `host`.
    pub(crate) async fn connect(
        &self,
        stream: TcpStream,
        host: &Host,
        alpn: Alpn,
    ) -> Result<Handshaken, UpstreamFailure> {
        let config = self.config.get_or_try_init(|| self.load()).await?;
        let offered: Vec<Vec<u8>> = match alpn {
            Alpn::Http1 => vec![b"http/1.1".to_vec()],
            Alpn::Http2OrHttp1 => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        };
        let connector = TlsConnector::from(config.clone());
        let connect = connector.with_alpn(offered).connect(server_name(host)?, stream);
        let stream = timeout(HANDSHAKE_DEADLINE, connect)
            .await
            .map_err(|_| {
                let seconds = HANDSHAKE_DEADLINE.as_secs();
                UpstreamFailure::deadline(format!(
                    "no TLS handshake with {host} within {seconds} s"
                ))
            })?
            .map_err(|error| {
                UpstreamFailure::failed(format!("failed to establish TLS with {host}: {error}"))
            })?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Handshaken { stream, http2 })
    }

    async fn load(&self) -> Result<Arc<ClientConfig>, UpstreamFailure> {
        let added = self.added.clone();
        tokio::task::spawn_blocking(move || client_config(added)).await.unwrap_or_else(|_| {
            Err(UpstreamFailure::failed("failed to load the certificate authorities".to_owned()))
        })
    }
}

fn client_config(
    added: Vec<CertificateDer<'static>>,
) -> Result<Arc<ClientConfig>, UpstreamFailure> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(%error, "some certificate authorities of the system were not read");
    }
    roots.add_parsable_certificates(system.certs.into_iter().chain(added));
    if roots.is_empty() {
        return Err(UpstreamFailure::failed(
            "failed to find certificate authorities on this system; install `ca-certificates` or \
             set SSL_CERT_FILE"
                .to_owned(),
        ));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| UpstreamFailure::failed(format!("failed to set up TLS: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, RootsError> {
    let read = |source| RootsError::Read { path: path.to_owned(), source };
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(read)?
        .collect::<Result<_, _>>()
        .map_err(read)?;
    let mut store = RootCertStore::empty();
    let (_, ignored) = store.add_parsable_certificates(found.iter().cloned());
    if found.is_empty() || ignored > 0 {
        return Err(RootsError::None { path: path.to_owned() });
    }
    Ok(found)
}

fn server_name(host: &Host) -> Result<ServerName<'static>, UpstreamFailure> {
    match host {
        Host::Address(address) => Ok(ServerName::IpAddress((*address).into())),
        Host::Name(name) => ServerName::try_from(name.to_string()).map_err(|_| {
            UpstreamFailure::failed(format!("failed to use {name} as the name of a TLS server"))
        }),
    }
}
