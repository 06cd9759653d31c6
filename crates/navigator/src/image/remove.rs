//! `navigator image rm`: names, and images that have none left.

use navigator_images::{Reference, Scope, Store};

use super::error::ImageError;
use super::{names, store};
use crate::output::{self, line, say};

/// Arguments of `navigator image rm`.
#[derive(clap::Args, Debug)]
pub struct RemoveArgs {
    /// Take these names away; digits of a digest mean all names of that image
    #[arg(value_name = "IMAGE", required = true, add = names::completer())]
    images: Vec<String>,
}

/// Removes.
pub fn run(args: &RemoveArgs) -> Result<u8, ImageError> {
    let store = store()?;
    for name in &args.images {
        remove(&store, name)?;
    }
    Ok(0)
}

fn remove(store: &Store, name: &str) -> Result<(), ImageError> {
    let image = store.find(name)?;
    let named = Reference::parse(name).ok().filter(|name| image.names.contains(name));
    let pruned = match named {
        Some(name) => {
            store.untag(&name)?;
            store.prune(Scope::One(image.digest))?
        }
        None => store.remove(&image)?,
    };
    output::print(&line(name))?;
    let named = image.names.len() > 1;
    if pruned.images == 0 && !named {
        say(&format!("navigator: a sandbox uses `{}`; it goes when that is gone", line(name)));
    }
    Ok(())
}
