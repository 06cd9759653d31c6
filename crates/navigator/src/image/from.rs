//! Where a root filesystem comes from, as `--from` names it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use navigator_images::{Image, Lease, Reference, Source, StoreError};
use navigator_supervisor::{Layers, RootView};

use super::error::ImageError;
use super::import::Layers as Shown;
use super::pull::{pull, usual_mirrors};
use super::store;
use crate::sandbox::progress::Visibility;

/// What is put before a name that is one word only, so that teams have short names for their images.
const CATALOGUE: &str = "NAVIGATOR_CATALOGUE";

/// Where a root filesystem comes from.
#[derive(Clone, Debug)]
pub enum From {
    /// The system's own directories.
    Host,
    /// A directory.
    Directory(PathBuf),
    /// An image.
    Image(Wanted),
}

/// Which image.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// One of the store, else of a registry.
    Named(Reference),
    /// One of the store, by its digest.
    Digest(String),
    /// One that is imported first.
    Imported(Source),
}

impl FromStr for From {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        if text == "host" {
            return Ok(Self::Host);
        }
        let is_path = ["/", "./", "../"].iter().any(|start| text.starts_with(start));
        if is_path || matches!(text, "." | "..") {
            return Ok(Self::Directory(text.into()));
        }
        if let Some(tag) = text.strip_prefix("snapshot:") {
            return Ok(Self::Image(Wanted::Named(Reference::snapshot(tag)?)));
        }
        if text.starts_with("sha256:") {
            return Ok(Self::Image(Wanted::Digest(text.into())));
        }
        match Source::parse(text) {
            Some(source) => Ok(Self::Image(Wanted::Imported(source))),
            None => Ok(Self::Image(Wanted::Named(Reference::parse(&catalogued(text))?))),
        }
    }
}

/// The name with the catalogue's prefix, where there is one and it is meant.
fn catalogued(name: &str) -> String {
    match std::env::var(CATALOGUE) {
        Ok(prefix) if !prefix.is_empty() && !name.contains('/') => {
            format!("{}/{name}", prefix.trim_end_matches('/'))
        }
        _ => name.to_owned(),
    }
}

/// A root filesystem that is there.
pub struct Root {
    /// What is shown of it.
    pub view: RootView,
    /// What its definition sets.
    pub env: BTreeMap<String, String>,
    /// Keeps an image from being removed.
    pub lease: Option<Lease>,
}

impl From {
    /// Has it ready for one run.
    pub fn prepare(&self, visibility: Visibility) -> Result<Root, ImageError> {
        let view = match self {
            Self::Host => RootView::Host,
            Self::Directory(path) => RootView::Directory(path.clone()),
            Self::Image(wanted) => {
                let image = wanted.get(visibility)?;
                let lease = Some(store()?.lease(&image)?);
                let layers = Layers { lower: image.visible_layers(), changes: None };
                let env = image.config.env.into_iter().collect();
                return Ok(Root { view: RootView::Layers(layers), env, lease });
            }
        };
        Ok(Root { view, env: BTreeMap::new(), lease: None })
    }
}

impl Wanted {
    /// Has it in this machine's store, and gives the words by which a gateway of this machine knows it.
    pub fn name(&self, visibility: Visibility) -> Result<String, ImageError> {
        let image = self.get(visibility)?;
        let name = image.names.first().map(ToString::to_string);
        Ok(name.unwrap_or_else(|| image.digest.to_string()))
    }

    fn get(&self, visibility: Visibility) -> Result<Image, ImageError> {
        match self {
            Self::Imported(source) => Ok(store()?.import(source, None, &Shown::new(visibility))?),
            Self::Digest(digest) => Ok(store()?.find(digest)?),
            Self::Named(name) => match store()?.find(&name.to_string()) {
                Err(StoreError::NotFound { .. }) if !name.is_local() => {
                    pull(name, usual_mirrors()?, visibility)
                }
                found => Ok(found?),
            },
        }
    }
}
