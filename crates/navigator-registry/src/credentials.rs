//! Which credentials this user has for a registry, from the files of other tools.

mod file;
mod helper;

use std::ffi::OsString;
use std::path::PathBuf;

use secrecy::SecretString;
use thiserror::Error;

use self::file::Found;

/// Docker Hub's key in the files of Docker, from the time of its first API.
const HUB_KEY: &str = "https://index.docker.io/v1/";
const HUB: &str = "docker.io";

/// Files that may have credentials, in the order in which they are read; the first that has fitting ones rules.
#[derive(Debug, Clone, Default)]
pub struct CredentialFiles {
    files: Vec<PathBuf>,
    /// Where credential helpers are looked for.
    path: Option<OsString>,
}

/// Why the credentials for a registry cannot be read. None of the texts has a secret.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// A file cannot be read.
    #[error("failed to read credentials from {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not what tools write. Where it breaks is left out: the parser would quote it.
    #[error("failed to understand the credentials in {}; log in again to write them anew", path.display())]
    Form {
        /// The file.
        path: PathBuf,
    },
    /// A credential helper's name would be a path.
    #[error(
        "failed to accept the credential helper `{0}`; its name has a-z, 0-9, `-`, `_` and `.`"
    )]
    HelperName(String),
    /// A credential helper cannot be started.
    #[error("failed to start docker-credential-{name}; install it or remove it from {}", path.display())]
    HelperStart {
        /// The helper, without its prefix.
        name: String,
        /// The file that names it.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A credential helper failed, was too slow, or printed something else.
    #[error("failed to get credentials from docker-credential-{name}: {why}")]
    Helper {
        /// The helper, without its prefix.
        name: String,
        /// What it did.
        why: &'static str,
    },
}

/// What proves to a registry who the user is.
#[derive(Debug, Clone)]
pub(crate) enum Credential {
    Password {
        user: String,
        password: SecretString,
    },
    /// An identity token, exchanged at the registry's token endpoint.
    Identity(SecretString),
}

impl CredentialFiles {
    /// The files that containers' tools and Docker write: `$REGISTRY_AUTH_FILE`,
    /// `$XDG_RUNTIME_DIR/containers/auth.json`, `~/.config/containers/auth.json`, `$DOCKER_CONFIG/config.json` or
    /// `~/.docker/config.json`. A file that does not exist has no credentials. `variable` looks up the environment;
    /// `PATH` is where credential helpers are.
    pub fn usual(variable: impl Fn(&str) -> Option<OsString>) -> CredentialFiles {
        let path = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = path("HOME");
        let below_home = |rest| home.as_ref().map(|home| home.join(rest));
        let settings = path("XDG_CONFIG_HOME").or_else(|| below_home(".config"));
        let docker = path("DOCKER_CONFIG").or_else(|| below_home(".docker"));
        let files = [
            path("REGISTRY_AUTH_FILE"),
            path("XDG_RUNTIME_DIR").map(|directory| directory.join("containers/auth.json")),
            settings.map(|directory| directory.join("containers/auth.json")),
            docker.map(|directory| directory.join("config.json")),
        ];
        CredentialFiles { files: files.into_iter().flatten().collect(), path: variable("PATH") }
    }

    /// The credentials for a repository: those filed under the most specific key in the first file that has any.
    pub(crate) async fn find(
        &self,
        registry: &str,
        repository: &str,
    ) -> Result<Option<Credential>, CredentialError> {
        for path in &self.files {
            let Some(file) = file::read(path)? else { continue };
            let found = match file.find(path, registry, repository)? {
                Some(Found::Here(credential)) => Some(credential),
                Some(Found::Helper { name, key }) => {
                    let key = if key == HUB { HUB_KEY } else { &key };
                    let path_of_helpers = self.path.as_deref().unwrap_or_default();
                    helper::get(&name, key, path, path_of_helpers).await?
                }
                None => None,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_files_are_read_in_their_order() {
        let variables = |name: &str| match name {
            "HOME" => Some("/home/me".into()),
            "REGISTRY_AUTH_FILE" => Some("/named".into()),
            "XDG_RUNTIME_DIR" => Some("/run/me".into()),
            "DOCKER_CONFIG" => Some("".into()),
            _ => None,
        };
        let files = CredentialFiles::usual(variables).files;
        let files: Vec<_> = files.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(
            files,
            [
                "/named",
                "/run/me/containers/auth.json",
                "/home/me/.config/containers/auth.json",
                "/home/me/.docker/config.json"
            ]
        );
    }
}
