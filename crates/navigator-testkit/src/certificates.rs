//! The test CA of a fake internet and the certificates of its servers, good and bad.

use std::sync::Arc;

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;

use crate::Certificate;

/// The authority that clients in the fake internet may trust.
pub(crate) struct TestAuthority(CertifiedIssuer<'static, KeyPair>);

impl TestAuthority {
    pub(crate) fn new() -> Result<Self> {
        let mut params = CertificateParams::new(vec![])?;
        // A leaf whose issuer has the same name as itself would count as self-signed.
        params.distinguished_name.push(DnType::CommonName, "fake internet test CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// What a server with this certificate and these protocols accepts connections with.
    pub(crate) fn config(
        &self,
        certificate: &Certificate,
        protocols: &[&[u8]],
    ) -> Result<ServerConfig> {
        let (Certificate::Good { name }
        | Certificate::Expired { name }
        | Certificate::SelfSigned { name }) = certificate;
        let mut params = CertificateParams::new(vec![name.clone()])?;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let made = match certificate {
            Certificate::Good { .. } => params.signed_by(&key, &self.0)?,
            Certificate::Expired { .. } => {
                params.not_before = date_time_ymd(2020, 1, 1);
                params.not_after = date_time_ymd(2021, 1, 1);
                params.signed_by(&key, &self.0)?
            }
            Certificate::SelfSigned { .. } => params.self_signed(&key)?,
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![made.der().clone()], key)?;
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(config)
    }
}
