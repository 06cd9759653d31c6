//! What the gateway keeps, as it is meant: names are checked, enums are enums, secrets are not shown.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use navigator_policy::Policy;
use serde_json::Value;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Milliseconds since 1970.
pub type Millis = i64;

/// Longest name of anything, in bytes: a DNS label (RFC 1035 section 2.3.4).
const NAME_BYTES: usize = 63;

/// A name of a sandbox, provider or route: `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

/// Text that is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid name: use 1 to 63 lower-case letters, digits and `-`, with a letter or digit at both ends"
)]
pub struct NameError;

impl Name {
    /// Checks a name.
    ///
    /// # Errors
    /// [`NameError`] when it is not one.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = text.as_bytes();
        let ends = bytes.first().is_some_and(plain) && bytes.last().is_some_and(plain);
        let inside = bytes.iter().all(|byte| plain(byte) || *byte == b'-');
        if ends && inside && bytes.len() <= NAME_BYTES {
            Ok(Self(text.into()))
        } else {
            Err(NameError)
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A secret; its memory is wiped when it is dropped, and it is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a secret over.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret, to be used and not kept.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

/// A sandbox: what somebody asked for, and what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sandbox {
    /// Its id.
    pub id: Uuid,
    /// Its name; no two sandboxes have the same.
    pub name: Name,
    /// What was asked for.
    pub spec: Spec,
    /// Whether it should run.
    pub desired: Desired,
    /// Where it is.
    pub phase: Phase,
    /// Why it is there.
    pub conditions: Vec<Condition>,
    /// How well each layer of isolation is in force.
    pub layers: Vec<Layer>,
    /// Paths of the policy that the root filesystem does not have, and why.
    pub skipped: Vec<(String, String)>,
    /// How often its supervisor was started again after it had ended by itself.
    pub restarts: u32,
    /// When it was made.
    pub created_at: Millis,
    /// The policy revision in force; 0 before the first is.
    pub policy_in_force: u32,
    /// SHA-256 of the credential of its supervisor, while it has one.
    pub token_hash: Option<[u8; 32]>,
    /// Grows with each change of the record; a change is refused when it does not start from the newest.
    pub record_version: i64,
}

/// What somebody asked for, without the policy, which has revisions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spec {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub log_level: String,
    /// Environment.
    pub environment: BTreeMap<String, String>,
    /// How it is made.
    pub template: Template,
    /// Providers by name, first wins.
    pub providers: Vec<Name>,
    /// Parts of the gateway's machine.
    pub mounts: Vec<Mount>,
}

/// How a sandbox is made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Template {
    /// Root filesystem.
    pub image: String,
    /// For other drivers.
    pub runtime_class_name: String,
    /// For other drivers.
    pub agent_socket: String,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
    /// Free notes.
    pub annotations: BTreeMap<String, String>,
    /// Environment of the template; the spec's own wins.
    pub environment: BTreeMap<String, String>,
    /// Limits, as a JSON object.
    pub resources: Option<Value>,
    /// For other drivers, as a JSON object.
    pub pod_template: Option<Value>,
    /// For other drivers, as a JSON object.
    pub volume_claim_templates: Option<Value>,
}

impl Template {
    /// The name of the image that it is made from; nothing for the machine's own system or a directory.
    #[must_use]
    pub fn image_name(&self) -> Option<&str> {
        Some(self.image.as_str()).filter(|image| !image.is_empty() && !image.starts_with('/'))
    }
}

/// A part of the gateway's machine in a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Absolute path on the machine.
    pub source: PathBuf,
    /// Absolute path in the sandbox.
    pub destination: PathBuf,
    /// Whether it can only be read.
    pub read_only: bool,
}

/// What should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Desired {
    /// It should run.
    Running,
    /// Nothing of it should run.
    Stopped,
    /// It should not be there.
    Deleted,
}

