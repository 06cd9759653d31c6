//! Files of credentials: their form, and which of their keys fits a repository.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use serde::Deserialize;

use super::{Credential, CredentialError, HUB};
use crate::limits::CREDENTIAL_FILE_BYTES;

/// What Docker and the containers' tools write; other settings in the file are none of our business.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct CredentialFile {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    /// Base64 of `USER:PASSWORD`.
    auth: Option<SecretString>,
    username: Option<String>,
    password: Option<SecretString>,
    identitytoken: Option<SecretString>,
}

/// What a file says about a repository.
pub(super) enum Found {
    Here(Credential),
    /// A program knows.
    Helper {
        name: String,
        key: String,
    },
}

/// Reads a file; `None` when there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<CredentialFile>, CredentialError> {
    let failed = |source| CredentialError::Read { path: path.to_owned(), source };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    let mut text = Zeroizing::new(Vec::new());
    file.take(CREDENTIAL_FILE_BYTES + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > CREDENTIAL_FILE_BYTES {
        return Err(failed(ErrorKind::FileTooLarge.into()));
    }
    let unfit = |_| CredentialError::Form { path: path.to_owned() };
    serde_json::from_slice(&text).map(Some).map_err(unfit)
}

impl CredentialFile {
    /// A helper named for the registry rules, then what the file has itself, then the helper for everything.
    pub(super) fn find(
        &self,
        path: &Path,
        registry: &str,
        repository: &str,
    ) -> Result<Option<Found>, CredentialError> {
        let keys = keys(registry, repository);
        let helper = |key: &String| {
            let fits =
                |(filed, name): (&String, &String)| (place(filed) == *key).then(|| name.clone());
            let name = self.cred_helpers.iter().find_map(fits)?;
            Some(Found::Helper { name, key: key.clone() })
        };
        if let Some(found) = keys.iter().find_map(helper) {
            return Ok(Some(found));
        }
        for key in &keys {
            let fitting = self.auths.iter().filter(|(filed, _)| place(filed) == *key);
            for (_, entry) in fitting {
                let unfit = || CredentialError::Form { path: path.to_owned() };
                if let Some(credential) = entry.credential().map_err(|Unfit| unfit())? {
                    return Ok(Some(Found::Here(credential)));
                }
            }
        }
        let store = self.creds_store.as_ref().filter(|name| !name.is_empty());
        Ok(store.map(|name| Found::Helper { name: name.clone(), key: registry.to_owned() }))
    }
}

struct Unfit;

impl Entry {
    fn credential(&self) -> Result<Option<Credential>, Unfit> {
        use secrecy::ExposeSecret;
        let there = |secret: &&SecretString| !secret.expose_secret().is_empty();
        if let Some(token) = self.identitytoken.as_ref().filter(there) {
            return Ok(Some(Credential::Identity(token.clone())));
        }
        if let (Some(user), Some(password)) = (&self.username, &self.password) {
            return Ok(Some(Credential::Password {
                user: user.clone(),
                password: password.clone(),
            }));
        }
        let Some(auth) = self.auth.as_ref().filter(there) else { return Ok(None) };
        let decoded = STANDARD.decode(auth.expose_secret().trim()).map_err(|_| Unfit)?;
        let decoded = Zeroizing::new(decoded);
        let text = std::str::from_utf8(&decoded).map_err(|_| Unfit)?;
        let (user, password) = text.split_once(':').ok_or(Unfit)?;
        // Docker pads what it writes with zeros.
        let password = password.trim_end_matches('\0').into();
        Ok(Some(Credential::Password { user: user.to_owned(), password }))
    }
}

/// The keys that fit a repository, the most specific first: `host/a/b`, `host/a`, `host`.
fn keys(registry: &str, repository: &str) -> Vec<String> {
    let mut key = format!("{registry}/{repository}");
    let mut keys = vec![key.clone()];
    while key.len() > registry.len()
        && let Some(slash) = key.rfind('/')
    {
        key.truncate(slash);
        keys.push(key.clone());
    }
    keys
}

