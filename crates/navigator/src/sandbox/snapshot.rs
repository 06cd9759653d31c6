//! `navigator sandbox diff`, `snapshot` and `fork`: what a sandbox of an image has changed, kept and used again.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use navigator_proto::v1::sandbox_change::Kind;
use navigator_proto::v1::{
    ForkSandboxRequest, ListSandboxChangesRequest, SandboxChange, SnapshotSandboxRequest,
};
use serde::Serialize;

use super::error::SandboxError;
use super::names;
use super::progress::Visibility;
use super::session::Session;
use super::wait::{Goal, until};
use crate::output::{self, Format, line, say};

/// What stands below the help of `diff`.
pub const DIFF_EXAMPLES: &str = "\
Each line has a letter and a path: A is new, C is changed, D is gone with all that was in it.

Examples:
  navigator sandbox diff demo
  navigator sandbox diff demo -o json | jq -r '.[].path'";
/// What stands below the help of `snapshot`.
pub const SNAPSHOT_EXAMPLES: &str = "\
Files that are being written are copied as they are at that moment; stop the sandbox first to have none.

Examples:
  navigator sandbox snapshot demo installed
  navigator sandbox create again --from snapshot:installed";

/// Arguments of `navigator sandbox diff`.
#[derive(clap::Args, Debug)]
pub struct DiffArgs {
    /// Name the sandbox [default: the one that was used last]
    #[arg(value_name = "NAME", add = names::completer())]
    name: Option<String>,
    /// Print as text or JSON
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "text")]
    output: Format,
}

/// Arguments of `navigator sandbox snapshot`.
#[derive(clap::Args, Debug)]
pub struct SnapshotArgs {
    /// Name the sandbox
    #[arg(value_name = "NAME", add = names::completer())]
    name: String,
    /// Call the image snapshot:TAG
    tag: String,
    /// Print only the image's whole name
    #[arg(short = 'q', long)]
    quiet: bool,
}

/// Arguments of `navigator sandbox fork`.
#[derive(clap::Args, Debug)]
pub struct ForkArgs {
    /// Name the sandbox that is copied
    #[arg(value_name = "NAME", add = names::completer())]
    name: String,
    /// Name the new one [default: a name that is made up]
    #[arg(value_name = "NEW")]
    new_name: Option<String>,
    /// Return at once, without waiting until it runs
    #[arg(short = 'd', long)]
    detach: bool,
}

/// A change as it is printed.
#[derive(Serialize)]
struct ChangeView {
    kind: &'static str,
    path: String,
}

impl From<SandboxChange> for ChangeView {
    fn from(change: SandboxChange) -> Self {
        let kind = match change.kind() {
            Kind::Added => "added",
            Kind::Changed => "changed",
            Kind::Deleted => "deleted",
            Kind::Unspecified => "unknown",
        };
        let path = PathBuf::from(OsString::from_vec(change.path));
        Self { kind, path: path.display().to_string() }
    }
}

/// Prints what a sandbox changed.
pub async fn diff(session: &mut Session, args: &DiffArgs) -> Result<u8, SandboxError> {
    let name = session.name(args.name.as_ref())?;
    let refused = || SandboxError::refused(format!("list what changed in `{name}`"));
    let request = ListSandboxChangesRequest { name: name.clone() };
    let answer = session.api.list_sandbox_changes(request).await;
    let mut messages = answer.map_err(refused())?.into_inner();
    session.used(&name);
    let mut all = vec![];
    while let Some(message) = messages.message().await.map_err(refused())? {
        for change in message.changes.into_iter().map(ChangeView::from) {
            match args.output {
                Format::Json => all.push(change),
                Format::Text => {
                    output::print(&format!("{} {}", letter(&change), line(&change.path)))?
                }
            }
        }
    }
    if args.output == Format::Json {
        output::print_json(&all)?;
    }
    Ok(0)
}

fn letter(change: &ChangeView) -> char {
    match change.kind {
        "added" => 'A',
        "changed" => 'C',
        "deleted" => 'D',
        _ => '?',
    }
}

/// Makes an image of a sandbox.
pub async fn snapshot(session: &mut Session, args: &SnapshotArgs) -> Result<u8, SandboxError> {
    let name = session.name(Some(&args.name))?;
    let request = SnapshotSandboxRequest { name: name.clone(), tag: args.tag.clone() };
    let answer = session.api.snapshot_sandbox(request).await;
    let image = answer.map_err(SandboxError::refused(format!("make a snapshot of `{name}`")))?;
    session.used(&name);
    output::print(&line(&image.into_inner().image))?;
    if !args.quiet {
        let tag = line(&args.tag);
        say(&format!("navigator: use it with `navigator sandbox create --from snapshot:{tag}`"));
    }
    Ok(0)
}

/// Makes a sandbox like another one.
pub async fn fork(session: &mut Session, args: &ForkArgs) -> Result<u8, SandboxError> {
    let name = session.name(Some(&args.name))?;
    let new_name = args.new_name.clone().unwrap_or_default();
    let request = ForkSandboxRequest { name: name.clone(), new_name };
    let answer = session.api.fork_sandbox(request).await;
    let answer = answer.map_err(SandboxError::refused(format!("fork `{name}`")))?.into_inner();
    let new = answer.sandbox.ok_or(SandboxError::Incomplete("sandbox"))?.name;
    session.used(&new);
    if !args.detach {
        until(session, &new, Goal::Ready, Visibility::Shown).await?;
    }
    output::print(&new)?;
    Ok(0)
}
