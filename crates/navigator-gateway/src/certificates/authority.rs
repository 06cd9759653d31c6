//! Makes certificates: the authority's own, and those that it signs.

use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, SerialNumber,
};
use zeroize::Zeroizing;

use super::user::UserName;
use super::{CertificateError, Purpose, files, invalid};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the authority lasts: replacing it means to tell everybody.
const AUTHORITY_DAYS: u32 = 3650;
/// How long others last. A year: nothing renews them by itself, and what is lost is revoked, not waited for.
const LEAF_DAYS: u32 = 365;
/// How far back certificates begin, for machines whose clocks are behind.
const BACKDATED: Duration = Duration::from_secs(60 * 60);

/// What signs.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Nothing that it signs may last longer than it does.
    not_after: SystemTime,
}

impl Authority {
    /// The authority in a directory; it is made when it is missing, and never replaced.
    pub(super) fn make(dir: &Path) -> Result<Self, CertificateError> {
        let (path, key_path) = (Purpose::Authority.path(dir), key_path(dir));
        // The key comes first: without its certificate it is of no use to anybody, and is used by the next try.
        if !files::is_there(&key_path)? {
            if files::is_there(&path)? {
                return Err(invalid(&path, "its key `ca-key.pem` is missing; bring it back"));
            }
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
            unless_there(files::write_new(&key_path, &Zeroizing::new(key.serialize_pem())))?;
        }
        if !files::is_there(&path)? {
            let certificate = own_params()?.self_signed(&load_key(&key_path)?)?;
            unless_there(files::write_new(&path, &certificate.pem()))?;
        }
        Self::load(dir)
    }

    /// The authority in a directory.
    pub(super) fn load(dir: &Path) -> Result<Self, CertificateError> {
        let path = Purpose::Authority.path(dir);
        let der = files::certificate(&path)?;
        let certificate = files::parsed(&path, &der)?;
        check(&path, &certificate)?;
        let key = load_key(&key_path(dir))?;
        if certificate.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(invalid(&path, "`ca-key.pem` is the key of another certificate"));
        }
        let seconds = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0);
        let not_after = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        Ok(Self { issuer: Issuer::from_ca_cert_der(&der, key)?, not_after })
    }

    /// A server's certificate and key as PEM.
    pub(super) fn server(&self, names: Vec<String>) -> Result<Zeroizing<String>, CertificateError> {
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = common_name("navigator gateway");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    /// A user's certificate and key as PEM.
    pub(super) fn client(&self, name: &UserName) -> Result<Zeroizing<String>, CertificateError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(name.as_str());
        params.subject_alt_names = vec![SanType::URI(name.uri().try_into()?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    fn sign(&self, mut params: CertificateParams) -> Result<Zeroizing<String>, CertificateError> {
        let now = SystemTime::now();
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.serial_number = Some(serial()?);
        params.not_before = (now - BACKDATED).into();
        params.not_after = (now + LEAF_DAYS * DAY).min(self.not_after).into();
        self.finish(&params)
    }

    pub(super) fn finish(
        &self,
        params: &CertificateParams,
    ) -> Result<Zeroizing<String>, CertificateError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let key = Zeroizing::new(key.serialize_pem());
        Ok(Zeroizing::new(format!("{}{}", certificate.pem(), *key)))
    }
}

/// Refuses what must not sign, so that nobody learns it from clients that fail.
pub(super) fn check(
    path: &Path,
    certificate: &x509_parser::certificate::X509Certificate<'_>,
) -> Result<(), CertificateError> {
    if !certificate.is_ca() {
        return Err(invalid(path, "it is not the certificate of an authority"));
    }
    if !certificate.validity().is_valid() {
        return Err(invalid(
            path,
            "it is not valid today; check the clock, or make a new authority",
        ));
    }
    Ok(())
}

fn own_params() -> Result<CertificateParams, CertificateError> {
    let now = SystemTime::now();
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name("navigator gateway authority");
    // It signs for servers and users, never for other authorities.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(serial()?);
    params.not_before = (now - BACKDATED).into();
    params.not_after = (now + AUTHORITY_DAYS * DAY).into();
    Ok(params)
}

fn common_name(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

/// A random number of 126 bits that is positive and has no leading zeros (RFC 5280 section 4.1.2.2).
fn serial() -> Result<SerialNumber, CertificateError> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| CertificateError::Random)?;
    bytes[0] = bytes[0] & 0x3f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn key_path(dir: &Path) -> std::path::PathBuf {
    dir.join("ca-key.pem")
}

fn load_key(path: &Path) -> Result<KeyPair, CertificateError> {
    let key = files::key(path)?;
    KeyPair::try_from(&key).map_err(|_| invalid(path, "its key is of a kind that cannot sign here"))
}

/// Somebody else may have made it at the same time; then theirs is it.
fn unless_there(written: Result<(), CertificateError>) -> Result<(), CertificateError> {
    match written {
        Err(CertificateError::Exists { .. }) => Ok(()),
        written => written,
    }
}
