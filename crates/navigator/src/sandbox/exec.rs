//! `navigator sandbox exec`: a command in a sandbox that runs already.

use std::time::Duration;

use navigator_client::{Ended, Exec, Interrupts, Terminal, exec};

use super::error::SandboxError;
use super::names;
use super::session::Session;
use crate::run::arguments::{self, EnvArg};

/// Shown below the long help.
pub const EXAMPLES: &str = "\
Examples:
  navigator sandbox exec demo
  navigator sandbox exec demo -- ls -l /sandbox
  navigator sandbox exec -- python3 -
  tar c . | navigator sandbox exec demo --workdir /sandbox -- tar x

Exit codes:
  the command's own; 2 wrong usage; 124 time limit; 125 navigator or the gateway failed;
  126 not executable; 127 not found; 128+N ended by signal N";

/// Arguments of `navigator sandbox exec`.
#[derive(clap::Args, Debug)]
pub struct ExecArgs {
    /// Run it in this sandbox [default: the one that was used last]
    #[arg(add = names::completer())]
    name: Option<String>,
    /// Start in this directory of the sandbox
    #[arg(long, short = 'w', value_name = "DIR", default_value = "", hide_default_value = true)]
    workdir: String,
    /// Set an environment variable, or pass one on from this environment
    #[arg(long, short = 'e', value_name = "NAME=VALUE|NAME")]
    env: Vec<EnvArg>,
    /// Stop the command after this time, such as 90s, 5m or 1h (exit code 124)
    #[arg(long, value_name = "DURATION", value_parser = arguments::duration)]
    timeout: Option<Duration>,
    /// Give the command a terminal even if this one is not
    #[arg(short = 't', long, conflicts_with = "no_tty")]
    tty: bool,
    /// Give the command no terminal: pipes stay pipes
    #[arg(short = 'T', long)]
    no_tty: bool,
    /// Run this program with these arguments [default: a shell]
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

/// The shell that the sandbox's user has.
pub fn shell() -> Vec<String> {
    ["/bin/sh", "-c", "exec \"${SHELL:-/bin/sh}\""].map(str::to_owned).to_vec()
}

/// Runs a command and passes on its exit code.
pub async fn run(session: &mut Session, args: &ExecArgs) -> Result<u8, SandboxError> {
    let sandbox = session.meant(args.name.as_ref()).await?;
    let command = match args.command.is_empty() {
        true => shell(),
        false => args.command.clone(),
    };
    let run = Exec {
        sandbox_id: sandbox.id,
        command,
        workdir: args.workdir.clone(),
        environment: args.env.iter().map(EnvArg::resolve).collect::<Result<_, _>>()?,
        timeout: args.timeout,
        terminal: match (args.tty, args.no_tty) {
            (true, _) => Terminal::Always,
            (_, true) => Terminal::Never,
            (false, false) => Terminal::Auto,
        },
        lasting: None,
    };
    let mut interrupts = Interrupts::watch()
        .map_err(|source| SandboxError::System { action: "take over signals", source })?;
    match exec(&mut session.api, run, &mut interrupts).await? {
        Ended::Code(code) => Ok(code),
        // It is in no session.
        Ended::Detached => Ok(0),
    }
}
