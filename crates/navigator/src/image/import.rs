//! `navigator image import`: images that other tools wrote.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use navigator_images::{Digest, Progress, Reference, Source};

use super::error::ImageError;
use super::store;
use crate::output::{self, line, say, size};
use crate::sandbox::progress::{Progress as Line, Visibility};

/// How often the line changes.
const OFTEN: Duration = Duration::from_millis(100);
/// What stands below the help.
pub const EXAMPLES: &str = "\
Sources:
  oci:DIR[:TAG]              an OCI layout
  oci-archive:FILE[:TAG]     one in an archive
  docker-archive:FILE[:TAG]  what `docker save` writes

Examples:
  docker save tools:1 -o tools.tar && navigator image import docker-archive:tools.tar
  buildah push tools oci:layout:latest && navigator image import oci:layout --name tools";

/// Arguments of `navigator image import`.
#[derive(clap::Args, Debug)]
pub struct ImportArgs {
    /// Read the image from here
    source: String,
    /// Call it by this name [default: what it is called there]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Print only the digest
    #[arg(short = 'q', long)]
    quiet: bool,
}

/// Imports.
pub fn run(args: &ImportArgs) -> Result<u8, ImageError> {
    let source = Source::parse(&args.source);
    let source = source.ok_or_else(|| ImageError::Source(args.source.clone()))?;
    let name = args.name.as_deref().map(Reference::parse).transpose()?;
    let visibility = if args.quiet { Visibility::Hidden } else { Visibility::Shown };
    let progress = Layers::new(visibility);
    let image = store()?.import(&source, name.as_ref(), &progress)?;
    drop(progress);
    output::print(&image.digest.to_string())?;
    if !args.quiet {
        match image.names.first() {
            Some(name) => say(&format!("navigator: imported `{}`", line(&name.familiar()))),
            None => {
                say("navigator: the image has no name; give it one with `navigator image tag`, \
                 or `navigator image prune` removes it")
            }
        }
        let skipped: u64 = image.layers.iter().map(|layer| layer.skipped).sum();
        if skipped > 0 {
            say(&format!("navigator: {skipped} devices and pipes were left out"));
        }
    }
    Ok(0)
}

/// One line that says how far a layer is.
pub struct Layers(Mutex<Shown>);

struct Shown {
    line: Line,
    told: Option<Instant>,
}

impl Layers {
    /// Shows nothing yet.
    pub fn new(visibility: Visibility) -> Self {
        Self(Mutex::new(Shown { line: Line::new(visibility), told: None }))
    }
}

impl Progress for Layers {
    fn layer(&self, digest: &Digest, done: u64, total: u64) {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.told.is_none_or(|told| told.elapsed() >= OFTEN) {
            let text = format!("layer {}: {} of {}", digest.short(), size(done), size(total));
            shown.line.tell(&text);
            shown.told = Some(Instant::now());
        }
    }

    fn have(&self, _digest: &Digest) {}
}
