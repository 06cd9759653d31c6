//! How the gateway accepts TLS: with the newest certificate, and only from users with a valid one.
//!
//! Sessions are never resumed: a resumed session would skip the verifier, and with it the list of revoked certificates
//! and the end of a certificate. A handshake is cheap beside what follows it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError as Refusal, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    ServerConfig, SignatureScheme,
};
use tokio_rustls::TlsAcceptor;

use super::revoked::Revoked;
use super::{CertificateError, Purpose, authority, files, invalid, peer};

/// Protocols that the gateway speaks, best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// How often files are looked at, at most: a handshake costs more than a look, many handshakes more than one.
const LOOK: Duration = Duration::from_secs(1);

/// What accepts connections with the certificates in a directory. Files that change are used for new connections
/// within a second, the list of revoked certificates at once; those that cannot be used are logged and the old ones
/// kept.
///
/// # Errors
/// [`CertificateError`] when the files cannot be used.
pub fn acceptor(dir: &Path) -> Result<TlsAcceptor, CertificateError> {
    let live = Arc::new(Live::load(dir)?);
    Ok(TlsAcceptor::from(Arc::new(config(&live)?)))
}

pub(super) fn config(live: &Arc<Live>) -> Result<ServerConfig, CertificateError> {
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&live.provider))
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(Arc::clone(live) as Arc<dyn ClientCertVerifier>)
        .with_cert_resolver(Arc::clone(live) as Arc<dyn ResolvesServerCert>);
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// What tells one state of a file from another; nothing when it is missing.
type Stamp = Option<(u64, u64, i64, i64, u64)>;

/// The certificates in use.
#[derive(Debug)]
pub(super) struct Live {
    dir: PathBuf,
    provider: Arc<CryptoProvider>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    looked: Instant,
    stamps: [Stamp; 2],
    revoked_stamp: Stamp,
    current: Current,
}

/// What one handshake goes by.
#[derive(Clone, Debug)]
struct Current {
    server: Arc<CertifiedKey>,
    verifier: Arc<dyn ClientCertVerifier>,
    revoked: Arc<Revoked>,
}

impl Live {
    pub(super) fn load(dir: &Path) -> Result<Self, CertificateError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        // Before the files are read: what changes meanwhile is read again.
        let (stamps, revoked_stamp) = (stamps(dir), stamp(&dir.join("revoked")));
        let (server, verifier) = (server(dir, &provider)?, verifier(dir, &provider)?);
        let revoked = Revoked::load(&dir.join("revoked")).map_err(|(_, error)| error)?;
        let current = Current { server, verifier, revoked: Arc::new(revoked) };
        let state = State { looked: Instant::now(), stamps, revoked_stamp, current };
        Ok(Self { dir: dir.to_owned(), provider, state: Mutex::new(state) })
    }

    fn current(&self) -> Current {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.look_at_revoked(&mut state);
        if state.looked.elapsed() >= LOOK {
            self.look(&mut state);
        }
        state.current.clone()
    }

    fn look(&self, state: &mut State) {
        state.looked = Instant::now();
        let stamps = stamps(&self.dir);
        if stamps == state.stamps {
            return;
        }
        let both = server(&self.dir, &self.provider)
            .and_then(|server| Ok((server, verifier(&self.dir, &self.provider)?)));
        match both {
            Ok((server, verifier)) => {
                (state.current.server, state.current.verifier) = (server, verifier);
                tracing::info!("new certificates are in use");
            }
            Err(error) => report(&error, "new certificates cannot be used; the old ones stay"),
        }
        // Also when they cannot be used: that is said once, and again when they change.
        state.stamps = stamps;
    }

    fn look_at_revoked(&self, state: &mut State) {
        let path = self.dir.join("revoked");
        let stamp = stamp(&path);
        if stamp == state.revoked_stamp {
            return;
        }
        state.revoked_stamp = stamp;
        state.current.revoked = Arc::new(match Revoked::load(&path) {
            Ok(revoked) => revoked,
            Err((read, error)) => {
                report(&error, "the new list of revoked certificates is added to the old one");
                read.and(&state.current.revoked)
            }
        });
    }

    /// Makes the next handshake look at the files.
    #[cfg(test)]
    pub(super) fn forget_looked(&self) {
        let mut state = self.state.lock().unwrap();
        state.looked = Instant::now().checked_sub(LOOK).unwrap();
    }
}

fn report(error: &CertificateError, message: &'static str) {
    let error = error as &dyn std::error::Error;
    tracing::error!(error, "{message}");
}

fn stamps(dir: &Path) -> [Stamp; 2] {
    [Purpose::Authority, Purpose::Server].map(|purpose| stamp(&purpose.path(dir)))
}

fn stamp(path: &Path) -> Stamp {
    let found = std::fs::metadata(path).ok()?;
    Some((found.dev(), found.ino(), found.ctime(), found.ctime_nsec(), found.len()))
}

fn server(dir: &Path, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, CertificateError> {
    let path = Purpose::Server.path(dir);
    let (chain, key) = (files::chain(&path)?, files::key(&path)?);
    let certified = CertifiedKey::from_der(chain, key, provider);
    certified
        .map(Arc::new)
        .map_err(|error| invalid(&path, format!("its key does not fit: {error}")))
}

fn verifier(
    dir: &Path,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, CertificateError> {
    let path = Purpose::Authority.path(dir);
    let mut roots = RootCertStore::empty();
    for der in files::chain(&path)? {
        authority::check(&path, &files::parsed(&path, &der)?)?;
        roots.add(der)?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| invalid(&path, error.to_string()))
}

impl ResolvesServerCert for Live {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current().server)
    }
}

impl ClientCertVerifier for Live {
    /// None: authorities may change while the gateway runs, and clients need no hint.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let current = self.current();
        let verified = current.verifier.verify_client_cert(end_entity, intermediates, now)?;
        if current.revoked.has(end_entity) {
            return Err(Error::InvalidCertificate(Refusal::Revoked));
        }
        // Whoever is no user has nothing to say here.
        peer(std::slice::from_ref(end_entity))
            .map_err(|_| Error::InvalidCertificate(Refusal::ApplicationVerificationFailure))?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
