//! Names of images, as people write them and as they are meant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The registry of names without one.
const REGISTRY: &str = "docker.io";
/// Where that registry keeps names of one part.
const OFFICIAL: &str = "library/";
/// The tag that is meant without one.
const TAG: &str = "latest";
/// Characters of registry and repository together: what registries take.
const NAME_LENGTH: usize = 255;
/// Characters of a tag.
const TAG_LENGTH: usize = 128;

/// The registry that is none: images that were made here.
const LOCAL: &str = "localhost";

/// A name of an image: registry, repository, and a tag, a digest or both.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Text that names no image.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the image name `{name}`: {reason}")]
pub struct ReferenceError {
    /// What was given.
    pub name: String,
    reason: &'static str,
}

impl Reference {
    /// Reads a name: `alpine`, `ghcr.io/x/y:1`, `localhost:5000/a@sha256:…`.
    pub fn parse(name: &str) -> Result<Self, ReferenceError> {
        read(name).map_err(|reason| ReferenceError { name: name.into(), reason })
    }

    /// The name of a snapshot of a sandbox: `localhost/snapshot:TAG`, which no registry has.
    pub fn snapshot(tag: &str) -> Result<Self, ReferenceError> {
        let name = format!("{LOCAL}/snapshot:{tag}");
        let parsed = Self::parse(&name)?;
        match parsed.tag() == Some(tag) && parsed.digest().is_none() {
            true => Ok(parsed),
            false => Err(ReferenceError { name, reason: "that is no tag" }),
        }
    }

    /// Whether it was named here, so that no registry has it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.registry == LOCAL
    }

    /// Host of the registry, with a port if one is meant.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository in the registry.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; `latest` when neither a tag nor a digest was named.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest of the manifest or index.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The name without what is understood anyway.
    #[must_use]
    pub fn familiar(&self) -> String {
        let name = match self.registry.as_str() {
            REGISTRY => self.repository.strip_prefix(OFFICIAL).unwrap_or(&self.repository).into(),
            registry => format!("{registry}/{}", self.repository),
        };
        self.with_version(name)
    }

    fn with_version(&self, mut name: String) -> String {
        if let Some(tag) = &self.tag {
            name = format!("{name}:{tag}");
        }
        if let Some(digest) = &self.digest {
            name = format!("{name}@{digest}");
        }
        name
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(name: &str) -> Result<Self, ReferenceError> {
        Self::parse(name)
    }
}

impl TryFrom<String> for Reference {
    type Error = ReferenceError;

    fn try_from(name: String) -> Result<Self, ReferenceError> {
        Self::parse(&name)
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_version(format!("{}/{}", self.registry, self.repository)))
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn read(text: &str) -> Result<Reference, &'static str> {
    let (rest, digest) = match text.split_once('@') {
        None => (text, None),
        Some((rest, digest)) => {
            let digest = digest.parse().map_err(|_| "the digest must be sha256 with 64 digits")?;
            (rest, Some(digest))
        }
    };
    // A colon after the last slash begins a tag; one before it a port.
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    if !tag.is_none_or(is_tag) {
        return Err("a tag has at most 128 letters, digits, `_`, `.` and `-`");
    }
    let (registry, repository) = place(name)?;
    let tag = tag.or(digest.is_none().then_some(TAG)).map(str::to_owned);
    Ok(Reference { registry, repository, tag, digest })
}

/// Registry and repository: the first part is a registry when it could be a host.
fn place(name: &str) -> Result<(String, String), &'static str> {
    if name.len() > NAME_LENGTH {
        return Err("it is longer than 255 characters");
    }
    let host = |part: &str| part.contains(['.', ':']) || part == "localhost";
    let (registry, repository) = match name.split_once('/') {
        Some((registry, repository)) if host(registry) => (registry, repository),
        _ => (REGISTRY, name),
    };
    if !is_host(registry) {
        return Err("the registry must be a host name with an optional port");
    }
    if !repository.split('/').all(is_component) {
        return Err("a repository has lower-case letters and digits, parted by `.`, `_`, `-`, `/`");
    }
    let registry = if registry == "index.docker.io" { REGISTRY } else { registry };
    let official = registry == REGISTRY && !repository.contains('/');
    let prefix = if official { OFFICIAL } else { "" };
    Ok((registry.to_owned(), format!("{prefix}{repository}")))
}

fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= TAG_LENGTH
        && tag.starts_with(word)
        && tag.chars().all(|c| word(c) || c == '.' || c == '-')
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    let label = |label: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
        !label.is_empty()
            && label.chars().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.split('.').all(label) && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// Words of lower-case letters and digits, parted by one dot, one or two underscores, or dashes.
fn is_component(component: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separators = component.split(word).filter(|between| !between.is_empty());
    let separator = |text: &str| matches!(text, "." | "_" | "__") || text.chars().all(|c| c == '-');
    component.starts_with(word)
        && component.ends_with(word)
        && separators.into_iter().all(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed_as_their_users_mean_them() {
        let digest = Digest::of(b"x");
        for (name, full, familiar) in [
            ("alpine", "docker.io/library/alpine:latest", "alpine:latest"),
            ("alpine:3.20", "docker.io/library/alpine:3.20", "alpine:3.20"),
            ("a/b", "docker.io/a/b:latest", "a/b:latest"),
            ("index.docker.io/a/b:1", "docker.io/a/b:1", "a/b:1"),
            ("docker.io/library/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
            ("localhost/a:1", "localhost/a:1", "localhost/a:1"),
            ("localhost:5000/a/b:c", "localhost:5000/a/b:c", "localhost:5000/a/b:c"),
            ("ghcr.io/x/y_z--w", "ghcr.io/x/y_z--w:latest", "ghcr.io/x/y_z--w:latest"),
        ] {
            let reference = Reference::parse(name).unwrap();
            assert_eq!(
                (reference.to_string(), reference.familiar()),
                (full.into(), familiar.into())
            );
            assert_eq!(Reference::parse(full).unwrap(), reference);
            assert_eq!(Reference::parse(familiar).unwrap(), reference);
        }
        let named = Reference::parse(&format!("ghcr.io/x/y@{digest}")).unwrap();
        assert_eq!((named.tag(), named.digest()), (None, Some(&digest)));
        let both = Reference::parse(&format!("ghcr.io/x/y:1@{digest}")).unwrap();
        assert_eq!((both.tag(), both.digest()), (Some("1"), Some(&digest)));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "a".repeat(256);
        for name in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "A",
            "a:",
            "a:-",
            "a@",
            "a@sha256:00",
            "a b",
            "a..b",
            "-a",
            "a_",
            "a___b",
            "../a",
            "a/../b",
            "x.y:z/a",
            "x..y/a",
            "-x.y/a",
            "a:b:c",
            "a\n",
            &long,
        ] {
            assert!(Reference::parse(name).is_err(), "{name:?}");
        }
    }
}
