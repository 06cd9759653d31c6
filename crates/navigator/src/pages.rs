//! Completions and manual pages, made from the command line's own definition.

use std::io;
use std::path::PathBuf;

use clap::CommandFactory;

use crate::cli::Cli;
use crate::output::{self, OutputError};

/// The variable by which a shell's script asks this program for completions.
pub const COMPLETE: &str = "NAVIGATOR_COMPLETE";

/// Arguments of `navigator completions`.
#[derive(clap::Args, Debug)]
pub struct CompletionsArgs {
    /// Choose the shell
    shell: clap_complete::Shell,
}

/// Arguments of `navigator man`.
#[derive(clap::Args, Debug)]
pub struct ManArgs {
    /// Write one page for each command to this directory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Manual pages that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ManError {
    /// To a directory.
    #[error("failed to write manual pages to {path}")]
    Pages {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// To standard output.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Prints a completion script.
pub fn completions(args: &CompletionsArgs) -> Result<u8, OutputError> {
    let mut script = vec![];
    let shells = clap_complete::env::Shells::builtins();
    if let Some(shell) = shells.completer(&args.shell.to_string()) {
        shell.write_registration(COMPLETE, "navigator", "navigator", "navigator", &mut script)?;
    }
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(0)
}

/// Prints or writes manual pages.
pub fn man(args: &ManArgs) -> Result<u8, ManError> {
    // The commit would make the pages differ with every commit.
    let command = Cli::command().version(env!("CARGO_PKG_VERSION"));
    match &args.dir {
        Some(dir) => {
            std::fs::create_dir_all(dir)
                .and_then(|()| clap_mangen::generate_to(command, dir))
                .map_err(|source| ManError::Pages { path: dir.clone(), source })?;
        }
        None => {
            let mut page = vec![];
            clap_mangen::Man::new(command).render(&mut page).map_err(OutputError::from)?;
            output::print(&String::from_utf8_lossy(&page))?;
        }
    }
    Ok(0)
}
