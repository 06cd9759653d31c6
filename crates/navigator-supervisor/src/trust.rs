//! Which certificate authorities count: in the sandbox the system's and the sandbox's own, outside the system's and
//! those the user adds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use navigator_egress::tls::{Authority, AuthorityError, RootsError, UpstreamTls};
use navigator_isolation::SyntheticFile;

/// The sandbox's own authority alone, as programs in it see it.
const OWN: &str = "/etc/navigator-tls/ca.pem";
/// The system's authorities and the sandbox's own.
const BUNDLE: &str = "/etc/navigator-tls/ca-bundle.pem";
/// Settings for `wget`, which has no variable for authorities but one for a file of settings.
const WGETRC: &str = "/etc/navigator-tls/wgetrc";
/// Variables that add an authority to those a program has.
const ADDING: [&str; 1] = ["NODE_EXTRA_CA_CERTS"];
/// Variables that name all authorities a program trusts.
const REPLACING: [&str; 9] = [
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "AWS_CA_BUNDLE",
    "DENO_CERT",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
];

/// Trust could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The sandbox's own authority cannot be made.
    #[error("failed to make the sandbox's certificate authority")]
    Authority(#[from] AuthorityError),
    /// The user's authorities cannot be used.
    #[error(transparent)]
    Upstream(#[from] RootsError),
}

/// The authorities of one sandbox.
pub(crate) struct Trust {
    pub(crate) authority: Authority,
    pub(crate) upstream: UpstreamTls,
}

impl Trust {
    /// Makes the authority of the sandbox with this name, and reads the files of authorities to add.
    pub(crate) fn new(sandbox: &str, added: &[PathBuf]) -> Result<Self, TrustError> {
        let upstream = UpstreamTls::with_added(added)?;
        Ok(Self { authority: Authority::new(sandbox)?, upstream })
    }

    /// The trust files of the sandbox.
    pub(crate) fn files(&self) -> [SyntheticFile; 3] {
        let own = self.authority.certificate_pem().into_bytes();
        let mut bundle = system_bundle();
        bundle.push(b'\n');
        bundle.extend_from_slice(&own);
        [
            SyntheticFile { path: OWN.into(), content: own },
            SyntheticFile { path: BUNDLE.into(), content: bundle },
            SyntheticFile {
                path: WGETRC.into(),
                content: format!("ca_certificate = {BUNDLE}\n").into_bytes(),
            },
        ]
    }
}

/// The variables that make programs trust the sandbox's authority.
pub(crate) fn variables() -> BTreeMap<String, String> {
    let adding = ADDING.map(|name| (name.to_owned(), OWN.to_owned()));
    let replacing = REPLACING.map(|name| (name.to_owned(), BUNDLE.to_owned()));
    let wget = [("SYSTEM_WGETRC".to_owned(), WGETRC.to_owned())];
    adding.into_iter().chain(replacing).chain(wget).collect()
}

/// The system's authorities as one text. Without any, programs trust the sandbox's own alone.
fn system_bundle() -> Vec<u8> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let candidates = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ssl/cert.pem",
    ];
    let usual = candidates.iter().map(|path| Path::new(path).to_owned());
    let found = named.into_iter().chain(usual).find_map(|path| std::fs::read(path).ok());
    found.unwrap_or_else(|| {
        tracing::warn!("no certificate authorities were found; install `ca-certificates`");
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundle_holds_the_systems_authorities_and_our_own() {
        let trust = Trust::new("test", &[]).unwrap();
        let [own, bundle, _] = trust.files();
        let count = |file: &SyntheticFile| {
            String::from_utf8_lossy(&file.content).matches("BEGIN CERTIFICATE").count()
        };
        assert_eq!(count(&own), 1);
        assert!(bundle.content.ends_with(&own.content));
        assert!(count(&bundle) > 1 || system_bundle().is_empty());
    }

    #[test]
    fn no_key_is_in_any_file() {
        let trust = Trust::new("test", &[]).unwrap();
        for file in trust.files() {
            assert!(!String::from_utf8_lossy(&file.content).contains("PRIVATE"));
        }
    }

    #[test]
    fn a_file_without_authorities_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("empty.pem");
        std::fs::write(&path, "nothing\n").unwrap();
        assert!(Trust::new("test", &[path]).is_err());
        assert!(Trust::new("test", &[dir.path().join("missing.pem")]).is_err());
    }
}
