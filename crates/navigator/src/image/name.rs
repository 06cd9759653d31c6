//! `navigator image tag`: more names for an image.

use navigator_images::Reference;

use super::error::ImageError;
use super::{names, store};

/// Arguments of `navigator image tag`.
#[derive(clap::Args, Debug)]
pub struct TagArgs {
    /// Name this image, by a name that it has or the first digits of its digest
    #[arg(value_name = "IMAGE", add = names::completer())]
    image: String,
    /// Call it by this name, which no other image has any more then
    name: String,
}

/// Names.
pub fn run(args: &TagArgs) -> Result<u8, ImageError> {
    let name = Reference::parse(&args.name)?;
    let store = store()?;
    store.tag(&store.find(&args.image)?, &name)?;
    Ok(0)
}
