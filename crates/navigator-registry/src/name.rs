//! Names of images: where they are, what they are called, and which one of that name is meant.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::digest::Digest;

/// The registry that names without one belong to.
const DOCKER_HUB: &str = "docker.io";
/// The specification's bound of a repository's name with its host.
const LONGEST: usize = 255;
/// The specification's bound of a tag.
const LONGEST_TAG: usize = 128;

/// An image in a registry: `HOST[:PORT]/REPOSITORY[:TAG][@DIGEST]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageName {
    registry: String,
    repository: String,
    selector: Selector,
}

/// Which image of a repository is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Selector {
    /// The one that carries this tag now.
    Tag(String),
    /// This one, whatever it is called.
    Digest(Digest),
}

/// Why a text does not name an image.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("failed to read `{text}` as the name of an image: {why}")]
pub struct NameError {
    /// What was given.
    pub text: String,
    /// What is wrong with it, and what would be right.
    pub why: &'static str,
}

impl ImageName {
    /// Names an image by its parts. A repository of Docker Hub without a `/` is one of its `library/`.
    ///
    /// # Errors
    /// [`NameError`] when a part does not have the form that the distribution specification gives it.
    pub fn new(
        registry: &str,
        repository: &str,
        selector: Selector,
    ) -> Result<ImageName, NameError> {
        let registry = match registry {
            "index.docker.io" | "registry-1.docker.io" => DOCKER_HUB.to_owned(),
            other => other.to_ascii_lowercase(),
        };
        let repository = if registry == DOCKER_HUB && !repository.contains('/') {
            format!("library/{repository}")
        } else {
            repository.to_owned()
        };
        let refused = |text: &str, why| Err(NameError { text: text.to_owned(), why });
        if !is_host(&registry) {
            return refused(
                &registry,
                "a registry is a host name or an address, and maybe `:PORT`",
            );
        }
        if !is_repository(&repository) || registry.len() + repository.len() >= LONGEST {
            return refused(
                &repository,
                "a repository has parts of a-z and 0-9, joined by `.`, `_`, `-` and `/`",
            );
        }
        match &selector {
            Selector::Tag(tag) if !is_tag(tag) => {
                refused(tag, "a tag has up to 128 of A-Z, a-z, 0-9, `_`, `.` and `-`")
            }
            Selector::Tag(_) | Selector::Digest(_) => {
                Ok(ImageName { registry, repository, selector })
            }
        }
    }

    /// Host and maybe port of the registry, as credentials are filed under.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository, such as `library/debian`.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Which image of the repository.
    #[must_use]
    pub fn selector(&self) -> &Selector {
        &self.selector
    }
}

impl FromStr for ImageName {
    type Err = NameError;

    /// Reads a name; what is left out is Docker Hub and the tag `latest`. With a tag and a digest, the digest rules.
    fn from_str(text: &str) -> Result<ImageName, NameError> {
        let refused = |why| NameError { text: text.to_owned(), why };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest.parse::<Digest>();
                (rest, Some(digest.map_err(|_| refused("what follows `@` is not a digest"))?))
            }
            None => (text, None),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
            _ => (rest, None),
        };
        let (registry, repository) = match path.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':', '[']) || first == "localhost" => {
                (first, rest)
            }
            _ => (DOCKER_HUB, path),
        };
        let tag = tag.unwrap_or("latest");
        if !is_tag(tag) {
            return Err(refused("what follows `:` is not a tag"));
        }
        let selector = digest.map_or_else(|| Selector::Tag(tag.to_owned()), Selector::Digest);
        ImageName::new(registry, repository, selector)
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.registry, self.repository)?;
        match &self.selector {
            Selector::Tag(tag) => write!(out, ":{tag}"),
            Selector::Digest(digest) => write!(out, "@{digest}"),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::Tag(tag) => out.write_str(tag),
            Selector::Digest(digest) => digest.fmt(out),
        }
    }
}

/// Whether this is a host, and maybe a port, that a URL holds unchanged: nothing can be smuggled into it.
pub(crate) fn is_host(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    let fits = !text.is_empty() && text.bytes().all(plain);
    fits && url::Url::parse(&format!("https://{text}/")).is_ok_and(|url| {
        let host = url.host_str().unwrap_or_default();
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        text == format!("{host}{port}") || text == format!("{host}:443")
    })
}

pub(crate) fn is_repository(text: &str) -> bool {
    text.split('/').all(|part| {
        let edge = |byte: Option<u8>| {
            byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        let inner =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        edge(part.bytes().next())
            && edge(part.bytes().last())
            && part.bytes().all(inner)
            && !part.contains("..")
    })
}

fn is_tag(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let first =
        text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    first && text.len() <= LONGEST_TAG && text.bytes().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed_as_people_expect() {
        let digest = Digest::sha256(b"x");
        let pinned = format!("ghcr.io/a/b@{digest}");
        for (text, whole) in [
            ("debian", "docker.io/library/debian:latest"),
            ("debian:12", "docker.io/library/debian:12"),
            ("me/tool", "docker.io/me/tool:latest"),
            ("index.docker.io/debian", "docker.io/library/debian:latest"),
            ("localhost/a", "localhost/a:latest"),
            ("localhost:5000/a/b:c", "localhost:5000/a/b:c"),
            ("[::1]:5000/a", "[::1]:5000/a:latest"),
            ("10.0.0.1:80/a:B", "10.0.0.1:80/a:B"),
            (&pinned, &pinned),
            (&format!("ghcr.io/a/b:tag@{digest}"), &pinned),
        ] {
            assert_eq!(text.parse::<ImageName>().unwrap().to_string(), whole);
        }
    }

    #[test]
    fn names_that_would_reach_elsewhere_are_refused() {
        for text in [
            "",
            "a/../b",
            "ghcr.io/../a",
            "ghcr.io/a?b",
            "ghcr.io/A",
            "user@ghcr.io/a",
            "ghcr.io/a:b/c",
            "ghcr.io/a:",
            "ghcr.io/a@sha256:1",
            "ghcr.io:99999/a",
            "ghcr.io/a b",
            "ghcr.io/",
            "gh_cr.io/a",
        ] {
            assert!(text.parse::<ImageName>().is_err(), "{text}");
        }
    }
}
