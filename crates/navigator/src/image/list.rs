//! `navigator image list`: the images of this user.

use super::error::ImageError;
use super::store;
use super::view::ImageView;
use crate::output::say;
use crate::sandbox::listing::{Listing, print_all};

/// Arguments of `navigator image list`.
#[derive(clap::Args, Debug)]
pub struct ListArgs {
    /// Choose how to print
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "table")]
    output: Listing,
}

/// Lists.
pub fn run(args: &ListArgs) -> Result<u8, ImageError> {
    let images: Vec<_> = store()?.images()?.iter().map(ImageView::from).collect();
    print_all(&images, args.output)?;
    if images.is_empty() && args.output == Listing::Table {
        say("navigator: no images; bring one in with `navigator image import`");
    }
    Ok(0)
}
