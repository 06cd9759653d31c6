//! `navigator sandbox stop` and `start`: nothing runs and the files stay, and back.

use navigator_proto::v1::{StartSandboxRequest, StopSandboxRequest};

use super::error::SandboxError;
use super::names;
use super::progress::Visibility;
use super::session::Session;
use super::wait::{Goal, until};
use crate::output;

/// Arguments of `navigator sandbox stop` and `start`.
#[derive(clap::Args, Debug)]
pub struct LifecycleArgs {
    /// Name the sandboxes [default: the one that was used last]
    #[arg(value_name = "NAME", add = names::completer())]
    names: Vec<String>,
    /// Return at once, without waiting until it is done
    #[arg(short = 'd', long)]
    detach: bool,
    /// Print nothing
    #[arg(short = 'q', long)]
    quiet: bool,
}

/// Stops sandboxes.
pub async fn stop(session: &mut Session, args: &LifecycleArgs) -> Result<u8, SandboxError> {
    for name in meant(session, &args.names)? {
        let answer = session.api.stop_sandbox(StopSandboxRequest { name: name.clone() }).await;
        answer.map_err(SandboxError::refused(format!("stop `{name}`")))?;
        finish(session, args, &name, Goal::Stopped).await?;
    }
    Ok(0)
}

/// Starts sandboxes.
pub async fn start(session: &mut Session, args: &LifecycleArgs) -> Result<u8, SandboxError> {
    for name in meant(session, &args.names)? {
        let answer = session.api.start_sandbox(StartSandboxRequest { name: name.clone() }).await;
        answer.map_err(SandboxError::refused(format!("start `{name}`")))?;
        finish(session, args, &name, Goal::Ready).await?;
    }
    Ok(0)
}

/// The names that were given, each of them a name, or the one that was used last.
pub fn meant(session: &Session, names: &[String]) -> Result<Vec<String>, SandboxError> {
    if names.is_empty() {
        return Ok(vec![session.name(None)?]);
    }
    names.iter().map(|name| session.name(Some(name))).collect()
}

async fn finish(
    session: &mut Session,
    args: &LifecycleArgs,
    name: &str,
    goal: Goal,
) -> Result<(), SandboxError> {
    session.used(name);
    if !args.detach {
        let visibility = if args.quiet { Visibility::Hidden } else { Visibility::Shown };
        until(session, name, goal, visibility).await?;
    }
    if !args.quiet {
        output::print(name)?;
    }
    Ok(())
}
