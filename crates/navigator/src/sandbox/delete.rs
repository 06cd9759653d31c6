//! `navigator sandbox delete`: sandboxes with everything in them.

use std::io::{self, BufRead, IsTerminal};

use navigator_proto::v1::DeleteSandboxRequest;

use super::error::SandboxError;
use super::lifecycle::meant;
use super::list;
use super::listing::Listed;
use super::names;
use super::progress::Visibility;
use super::session::Session;
use super::wait::{Goal, until};
use crate::output::{self, line, say};

/// Arguments of `navigator sandbox delete`.
#[derive(clap::Args, Debug)]
pub struct DeleteArgs {
    /// Name the sandboxes [default: the one that was used last, after asking]
    #[arg(value_name = "NAME", add = names::completer())]
    names: Vec<String>,
    /// Delete all sandboxes of the gateway, after asking
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Ask nothing
    #[arg(short = 'y', long)]
    yes: bool,
    /// Return at once, without waiting until they are gone
    #[arg(short = 'd', long)]
    detach: bool,
    /// Print nothing
    #[arg(short = 'q', long)]
    quiet: bool,
}

/// Deletes.
pub async fn run(session: &mut Session, args: &DeleteArgs) -> Result<u8, SandboxError> {
    let names = match args.all {
        true => list::all(session).await?.iter().map(|view| view.name().to_owned()).collect(),
        false => meant(session, &args.names)?,
    };
    // A name that was typed is an answer already.
    if args.names.is_empty() && !args.yes && !names.is_empty() {
        confirm(&names)?;
    }
    for name in names {
        delete(session, args, &name).await?;
    }
    Ok(0)
}

async fn delete(session: &mut Session, args: &DeleteArgs, name: &str) -> Result<(), SandboxError> {
    let answer = session.api.delete_sandbox(DeleteSandboxRequest { name: name.to_owned() }).await;
    match answer.map_err(SandboxError::refused(format!("delete `{}`", line(name)))) {
        // Of all sandboxes one may be gone by itself.
        Err(error) if args.all && error.is_not_found() => return Ok(()),
        result => drop(result?),
    }
    if !args.detach {
        let visibility = if args.quiet { Visibility::Hidden } else { Visibility::Shown };
        until(session, name, Goal::Deleted, visibility).await?;
    }
    session.gone(name);
    if !args.quiet {
        output::print(&line(name))?;
    }
    Ok(())
}

/// Asks on the terminal; without one nobody can say yes.
fn confirm(names: &[String]) -> Result<(), SandboxError> {
    let what = match names {
        [one] => format!("`{}`", line(one)),
        several => format!("{} sandboxes", several.len()),
    };
    let refused = || SandboxError::Unconfirmed(what.clone());
    if !io::stdin().is_terminal() {
        return Err(refused());
    }
    say(&format!("Delete {what} with everything in it? Type `yes`:"));
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|source| SandboxError::System { action: "read the answer", source })?;
    match answer.trim() {
        "yes" | "y" => Ok(()),
        _ => Err(refused()),
    }
}
