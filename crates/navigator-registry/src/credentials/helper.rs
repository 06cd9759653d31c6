//! Programs that keep credentials: `docker-credential-NAME get`, with the registry on its standard input.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::{Credential, CredentialError};
use crate::limits::{HELPER_BYTES, HELPER_DEADLINE};

/// The user name that says that the secret is an identity token.
const IDENTITY: &str = "<token>";
/// What helpers print when they know nothing of a registry.
const UNKNOWN: &[u8] = b"credentials not found";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: SecretString,
}

/// Asks a helper that `file` names. `None` when it has nothing for this registry.
pub(super) async fn get(
    name: &str,
    key: &str,
    file: &Path,
    path: &OsStr,
) -> Result<Option<Credential>, CredentialError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || !name.bytes().all(plain) {
        return Err(CredentialError::HelperName(name.escape_default().take(64).collect()));
    }
    let failed = |why| CredentialError::Helper { name: name.to_owned(), why };
    let child = Command::new(format!("docker-credential-{name}"))
        .arg("get")
        .env("PATH", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| CredentialError::HelperStart {
            name: name.to_owned(),
            path: file.to_owned(),
            source,
        })?;
    let talk = tokio::time::timeout(HELPER_DEADLINE, talk(child, key)).await;
    let (success, output) = talk
        .map_err(|_| failed("it did not answer in time"))?
        .map_err(|_| failed("it could not be spoken to"))?;
    if output.len() as u64 > HELPER_BYTES {
        return Err(failed("it printed too much"));
    }
    if !success {
        let unknown = output.windows(UNKNOWN.len()).any(|part| part == UNKNOWN);
        return if unknown { Ok(None) } else { Err(failed("it reported a failure")) };
    }
    let answer: Answer =
        serde_json::from_slice(&output).map_err(|_| failed("it printed no credentials"))?;
    Ok(answer.credential())
}

/// Gives the key, and takes what is printed and whether it ended well.
async fn talk(mut child: Child, key: &str) -> std::io::Result<(bool, Zeroizing<Vec<u8>>)> {
    if let Some(mut input) = child.stdin.take() {
        match input.write_all(format!("{key}\n").as_bytes()).await {
            // One that does not read its input may still answer.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            other => other?,
        }
    }
    let mut output = Zeroizing::new(Vec::new());
    if let Some(printed) = child.stdout.take() {
        printed.take(HELPER_BYTES + 1).read_to_end(&mut output).await?;
    }
    Ok((child.wait().await?.success(), output))
}

impl Answer {
    fn credential(self) -> Option<Credential> {
        if self.secret.expose_secret().is_empty() {
            return None;
        }
        Some(if self.username == IDENTITY {
            Credential::Identity(self.secret)
        } else {
            Credential::Password { user: self.username, password: self.secret }
        })
    }
}
