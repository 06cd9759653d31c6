//! From a name to the manifest and the configuration of one image for one platform, all verified.

use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use serde::Deserialize;

use crate::digest::Digest;
use crate::endpoint::Endpoint;
use crate::error::Failure;
use crate::limits::{DOCUMENT_BYTES, INDEX_DEPTH};
use crate::manifest::{ACCEPTED, Descriptor, Document, Entry, Manifest, ManifestError};
use crate::name::{ImageName, Selector};
use crate::options::Retry;
use crate::platform::Platform;
use crate::progress::Progress;
use crate::retry::Attempts;
use crate::session::Session;

/// An image that was found: everything about it but the layers.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// What was asked for.
    pub image: ImageName,
    /// The digest of what the name stands for: of the index where there is one, else of the manifest. With it the
    /// same image can be named for good.
    pub digest: Digest,
    /// The manifest of the image for the platform.
    pub manifest: Manifest,
    /// The manifest's own digest.
    pub manifest_digest: Digest,
    /// The manifest as it came.
    pub manifest_bytes: Vec<u8>,
    /// The image's configuration as it came: JSON of an object.
    pub config: Vec<u8>,
    /// Host and maybe port of who answered.
    pub from: String,
    /// Where its layers are asked for: who answered, and those after it.
    pub(crate) places: Vec<Endpoint>,
}

/// What the configuration says of its platform; the rest is for who uses the image.
#[derive(Deserialize)]
struct Configuration {
    os: String,
    architecture: String,
}

/// A manifest or an index that came.
struct Fetched {
    bytes: Vec<u8>,
    digest: Digest,
    document: Document,
}

/// The manifest of one image.
struct One {
    bytes: Vec<u8>,
    digest: Digest,
    manifest: Manifest,
}

/// Finds an image at one place.
pub(crate) struct Resolver<'a> {
    pub(crate) session: &'a Session<'a>,
    pub(crate) retry: Retry,
    pub(crate) progress: &'a dyn Progress,
}

impl Resolver<'_> {
    pub(crate) async fn resolve(
        &self,
        image: &ImageName,
        platform: &Platform,
    ) -> Result<Resolved, Failure> {
        let wanted = match image.selector() {
            Selector::Tag(_) => None,
            Selector::Digest(digest) => Some(digest),
        };
        let named = self.document(&image.selector().to_string(), wanted, None).await?;
        let digest = named.digest.clone();
        let one = self.descend(named, platform).await?;
        let config = self.config(&one.manifest, platform).await?;
        Ok(Resolved {
            image: image.clone(),
            digest,
            manifest: one.manifest,
            manifest_digest: one.digest,
            manifest_bytes: one.bytes,
            config,
            from: self.session.place.host(),
            places: vec![],
        })
    }

    /// From an index to the manifest for the platform.
    async fn descend(&self, named: Fetched, platform: &Platform) -> Result<One, Failure> {
        let mut fetched = named;
        for _ in 0..=INDEX_DEPTH {
            let entry = match fetched.document {
                Document::Manifest(manifest) => {
                    return Ok(One { bytes: fetched.bytes, digest: fetched.digest, manifest });
                }
                Document::Index(entries) => choose(entries, platform)?,
            };
            let name = entry.digest.to_string();
            fetched = self.document(&name, Some(&entry.digest), Some(&entry)).await?;
        }
        let (count, limit) = (INDEX_DEPTH as u64 + 1, INDEX_DEPTH as u64);
        let what = "indexes within indexes";
        Err(Failure::Manifest(ManifestError::TooMuch { what, count, limit }))
    }

    /// A manifest or an index, with the digest that it must have where one is known.
    async fn document(
        &self,
        name: &str,
        wanted: Option<&Digest>,
        entry: Option<&Descriptor>,
    ) -> Result<Fetched, Failure> {
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(ACCEPTED))]);
        let (bytes, head) = self.bytes("the manifest", "manifests", name, &headers).await?;
        let announced = announced(&head);
        let digest = match wanted.or(announced.as_ref()) {
            Some(digest) => digest.of_same_kind(&bytes),
            None => Digest::sha256(&bytes),
        };
        if let Some(wanted) = [wanted, announced.as_ref()]
            .into_iter()
            .flatten()
            .find(|wanted| wanted.algorithm() == digest.algorithm() && **wanted != digest)
        {
            return Err(unlike("the manifest", wanted, digest));
        }
        if let Some(entry) = entry {
            fits("the manifest", entry, bytes.len() as u64)?;
        }
        let said = head.get(CONTENT_TYPE).and_then(|said| said.to_str().ok());
        let document = Document::read(&bytes, said).map_err(Failure::Manifest)?;
        Ok(Fetched { bytes, digest, document })
    }

    async fn config(&self, manifest: &Manifest, platform: &Platform) -> Result<Vec<u8>, Failure> {
        let wanted = &manifest.config;
        let what = "the configuration";
        let name = wanted.digest.to_string();
        let (bytes, _) = self.bytes(what, "blobs", &name, &HeaderMap::new()).await?;
        fits(what, wanted, bytes.len() as u64)?;
        let digest = wanted.digest.of_same_kind(&bytes);
        if digest != wanted.digest {
            return Err(unlike(what, &wanted.digest, digest));
        }
        let says: Configuration = serde_json::from_slice(&bytes).map_err(Failure::Config)?;
        let is = Platform { os: says.os, architecture: says.architecture, variant: None };
        if (&is.os, &is.architecture) != (&platform.os, &platform.architecture) {
            let (wanted, offered) = (platform.clone(), is.to_string());
            return Err(Failure::Platform { wanted, offered });
        }
        Ok(bytes)
    }

    /// A small answer, asked for again where that may help.
    async fn bytes(
        &self,
        what: &'static str,
        kind: &str,
        name: &str,
        headers: &HeaderMap,
    ) -> Result<(Vec<u8>, HeaderMap), Failure> {
        let mut attempts = Attempts::new(self.retry, self.session.place.role, self.progress);
        let deadline = self.session.transport.timeouts().document;
        loop {
            let attempt = async {
                let answer = self.session.get(kind, name, headers).await?;
                let bytes = answer.body.whole(what, DOCUMENT_BYTES, deadline).await?;
                Ok((bytes, answer.headers))
            };
            match attempt.await {
                Ok(both) => return Ok(both),
                Err(failure) => attempts.after(failure).await?,
            }
        }
    }
}

