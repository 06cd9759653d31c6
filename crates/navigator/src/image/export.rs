//! `navigator image export`: images for other tools.

use navigator_images::Target;

use super::error::ImageError;
use super::{names, store};
use crate::output::{self, say};

/// What stands below the help.
pub const EXAMPLES: &str = "\
Targets:
  oci:DIR[:TAG]              an OCI layout, to which the image is added
  docker-archive:FILE[:TAG]  what `docker load` reads

Examples:
  navigator image export tools docker-archive:tools.tar && docker load -i tools.tar
  navigator image export tools oci:layout:latest && skopeo copy oci:layout:latest docker://…";

/// Arguments of `navigator image export`.
#[derive(clap::Args, Debug)]
pub struct ExportArgs {
    /// Write this image, named by its name or the first digits of its digest
    #[arg(value_name = "IMAGE", add = names::completer())]
    image: String,
    /// Write it here
    target: String,
}

/// Exports.
pub fn run(args: &ExportArgs) -> Result<u8, ImageError> {
    let target = Target::parse(&args.target);
    let target = target.ok_or_else(|| ImageError::Target(args.target.clone()))?;
    let store = store()?;
    let exported = store.export(&store.find(&args.image)?, &target)?;
    output::print(&exported.config_digest.to_string())?;
    if exported.rewritten {
        say("navigator: layers were packed anew and have other digests: privileges, attributes \
             and devices are not kept here");
    }
    Ok(0)
}
