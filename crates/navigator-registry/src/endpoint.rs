//! Where requests for an image go: the registry itself and its mirrors.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use url::Url;

use crate::name::{self, ImageName};

/// Docker Hub's registry answers under another name than its images carry.
const HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// A mirror of a registry: `[REGISTRY=]URL`. Without a registry it mirrors Docker Hub, as other tools have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    registry: String,
    endpoint: Endpoint,
}

/// Why a text does not name a mirror.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "failed to read the mirror `{0}`; it is `[REGISTRY=]URL`, such as \
     `ghcr.io=https://mirror.example/ghcr`"
)]
pub struct MirrorError(String);

/// One place that may have an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// `https://HOST[:PORT]/`, or `http://` where that was asked for.
    pub(crate) base: Url,
    /// What credentials for it are filed under.
    pub(crate) login: String,
    /// What a mirror puts before names of repositories.
    prefix: Option<String>,
    /// Whether the scheme was written by the user, or may be found out.
    pub(crate) scheme: Scheme,
    pub(crate) role: Role,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// As the URL says.
    Written,
    /// TLS; plain HTTP where that is allowed and the other side speaks no TLS.
    TlsFirst,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Mirror,
    Registry,
}

impl Endpoint {
    /// All places for this image, in the order in which they are asked.
    pub(crate) fn of(image: &ImageName, mirrors: &[Mirror]) -> Vec<Endpoint> {
        let of_it = mirrors.iter().filter(|mirror| mirror.registry == image.registry());
        of_it.map(|mirror| mirror.endpoint.clone()).chain(Endpoint::registry(image)).collect()
    }

    /// The registry of an image. Its name was checked to be a host, so that there always is one.
    fn registry(image: &ImageName) -> Option<Endpoint> {
        let login = image.registry().to_owned();
        let host = if login == HUB.0 { HUB.1 } else { &login };
        let base = Url::parse(&format!("https://{host}/")).ok()?;
        let (scheme, role) = (Scheme::TlsFirst, Role::Registry);
        Some(Endpoint { base, login, prefix: None, scheme, role })
    }

    /// What a repository is called there.
    pub(crate) fn repository(&self, image: &ImageName) -> String {
        match &self.prefix {
            Some(prefix) => format!("{prefix}/{}", image.repository()),
            None => image.repository().to_owned(),
        }
    }

    /// Host and maybe port, for people.
    pub(crate) fn host(&self) -> String {
        authority(&self.base)
    }
}

/// Host and maybe port of a URL.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

impl FromStr for Mirror {
    type Err = MirrorError;

    fn from_str(text: &str) -> Result<Mirror, MirrorError> {
        let unfit = || MirrorError(text.chars().take(256).collect());
        let (registry, url) = match text.split_once('=') {
            Some((registry, url)) if !registry.contains("://") => (registry, url),
            _ => (HUB.0, text),
        };
        let url = if url.contains("://") { url.to_owned() } else { format!("https://{url}") };
        let mut base = Url::parse(&url).map_err(|_| unfit())?;
        let prefix = base.path().trim_matches('/').to_owned();
        let plain = matches!(base.scheme(), "http" | "https") && base.has_host();
        let nothing_else = base.query().is_none() && base.fragment().is_none();
        // A password in an argument is seen by every user of the machine.
        let no_login = base.username().is_empty() && base.password().is_none();
        let prefix_fits = prefix.is_empty() || name::is_repository(&prefix);
        let registry_fits = name::is_host(registry);
        if !(plain && nothing_else && no_login && prefix_fits && registry_fits) {
            return Err(unfit());
        }
        base.set_path("/");
        let prefix = Some(prefix).filter(|prefix| !prefix.is_empty());
        let (scheme, role) = (Scheme::Written, Role::Mirror);
        let endpoint = Endpoint { login: authority(&base), base, prefix, scheme, role };
        Ok(Mirror { registry: registry.to_ascii_lowercase(), endpoint })
    }
}

impl fmt::Display for Mirror {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = self.endpoint.prefix.as_deref().unwrap_or_default();
        write!(out, "{}={}{prefix}", self.registry, self.endpoint.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_asked_first_and_in_order() {
        let mirrors: Vec<Mirror> =
            ["https://one.example", "ghcr.io=other.example/x", "http://127.0.0.1:5000/hub/"]
                .iter()
                .map(|text| text.parse().unwrap())
                .collect();
        let image: ImageName = "debian".parse().unwrap();
        let asked: Vec<String> = Endpoint::of(&image, &mirrors)
            .iter()
            .map(|place| format!("{}{}", place.base, place.repository(&image)))
            .collect();
        assert_eq!(
            asked,
            [
                "https://one.example/library/debian",
                "http://127.0.0.1:5000/hub/library/debian",
                "https://registry-1.docker.io/library/debian"
            ]
        );
    }

    #[test]
    fn mirrors_that_say_more_than_a_place_are_refused() {
        for text in
            ["", "ftp://a", "https://a:b@c", "https://a/?x", "a b=https://c", "https://a/../B"]
        {
            assert!(text.parse::<Mirror>().is_err(), "{text}");
        }
    }
}
