//! The certificate authority of one sandbox, and the certificates it makes for the hosts that are inspected.
//!
//! Its key and the leaves' key exist in this process's memory only and end with it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use navigator_policy::Host;
use quick_cache::sync::Cache;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SerialNumber,
};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{NoServerSessionStorage, ProducesTickets, ServerConfig};
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use thiserror::Error;

use crate::limits::MAX_LEAVES;

/// Protocols offered to clients, the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// A certificate is valid from this long before it is made: clocks differ.
const BACKDATED_DAYS: i64 = 2;
/// How long certificates are valid: longer than any sandbox lives.
const VALID_YEARS: i64 = 10;

/// Why there is no certificate.
#[derive(Debug, Error)]
pub enum AuthorityError {
    /// It cannot be made or signed.
    #[error("failed to make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// The TLS library does not take it.
    #[error("failed to use a certificate")]
    Tls(#[from] rustls::Error),
}

/// The certificate authority of one sandbox.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    leaf_key: KeyPair,
    signing_key: Arc<dyn SigningKey>,
    serial: AtomicU64,
    /// Least recently used hosts are forgotten; making a certificate again costs one signature.
    leaves: Cache<Host, Arc<ServerConfig>>,
    provider: Arc<CryptoProvider>,
    tickets: Arc<dyn ProducesTickets>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes the authority of the sandbox with this identifier.
    ///
    /// # Errors
    /// [`AuthorityError`] when the system gives no randomness or a key cannot be made.
    pub fn new(sandbox: &str) -> Result<Authority, AuthorityError> {
        let mut params = valid_params(vec![])?;
        // Browsers take two authorities of one name for one, so each has a name of its own.
        params.distinguished_name.push(DnType::CommonName, format!("Navigator sandbox {sandbox}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let leaf_key = KeyPair::generate()?;
        let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
        Ok(Authority {
            issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)?,
            signing_key: aws_lc_rs::sign::any_ecdsa_type(&der)?,
            leaf_key,
            serial: AtomicU64::new(1),
            leaves: Cache::new(MAX_LEAVES),
            provider: Arc::new(aws_lc_rs::default_provider()),
            tickets: aws_lc_rs::Ticketer::new()?,
        })
    }

    /// The authority's certificate, for the trust files of the sandbox.
    pub fn certificate_pem(&self) -> String {
        self.issuer.pem()
    }

    /// What a connection to `host` is accepted with.
    ///
    /// # Errors
    /// [`AuthorityError`] when no certificate can be made for that host.
    pub fn server_config(&self, host: &Host) -> Result<Arc<ServerConfig>, AuthorityError> {
        self.leaves.get_or_insert_with(host, || self.make_config(host))
    }

    fn make_config(&self, host: &Host) -> Result<Arc<ServerConfig>, AuthorityError> {
        let key = CertifiedKey::new(vec![self.leaf(host)?], self.signing_key.clone());
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
        config.alpn_protocols = PROTOCOLS.iter().map(|name| name.to_vec()).collect();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = self.tickets.clone();
        Ok(Arc::new(config))
    }

    fn leaf(&self, host: &Host) -> Result<CertificateDer<'static>, AuthorityError> {
        let mut params = valid_params(vec![host.to_string()])?;
        // One key signs for all leaves, and NSS refuses two certificates with one serial number.
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        params.serial_number = Some(SerialNumber::from(serial));
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        Ok(params.signed_by(&self.leaf_key, &self.issuer)?.der().clone())
    }
}

fn valid_params(names: Vec<String>) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let day = |date: Date| {
        let (year, month, day) = (date.year(), date.month(), date.day());
        // A calendar date has a month from 1 to 12 and a day from 1 to 31.
        rcgen::date_time_ymd(year.into(), month.unsigned_abs(), day.unsigned_abs())
    };
    params.not_before = day(today.saturating_sub(BACKDATED_DAYS.days()));
    params.not_after = day(today.saturating_add(VALID_YEARS.years()));
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Host {
        Host::parse(text).unwrap()
    }

    #[test]
    fn a_host_has_one_certificate_until_it_is_forgotten() {
        let authority = Authority::new("test").unwrap();
        let first = authority.server_config(&host("a.example")).unwrap();
        let again = authority.server_config(&host("a.example")).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        for number in 0..MAX_LEAVES * 4 {
            authority.server_config(&host(&format!("h{number}.example"))).unwrap();
        }
        assert!(authority.leaves.len() <= MAX_LEAVES);
    }

    #[test]
    fn leaves_have_distinct_serial_numbers() {
        let authority = Authority::new("test").unwrap();
        let leaf = |name: &str| authority.leaf(&host(name)).unwrap();
        assert_ne!(leaf("a.example")[..40], leaf("b.example")[..40]);
        assert_eq!(authority.serial.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn debug_output_shows_no_key() {
        let authority = Authority::new("test").unwrap();
        assert_eq!(format!("{authority:?}"), "Authority { .. }");
    }
}