/// What a key of a file names. Docker's are URLs of an API (`https://HOST/v1/`), of which only the host counts; its
/// old name for the Hub is the Hub.
fn place(filed: &str) -> String {
    let url = filed.strip_prefix("https://").or_else(|| filed.strip_prefix("http://"));
    let place = match url {
        Some(rest) => rest.split('/').next().unwrap_or_default(),
        None => filed.trim_end_matches('/'),
    };
    let (host, path) = match place.split_once('/') {
        Some((host, path)) => (host, Some(path)),
        None => (place, None),
    };
    let host = match host {
        "index.docker.io" | "registry-1.docker.io" => HUB,
        other => other,
    };
    match path {
        Some("v1" | "v2") | None => host.to_owned(),
        Some(path) => format!("{host}/{path}"),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn user(json: &str, registry: &str, repository: &str) -> Option<String> {
        let file: CredentialFile = serde_json::from_str(json).unwrap();
        let found = file.find(Path::new("/auth.json"), registry, repository).unwrap()?;
        Some(match found {
            Found::Here(Credential::Password { user, password }) => {
                format!("{user}:{}", password.expose_secret())
            }
            Found::Here(Credential::Identity(token)) => token.expose_secret().to_owned(),
            Found::Helper { name, key } => format!("{name} {key}"),
        })
    }

    #[test]
    fn the_most_specific_key_wins() {
        let json = r#"{"auths": {
            "ghcr.io": {"auth": "aG9zdDox"},
            "ghcr.io/team": {"auth": "dGVhbToy"},
            "ghcr.io/team/tool": {"auth": "dG9vbDoz"}
        }}"#;
        assert_eq!(user(json, "ghcr.io", "team/tool").as_deref(), Some("tool:3"));
        assert_eq!(user(json, "ghcr.io", "team/tools").as_deref(), Some("team:2"));
        assert_eq!(user(json, "ghcr.io", "other/a").as_deref(), Some("host:1"));
        assert_eq!(user(json, "ghcr.io.evil.example", "team/tool"), None);
        assert_eq!(user(json, "ghcr.io:8443", "team/tool"), None);
    }

    #[test]
    fn keys_of_docker_are_understood() {
        let json = r#"{"auths": {
            "https://index.docker.io/v1/": {"auth": "aHViOjE="},
            "https://old.example/v2/": {"username": "a", "password": "b:c"},
            "token.example": {"identitytoken": "t0ken", "auth": "AA=="}
        }}"#;
        assert_eq!(user(json, "docker.io", "library/debian").as_deref(), Some("hub:1"));
        assert_eq!(user(json, "old.example", "x").as_deref(), Some("a:b:c"));
        assert_eq!(user(json, "token.example", "x").as_deref(), Some("t0ken"));
    }

    #[test]
    fn helpers_are_asked_in_their_order() {
        let json = r#"{"credsStore": "secretservice", "credHelpers": {"gcr.io": "gcloud"},
            "auths": {"ghcr.io": {}, "quay.io": {"auth": "aG9zdDox"}}}"#;
        assert_eq!(user(json, "gcr.io", "a").as_deref(), Some("gcloud gcr.io"));
        assert_eq!(user(json, "ghcr.io", "a").as_deref(), Some("secretservice ghcr.io"));
        assert_eq!(user(json, "quay.io", "a").as_deref(), Some("host:1"));
    }

    #[test]
    fn a_broken_file_is_an_error_that_quotes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("auth.json");
        std::fs::write(&path, r#"{"auths": {"a": {"auth": hunter2}}}"#).unwrap();
        let error = read(&path).err().unwrap();
        assert!(matches!(error, CredentialError::Form { .. }));
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        let json = r#"{"auths": {"a.example": {"auth": "hunter2!"}}}"#;
        let file: CredentialFile = serde_json::from_str(json).unwrap();
        let error = file.find(&path, "a.example", "x").err().unwrap();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        assert!(read(&directory.path().join("missing")).unwrap().is_none());
    }
}