/// Where a sandbox is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// On its way to run.
    Provisioning,
    /// It runs and is enforced.
    Ready,
    /// It does not run and should.
    Error,
    /// On its way out.
    Deleting,
    /// It runs, and its supervisor has not said how.
    Unknown,
    /// Nothing runs, as asked for.
    Stopped,
}

/// One thing that is known of a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// What it is about, such as `Ready`.
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// One word.
    pub reason: String,
    /// For people.
    pub message: String,
    /// Since when.
    pub since: Millis,
}

/// How well one layer of isolation is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Name of the layer.
    pub name: String,
    /// What is missing and why; `None` when it is fully enforced.
    pub degraded: Option<String>,
    /// What was achieved.
    pub detail: String,
}

/// One revision of a sandbox's policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// Counts up from 1.
    pub version: u32,
    /// Canonical hash, in hexadecimal.
    pub hash: String,
    /// What it says.
    pub policy: Policy,
    /// What became of it.
    pub status: RevisionStatus,
    /// When it was made.
    pub created_at: Millis,
    /// When it came into force.
    pub loaded_at: Option<Millis>,
}

/// What became of a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevisionStatus {
    /// The supervisor has not answered yet.
    Pending,
    /// It is or was in force.
    Loaded,
    /// It could not come into force: why. It is never tried again.
    Failed(String),
    /// A newer one came first.
    Superseded,
}

/// Credentials for some service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: Name,
    /// Kind of service.
    pub kind: String,
    /// Secrets by environment name.
    pub credentials: BTreeMap<String, Secret>,
    /// Settings that are no secrets.
    pub config: BTreeMap<String, String>,
    /// When it was made.
    pub created_at: Millis,
    /// As in [`Sandbox::record_version`].
    pub record_version: i64,
}

/// A route from model APIs to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: Name,
    /// What policies call it.
    pub routing_hint: String,
    /// Where the server is.
    pub base_url: String,
    /// Model APIs that the server speaks.
    pub protocols: Vec<String>,
    /// The server's key.
    pub api_key: Secret,
    /// Model that is asked for there.
    pub model_id: String,
    /// Whether it is used.
    pub enabled: bool,
    /// When it was made.
    pub created_at: Millis,
    /// As in [`Sandbox::record_version`].
    pub record_version: i64,
}

/// A right to reach a sandbox's SSH server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshSession {
    /// Its id.
    pub id: Uuid,
    /// The sandbox.
    pub sandbox_id: Uuid,
    /// SHA-256 of its token.
    pub token_hash: [u8; 32],
    /// When it was made.
    pub created_at: Millis,
    /// From when on it is no good.
    pub expires_at: Millis,
    /// Whether somebody took it back.
    pub revoked: bool,
    /// Whether it has opened a connection: it opens one.
    pub used: bool,
}

/// Something that happened to a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformEvent {
    /// When.
    pub at: Millis,
    /// Who tells: `gateway` or `driver`.
    pub source: String,
    /// Whether it is trouble.
    pub severity: Severity,
    /// One word.
    pub reason: String,
    /// For people.
    pub message: String,
    /// More about it.
    pub metadata: BTreeMap<String, String>,
}

/// Whether an event is trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It is not.
    Normal,
    /// Somebody should look.
    Warning,
}

/// A part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// At most so many; 1 to 1000.
    pub limit: u32,
    /// After so many.
    pub offset: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_labels() {
        let longest = "a".repeat(63);
        for good in ["a", "0", "a-b", "demo", "a--b", longest.as_str()] {
            assert!(Name::parse(good).is_ok(), "{good}");
        }
        let long = "a".repeat(64);
        for bad in ["", "-", "-a", "a-", "A", "a_b", "a.b", "a/b", "ä", "a\n", long.as_str()] {
            assert_eq!(Name::parse(bad), Err(NameError), "{bad}");
        }
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::new("hunter2".into())), "[redacted]");
    }
}
