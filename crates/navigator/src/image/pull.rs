//! `navigator image pull`: images from registries.

use std::fs::File;
use std::path::{Path, PathBuf};

use navigator_client::Places;
use navigator_images::manifest::Descriptor;
use navigator_images::{Adding, Digest, Image, ImageConfig, Progress as _, Reference, StoreError};
use navigator_registry::{
    Client, Download, Event, Layer, Mirror, Options, Platform, Progress, Resolved,
};

use super::error::ImageError;
use super::import::Layers;
use super::store;
use crate::output::{self, line, say};
use crate::sandbox::progress::Visibility;

/// What stands below the help.
pub const EXAMPLES: &str = "\
Credentials are read from where `podman login` and `docker login` keep them. A pull that was interrupted goes on
where it was.

Examples:
  navigator image pull debian:12-slim
  navigator image pull ghcr.io/owner/tools@sha256:…
  navigator image pull --registry-mirror https://mirror.example debian:12-slim";
/// Mirrors that are asked although no argument names them, separated by commas.
const MIRRORS: &str = "NAVIGATOR_REGISTRY_MIRROR";

/// Arguments of `navigator image pull`.
#[derive(clap::Args, Debug)]
pub struct PullArgs {
    /// Pull this image
    image: String,
    /// Ask this mirror first, of REGISTRY or else of docker.io; may be given several times
    #[arg(long, value_name = "[REGISTRY=]URL", env = MIRRORS, value_delimiter = ',')]
    registry_mirror: Vec<Mirror>,
    /// Print only the digest
    #[arg(short = 'q', long)]
    quiet: bool,
}

/// Pulls.
pub fn run(args: &PullArgs) -> Result<u8, ImageError> {
    let name = Reference::parse(&args.image)?;
    let visibility = if args.quiet { Visibility::Hidden } else { Visibility::Shown };
    let image = pull(&name, args.registry_mirror.clone(), visibility)?;
    output::print(&image.digest.to_string())?;
    if !args.quiet {
        say(&format!("navigator: pulled `{}`", line(&name.familiar())));
    }
    Ok(0)
}

/// Mirrors that this user asks always.
pub fn usual_mirrors() -> Result<Vec<Mirror>, ImageError> {
    let listed = std::env::var(MIRRORS).unwrap_or_default();
    let mirrors = listed.split(',').map(str::trim).filter(|text| !text.is_empty());
    Ok(mirrors.map(str::parse).collect::<Result<_, _>>()?)
}

/// Has an image of a registry in the store, under its name.
pub fn pull(
    name: &Reference,
    mirrors: Vec<Mirror>,
    visibility: Visibility,
) -> Result<Image, ImageError> {
    let client = Client::new(Options { mirrors, ..Options::from_environment() })?;
    let (store, progress) = (store()?, Shown(Layers::new(visibility)));
    let adding = store.begin()?;
    let image = name.to_string().parse()?;
    let get = async {
        let found = client.resolve(&image, &Platform::this_machine(), &progress).await?;
        let arrivals = arrivals(&adding, &found)?;
        let wanted = arrivals.iter().map(Arrival::download).collect();
        client.download(&found, wanted, &progress).await?;
        Ok((found, arrivals))
    };
    let (found, arrivals) = apart(get)?;
    for arrival in &arrivals {
        arrival.unpack(&adding, &progress.0)?;
    }
    Ok(adding.finish(&found.manifest_bytes, &found.config, Some(name))?)
}

/// Waits for registries on a thread of its own, since this one may belong to an event loop already.
fn apart<T: Send>(
    get: impl Future<Output = Result<T, ImageError>> + Send,
) -> Result<T, ImageError> {
    let wait = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(ImageError::Runtime)?.block_on(get)
    };
    std::thread::scope(|scope| match scope.spawn(wait).join() {
        Ok(got) => got,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// A layer that is not in the store.
struct Arrival {
    layer: Layer,
    digest: Digest,
    diff_id: Digest,
    path: PathBuf,
}

/// Layers that are not in the store yet, with the places where they arrive.
fn arrivals(adding: &Adding<'_>, found: &Resolved) -> Result<Vec<Arrival>, ImageError> {
    let config = ImageConfig::parse(&found.config).map_err(StoreError::from)?;
    let place = Places::of_this_user().state.join("pulls");
    navigator_client::make_own_directory(&place)
        .map_err(|source| ImageError::Place { path: place.clone(), source })?;
    let mut arrivals = vec![];
    // A number of layers that differs is refused in the end, by the store.
    for (layer, diff_id) in found.manifest.layers.iter().zip(config.diff_ids) {
        if adding.has_layer(&diff_id)? {
            continue;
        }
        let hex = layer.blob.digest.hex();
        let digest = Digest::from_hex(hex).map_err(|_| ImageError::Algorithm)?;
        arrivals.push(Arrival { layer: layer.clone(), digest, diff_id, path: place.join(hex) });
    }
    Ok(arrivals)
}

impl Arrival {
    fn download(&self) -> Download {
        Download { blob: self.layer.blob.clone(), path: self.path.clone() }
    }

    fn unpack(&self, adding: &Adding<'_>, progress: &Layers) -> Result<(), ImageError> {
        let blob = &self.layer.blob;
        let descriptor = Descriptor::new(&blob.media_type, self.digest, blob.size);
        let file = File::open(&self.path).map_err(failed(&self.path))?;
        let added = adding.add_layer(&descriptor, &self.diff_id, file, progress);
        // Whole and in the store, or of no use to anybody.
        std::fs::remove_file(&self.path).map_err(failed(&self.path))?;
        Ok(added?)
    }
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> ImageError {
    let path = path.to_owned();
    |source| ImageError::Place { path, source }
}

/// One line that says how far a layer is.
struct Shown(Layers);

impl Progress for Shown {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Received { digest, done, total } => {
                if let Ok(digest) = Digest::from_hex(digest.hex()) {
                    self.0.layer(&digest, done, total);
                }
            }
            Event::MirrorFailed { mirror, why } => {
                say(&format!("navigator: the mirror {} failed: {}", line(mirror), line(&why)));
            }
            Event::Retrying { why, .. } => {
                say(&format!("navigator: trying again: {}", line(&why)));
            }
            _ => {}
        }
    }
}