/// The digest that the registry says its answer has. What is no digest says nothing.
fn announced(head: &HeaderMap) -> Option<Digest> {
    head.get("docker-content-digest")?.to_str().ok()?.parse().ok()
}

fn fits(what: &'static str, wanted: &Descriptor, got: u64) -> Result<(), Failure> {
    if wanted.size != got {
        return Err(Failure::Size { what, wanted: wanted.size, got });
    }
    Ok(())
}

fn unlike(what: &'static str, wanted: &Digest, got: Digest) -> Failure {
    Failure::Digest { what, wanted: wanted.clone(), got }
}

/// The entry that fits a platform best. An index that names no platform at all, with one entry, means that one.
fn choose(entries: Vec<Entry>, platform: &Platform) -> Result<Descriptor, Failure> {
    let fit = |entry: &Entry| platform.fit(entry.platform.as_ref()?);
    let mut best: Option<(u32, &Entry)> = None;
    for entry in &entries {
        if let Some(fit) = fit(entry)
            && best.is_none_or(|(other, _)| fit > other)
        {
            best = Some((fit, entry));
        }
    }
    if let Some((_, entry)) = best {
        return Ok(entry.descriptor.clone());
    }
    match entries.as_slice() {
        [only] if only.platform.is_none() => Ok(only.descriptor.clone()),
        _ => {
            // Attestations have a platform of their own making.
            let real = entries.iter().filter_map(|entry| entry.platform.as_ref());
            let names: Vec<_> =
                real.filter(|p| p.os != "unknown").map(ToString::to_string).take(16).collect();
            let offered = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            Err(Failure::Platform { wanted: platform.clone(), offered })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, architecture: Option<(&str, Option<&str>)>) -> Entry {
        let digest = Digest::sha256(name.as_bytes());
        let platform = architecture.map(|(architecture, variant)| Platform {
            os: "linux".into(),
            architecture: architecture.into(),
            variant: variant.map(Into::into),
        });
        Entry { descriptor: Descriptor { media_type: String::new(), digest, size: 0 }, platform }
    }

    fn chosen(entries: Vec<Entry>) -> Option<Digest> {
        let platform = Platform { variant: Some("v3".into()), ..amd64() };
        choose(entries, &platform).ok().map(|descriptor| descriptor.digest)
    }

    fn amd64() -> Platform {
        Platform { os: "linux".into(), architecture: "amd64".into(), variant: None }
    }

    #[test]
    fn the_entry_that_fits_best_is_chosen() {
        let entries = vec![
            entry("arm", Some(("arm64", Some("v8")))),
            entry("old", Some(("amd64", None))),
            entry("new", Some(("amd64", Some("v3")))),
            entry("newest", Some(("amd64", Some("v4")))),
        ];
        assert_eq!(chosen(entries), Some(Digest::sha256(b"new")));
    }

    #[test]
    fn an_entry_without_platform_counts_only_alone() {
        assert_eq!(chosen(vec![entry("x", None)]), Some(Digest::sha256(b"x")));
        assert_eq!(chosen(vec![entry("x", None), entry("y", None)]), None);
        assert_eq!(chosen(vec![]), None);
    }

    #[test]
    fn what_there_is_instead_is_told() {
        let entries = vec![entry("a", Some(("arm64", None))), entry("b", Some(("s390x", None)))];
        let failure = choose(entries, &amd64()).unwrap_err();
        let told = failure.to_string();
        assert!(told.contains("linux/amd64; there is linux/arm64, linux/s390x"), "{told}");
    }
}
