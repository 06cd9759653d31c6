//! `navigator image prune`: what no sandbox uses.

use navigator_images::Scope;

use super::error::ImageError;
use super::store;
use crate::output::{self, size};

/// Arguments of `navigator image prune`.
#[derive(clap::Args, Debug)]
pub struct PruneArgs {
    /// Remove images that have a name too
    #[arg(short = 'a', long)]
    all: bool,
}

/// Removes.
pub fn run(args: &PruneArgs) -> Result<u8, ImageError> {
    let scope = if args.all { Scope::Unused } else { Scope::Unnamed };
    let pruned = store()?.prune(scope)?;
    let (images, layers) = (pruned.images, pruned.layers);
    let freed = size(pruned.bytes);
    output::print(&format!("images: {images}, layers: {layers}, freed: {freed}"))?;
    Ok(0)
}
