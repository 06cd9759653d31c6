//! The client: mirrors before registries, and several layers at once.

use std::collections::BTreeSet;
use std::path::PathBuf;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::blob::Fetch;
use crate::credentials::CredentialFiles;
use crate::endpoint::{Endpoint, Mirror, Role};
use crate::error::{Failure, PullError, told};
use crate::limits::LAYERS_AT_ONCE;
use crate::manifest::Descriptor;
use crate::name::ImageName;
use crate::options::{Options, Retry};
use crate::platform::Platform;
use crate::progress::{Event, Progress};
use crate::resolve::{Resolved, Resolver};
use crate::session::{Logins, Session};
use crate::transport::Transport;
use crate::trust::{TrustError, client_config};

/// Pulls images. One client can be used for many pulls at once; it remembers tokens.
pub struct Client {
    transport: Transport,
    credentials: CredentialFiles,
    mirrors: Vec<Mirror>,
    retry: Retry,
    logins: Logins,
}

/// A layer, and the file that it is to become. Beside it, `PATH.partial` is what came of it so far.
#[derive(Debug, Clone)]
pub struct Download {
    /// The layer.
    pub blob: Descriptor,
    /// The file. Its directory must exist.
    pub path: PathBuf,
}

impl Client {
    /// A client with these settings. Reads the certificate authorities, and nothing else yet.
    ///
    /// # Errors
    /// [`TrustError`] when there are none, or those of a file cannot be used.
    pub fn new(options: Options) -> Result<Client, TrustError> {
        let tls = client_config(&options.authorities)?;
        Ok(Client {
            transport: Transport::new(tls, options.timeouts, options.insecure),
            credentials: options.credentials,
            mirrors: options.mirrors,
            retry: options.retry,
            logins: Logins::default(),
        })
    }

    /// Finds an image: its manifest for the platform and its configuration, verified.
    ///
    /// # Errors
    /// [`PullError`] of the registry itself, when no mirror has it either.
    pub async fn resolve(
        &self,
        image: &ImageName,
        platform: &Platform,
        progress: &dyn Progress,
    ) -> Result<Resolved, PullError> {
        let places = Endpoint::of(image, &self.mirrors);
        for (at, place) in places.iter().enumerate() {
            let session = &self.session(place, image);
            let resolver = Resolver { session, retry: self.retry, progress };
            match resolver.resolve(image, platform).await {
                Ok(found) => return Ok(Resolved { places: places[at..].to_vec(), ..found }),
                Err(failure) => pass_over(place, image, failure, progress)?,
            }
        }
        Err(failed(image.registry().to_owned(), image, Failure::NotFound))
    }

    /// Gets layers, at most three at once. Each file is whole and verified when this returns. When it fails or is
    /// dropped before, what came of the others is kept, and resumed by the next call with the same paths.
    ///
    /// # Errors
    /// The first [`PullError`] of a layer.
    pub async fn download(
        &self,
        found: &Resolved,
        layers: Vec<Download>,
        progress: &dyn Progress,
    ) -> Result<(), PullError> {
        // An image may have the same layer twice; the file is the same then.
        let mut seen = BTreeSet::new();
        let once = layers.into_iter().filter(|layer| seen.insert(layer.path.clone()));
        let fetches: Vec<_> = once.map(|layer| self.layer(found, layer, progress)).collect();
        stream::iter(fetches).buffer_unordered(LAYERS_AT_ONCE).try_collect().await
    }

    async fn layer(
        &self,
        found: &Resolved,
        layer: Download,
        progress: &dyn Progress,
    ) -> Result<(), PullError> {
        let image = &found.image;
        for place in &found.places {
            let session = &self.session(place, image);
            let fetch = Fetch { session, retry: self.retry, progress, wanted: &layer.blob };
            match fetch.to(&layer.path).await {
                Ok(()) => return Ok(()),
                Err(failure) => pass_over(place, image, failure, progress)?,
            }
        }
        Err(failed(image.registry().to_owned(), image, Failure::NotFound))
    }

    fn session<'a>(&'a self, place: &'a Endpoint, image: &ImageName) -> Session<'a> {
        Session {
            transport: &self.transport,
            credentials: &self.credentials,
            logins: &self.logins,
            place,
            repository: place.repository(image),
        }
    }
}

/// Tells of a mirror that failed, so that the next place is asked. The registry's failure is the result, and so is one
/// of our own file, which no other place would mend.
fn pass_over(
    place: &Endpoint,
    image: &ImageName,
    failure: Failure,
    progress: &dyn Progress,
) -> Result<(), PullError> {
    if place.role == Role::Registry || matches!(failure, Failure::File { .. }) {
        return Err(failed(place.host(), image, failure));
    }
    progress.event(Event::MirrorFailed { mirror: &place.host(), why: told(&failure) });
    Ok(())
}

fn failed(host: String, image: &ImageName, failure: Failure) -> PullError {
    let repository = image.repository().to_owned();
    PullError {
        host,
        repository,
        reference: image.selector().to_string(),
        failure: Box::new(failure),
    }
}
