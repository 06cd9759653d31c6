//! `navigator image`: images that sandboxes start from.

pub mod error;
mod export;
pub mod from;
mod import;
mod inspect;
mod list;
mod name;
mod names;
mod prune;
pub mod pull;
mod remove;
mod view;

use navigator_client::Places;
use navigator_images::Store;

use error::ImageError;

/// Commands over images.
#[derive(clap::Subcommand, Debug)]
pub enum ImageCommand {
    /// Bring in an image that another tool wrote on this machine
    #[command(after_long_help = import::EXAMPLES)]
    Import(import::ImportArgs),
    /// Get an image from a registry
    #[command(after_long_help = pull::EXAMPLES)]
    Pull(pull::PullArgs),
    /// List images
    #[command(visible_alias = "ls")]
    List(list::ListArgs),
    /// Show one image: what it asks for, and its layers
    Inspect(inspect::InspectArgs),
    /// Give an image another name
    Tag(name::TagArgs),
    /// Write an image for another tool
    #[command(after_long_help = export::EXAMPLES)]
    Export(export::ExportArgs),
    /// Take names of images away, and remove images that have none left
    #[command(visible_alias = "remove")]
    Rm(remove::RemoveArgs),
    /// Remove what no sandbox uses
    Prune(prune::PruneArgs),
}

/// Carries out an image command and returns the exit code.
pub fn run(command: &ImageCommand) -> Result<u8, ImageError> {
    match command {
        ImageCommand::Import(args) => import::run(args),
        ImageCommand::Pull(args) => pull::run(args),
        ImageCommand::List(args) => list::run(args),
        ImageCommand::Inspect(args) => inspect::run(args),
        ImageCommand::Tag(args) => name::run(args),
        ImageCommand::Export(args) => export::run(args),
        ImageCommand::Rm(args) => remove::run(args),
        ImageCommand::Prune(args) => prune::run(args),
    }
}

/// This user's store.
pub fn store() -> Result<Store, ImageError> {
    Ok(Store::open(&Places::of_this_user().state.join("images"))?)
}
