//! `navigator image inspect`: all that is known of an image.

use super::error::ImageError;
use super::view::ImageDetails;
use super::{names, store};
use crate::sandbox::listing::{Listing, print_one};

/// Arguments of `navigator image inspect`.
#[derive(clap::Args, Debug)]
pub struct InspectArgs {
    /// Show this image, by its name or the first digits of its digest
    #[arg(value_name = "IMAGE", add = names::completer())]
    image: String,
    /// Choose how to print
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "table")]
    output: Listing,
}

/// Shows.
pub fn run(args: &InspectArgs) -> Result<u8, ImageError> {
    let image = store()?.find(&args.image)?;
    print_one(&ImageDetails::from(&image), args.output, ImageDetails::text)?;
    Ok(0)
}
