//! Completions and manual pages, made from the command line's own definition.

use std::path::{Path, PathBuf};

use clap::CommandFactory;

use crate::cli::Cli;
use crate::output;

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
#[error("failed to write manual pages to {path}; name a directory that can be written")]
pub struct ManError {
    path: PathBuf,
    source: std::io::Error,
}

/// Prints a completion script.
pub fn completions(args: &CompletionsArgs) -> u8 {
    let mut script = vec![];
    clap_complete::generate(args.shell, &mut Cli::command(), "navigator", &mut script);
    output::print(&String::from_utf8_lossy(&script));
    0
}

/// Prints or writes manual pages.
pub fn man(args: &ManArgs) -> Result<u8, ManError> {
    // The commit would make the pages differ with every commit.
    let command = Cli::command().version(env!("CARGO_PKG_VERSION"));
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| ManError { path, source }
    };
    match &args.dir {
        Some(dir) => {
            std::fs::create_dir_all(dir).map_err(at(dir))?;
            clap_mangen::generate_to(command, dir).map_err(at(dir))?;
        }
        None => {
            let mut page = vec![];
            let stdout = Path::new("standard output");
            clap_mangen::Man::new(command).render(&mut page).map_err(at(stdout))?;
            output::print(&String::from_utf8_lossy(&page));
        }
    }
    Ok(0)
}
