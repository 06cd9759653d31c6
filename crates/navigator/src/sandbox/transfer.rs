//! `navigator sandbox cp` and `sync`: files between this machine and a sandbox.

mod places;
mod shown;

use std::path::{Path, PathBuf};

use navigator_client::{Inside, Tunnels};
use navigator_transfer::{
    Client, Compare, Extra, Links, Options, Preserve, RemotePath, Report, SyncOptions, copy_down,
    copy_up, sync_down, sync_up, watch_up,
};

use super::error::SandboxError;
use super::progress::Visibility;
use super::session::Session;
use crate::output::{line, say};
use places::{Place, direction};
use shown::Shown;

/// Shown below the long help of `cp`.
pub const COPY_EXAMPLES: &str = "\
Examples:
  navigator sandbox cp notes.md demo:
  navigator sandbox cp -p src demo:project/src
  navigator sandbox cp demo:results.csv demo:plots .

A place in a sandbox is NAME:PATH; PATH is relative to the working directory there, and NAME may be left out for the sandbox
that was used last. A copy that was interrupted goes on where it ended when it is started again.";
/// Shown below the long help of `sync`.
pub const SYNC_EXAMPLES: &str = "\
Examples:
  navigator sandbox sync . demo:project
  navigator sandbox sync . demo:project --watch --delete
  navigator sandbox sync demo:project/results results

What .gitignore files leave out is neither copied nor deleted.";

/// Arguments of `navigator sandbox cp`.
#[derive(clap::Args, Debug)]
pub struct CopyArgs {
    /// Copy these files or directories
    #[arg(value_name = "SRC", required = true, num_args = 1.., value_hint = clap::ValueHint::AnyPath)]
    sources: Vec<String>,
    /// Copy them here: a new name for one, or a directory
    #[arg(value_name = "DST", value_hint = clap::ValueHint::AnyPath)]
    target: String,
    /// Keep times and exact permissions
    #[arg(short = 'p', long)]
    preserve: bool,
    /// Copy what links of this machine name, instead of the links
    #[arg(short = 'L', long)]
    dereference: bool,
    /// Show no progress
    #[arg(short = 'q', long)]
    quiet: bool,
}

/// Arguments of `navigator sandbox sync`.
#[derive(clap::Args, Debug)]
pub struct SyncArgs {
    /// Take this directory as it is
    #[arg(value_name = "SRC", value_hint = clap::ValueHint::DirPath)]
    source: String,
    /// Make this directory like it
    #[arg(value_name = "DST", value_hint = clap::ValueHint::DirPath)]
    target: String,
    /// Delete what only the second directory has
    #[arg(long)]
    delete: bool,
    /// Compare files by their content too, not by size and time alone
    #[arg(long)]
    checksum: bool,
    /// Go on with every change of a directory of this machine, until interrupted
    #[arg(short = 'w', long)]
    watch: bool,
    /// Show no progress
    #[arg(short = 'q', long)]
    quiet: bool,
}

/// Copies.
pub async fn copy(session: &mut Session, args: &CopyArgs) -> Result<u8, SandboxError> {
    let places = direction(&args.sources, &args.target)?;
    if args.sources.len() > 1 && !is_directory(&places.target) {
        return Err(SandboxError::Usage(
            "several files are copied into a directory: end it with /",
        ));
    }
    let options = Options {
        preserve: if args.preserve { Preserve::Yes } else { Preserve::No },
        links: if args.dereference { Links::Follow } else { Links::Copy },
    };
    let client = client(session, places.sandbox.as_ref()).await?;
    for source in places.sources {
        let shown = Shown::new(visibility(args.quiet));
        let report = match (&source, &places.target) {
            (Place::Here(from), Place::There(to)) => {
                copy_up(&client, from, &remote(to), options, &shown).await
            }
            (Place::There(from), Place::Here(to)) => {
                copy_down(&client, &remote(from), to, options, &shown).await
            }
            // Told apart before.
            _ => return Err(SandboxError::Usage(places::ONE_SIDE)),
        };
        finish(&shown, report?, args.quiet);
    }
    Ok(0)
}

/// Makes one directory like another.
pub async fn sync(session: &mut Session, args: &SyncArgs) -> Result<u8, SandboxError> {
    let places = direction(std::slice::from_ref(&args.source), &args.target)?;
    let options = SyncOptions {
        compare: if args.checksum { Compare::Content } else { Compare::SizeAndTime },
        extra: if args.delete { Extra::Delete } else { Extra::Keep },
    };
    let client = client(session, places.sandbox.as_ref()).await?;
    let shown = Shown::new(visibility(args.quiet));
    let report = match (places.sources.first(), &places.target) {
        (Some(Place::Here(from)), Place::There(to)) if args.watch => {
            let each = |report| finish(&shown, report, args.quiet);
            watch_up(&client, from, &remote(to), options, &shown, each).await?;
            return Ok(0);
        }
        (Some(Place::Here(from)), Place::There(to)) => {
            sync_up(&client, from, &remote(to), options, &shown).await?
        }
        (Some(Place::There(_)), Place::Here(_)) if args.watch => {
            return Err(SandboxError::Usage("only a directory of this machine can be watched"));
        }
        (Some(Place::There(from)), Place::Here(to)) => {
            sync_down(&client, &remote(from), to, options, &shown).await?
        }
        _ => return Err(SandboxError::Usage(places::ONE_SIDE)),
    };
    finish(&shown, report, args.quiet);
    Ok(0)
}

/// Copies into the directory where a sandbox starts its commands.
pub async fn upload(
    session: &mut Session,
    name: &str,
    sources: &[PathBuf],
    quiet: bool,
) -> Result<(), SandboxError> {
    if sources.is_empty() {
        return Ok(());
    }
    let client = client(session, Some(&name.to_owned())).await?;
    for source in sources {
        let shown = Shown::new(visibility(quiet));
        let (target, options) = (RemotePath::new(b""), Options::default());
        let report = copy_up(&client, source, &target, options, &shown).await?;
        finish(&shown, report, quiet);
    }
    Ok(())
}

/// The file server of a sandbox.
async fn client(session: &mut Session, name: Option<&String>) -> Result<Client, SandboxError> {
    let sandbox = session.meant(name).await?;
    let tunnels = Tunnels::over(&session.gateway, session.api.clone())?;
    let tunnel = tunnels.open(&sandbox.id, Inside::Files).await?;
    Client::open(tunnel).await.map_err(SandboxError::FileServer)
}

fn remote(path: &str) -> RemotePath {
    RemotePath::new(path.as_bytes())
}

/// Whether the target is one that several files go into. A sandbox's is looked at when it is copied to.
fn is_directory(target: &Place) -> bool {
    match target {
        Place::Here(path) => path.is_dir(),
        Place::There(path) => path.is_empty() || path.ends_with('/') || path.ends_with("/."),
    }
}

fn visibility(quiet: bool) -> Visibility {
    if quiet { Visibility::Hidden } else { Visibility::Shown }
}

/// Says what was done and what was left out.
fn finish(shown: &Shown, report: Report, quiet: bool) {
    let words = shown.summary(&report);
    shown.clear();
    if !quiet {
        say(&format!("navigator: {words}"));
    }
    for (path, why) in &report.skipped {
        say(&line(&format!("navigator: left out {}: {}", text(path), shown::reason(*why))));
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
