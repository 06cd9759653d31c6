//! `navigator sandbox connect`: a terminal session of a sandbox, which goes on when this side leaves.

use navigator_client::{DetachKeys, Ended, Exec, Interrupts, Lasting, Terminal, exec};
use navigator_proto::v1::{TerminalEntry, TerminalSession};

use super::error::SandboxError;
use super::exec::shell;
use super::names;
use super::progress::Visibility;
use super::session::Session;
use crate::output::{line, say};
use crate::run::arguments;

/// The session that is meant when none is named.
pub const MAIN: &str = "main";

/// Shown below the long help.
pub const EXAMPLES: &str = "\
Examples:
  navigator sandbox connect demo
  navigator sandbox connect demo --session tests -- make watch
  navigator sandbox connect demo --new --record -- agent

Several people may attach to one session; it has the size of the terminal of whoever typed last.
The end of a session that nobody saw is kept for ten minutes.

Exit codes:
  the program's own when it ends; 0 after detaching; 2 wrong usage; 125 navigator or the gateway failed;
  126 not executable; 127 not found; 128+N ended by signal N";

/// Arguments of `navigator sandbox connect`.
#[derive(clap::Args, Debug)]
pub struct ConnectArgs {
    /// Connect to this sandbox [default: the one that was used last]
    #[arg(add = names::completer())]
    name: Option<String>,
    /// Attach to this session; it is started if it does not run
    #[arg(long, short = 's', value_name = "NAME", default_value = MAIN, value_parser = arguments::name)]
    session: String,
    /// Start the session; fail if it runs already
    #[arg(long)]
    new: bool,
    /// Record what the session prints, if it is started now
    #[arg(long)]
    record: bool,
    /// Record what is typed too, also passwords
    #[arg(long, requires = "record")]
    record_input: bool,
    /// Leave the session with these keys; the first one twice sends itself
    #[arg(long, value_name = "KEYS", default_value_t)]
    detach_keys: DetachKeys,
    /// Run this program if the session is started now [default: a login shell]
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

/// Attaches, and passes on the exit code of a program that ends.
pub async fn run(session: &mut Session, args: &ConnectArgs) -> Result<u8, SandboxError> {
    if !Terminal::Auto.wanted() {
        return Err(SandboxError::NoTerminal);
    }
    let sandbox = session.meant(args.name.as_ref()).await?;
    let entry = if args.new { TerminalEntry::Start } else { TerminalEntry::Unspecified };
    let lasting = Lasting {
        session: TerminalSession {
            name: args.session.clone(),
            entry: entry.into(),
            record: args.record,
            record_input: args.record_input,
        },
        keys: args.detach_keys,
    };
    let command = match args.command.is_empty() {
        true => login_shell(),
        false => args.command.clone(),
    };
    let run = Exec { sandbox_id: sandbox.id, command, lasting: Some(lasting), ..Exec::default() };
    let mut interrupts = Interrupts::watch()
        .map_err(|source| SandboxError::System { action: "take over signals", source })?;
    attach(session, &sandbox.name, run, &mut interrupts, Visibility::Shown).await
}

/// The shell that the sandbox's user has, as after a login.
fn login_shell() -> Vec<String> {
    let mut words = shell();
    if let Some(script) = words.last_mut() {
        script.push_str(" -l");
    }
    words
}

/// Runs in a session: says how to leave it, and how to come back.
pub async fn attach(
    session: &mut Session,
    sandbox: &str,
    run: Exec,
    interrupts: &mut Interrupts,
    visibility: Visibility,
) -> Result<u8, SandboxError> {
    let name = run.lasting.as_ref().map(|lasting| lasting.session.name.clone());
    if let Some(lasting) = run.lasting.as_ref().filter(|_| visibility == Visibility::Shown) {
        let name = &lasting.session.name;
        say(&dim(&format!("navigator: session `{name}`; leave it with {}", lasting.keys)));
    }
    match exec(&mut session.api, run, interrupts).await? {
        Ended::Code(code) => Ok(code),
        Ended::Detached => {
            let other = name.filter(|name| name != MAIN);
            let which = other.map(|name| format!(" --session {name}")).unwrap_or_default();
            let sandbox = line(sandbox);
            say(&format!(
                "navigator: left; come back with `navigator sandbox connect {sandbox}{which}`"
            ));
            Ok(0)
        }
    }
}

/// Less loud, where that can be shown.
fn dim(text: &str) -> String {
    let plain = std::env::var_os("NO_COLOR").is_some()
        || !std::io::IsTerminal::is_terminal(&std::io::stderr());
    if plain { text.to_owned() } else { format!("\x1b[2m{text}\x1b[m") }
}
