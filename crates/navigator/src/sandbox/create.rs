//! `navigator sandbox create`: makes a sandbox, waits for it, and runs a command in it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use navigator_client::{DetachKeys, Ended, Exec, Interrupts, Lasting, Reach, Terminal, exec};
use navigator_proto::datamodel::v1::{Mount, Sandbox, SandboxSpec, SandboxTemplate};
use navigator_proto::sandbox::v1::SandboxPolicy;
use navigator_proto::v1::{
    CreateSandboxRequest, DeleteSandboxRequest, TerminalEntry, TerminalSession,
};
use navigator_supervisor::{Access, Cpus};
use prost_types::value::Kind;
use prost_types::{Struct, Value};

use super::connect::{MAIN, attach};
use super::error::SandboxError;
use super::exec::shell;
use super::listing::{Listing, print_one};
use super::progress::Visibility;
use super::session::Session;
use super::view::SandboxView;
use super::wait::{Goal, until};
use super::{forward, transfer};
use crate::image::from::{From, Wanted};
use crate::output::say;
use crate::run::arguments::{self, EnvArg, MountArg};

/// Shown below the long help.
pub const EXAMPLES: &str = "\
Examples:
  navigator sandbox create demo --policy policy.yaml
  navigator sandbox create --mount . -- make test
  navigator sandbox create --rm --memory 2G -- agent
  navigator sandbox create build -d -o name

Exit codes:
  the command's own; 2 wrong usage or invalid policy; 125 navigator or the gateway failed;
  126 not executable; 127 not found; 128+N ended by signal N";

/// Arguments of `navigator sandbox create`.
#[derive(clap::Args, Debug)]
pub struct CreateArgs {
    /// Name it [default: two words that are made up]
    #[arg(value_parser = arguments::name)]
    name: Option<String>,

    /// Apply this policy; without it the sandbox has no network and writes only to /sandbox and /tmp
    #[arg(
        long,
        short = 'p',
        value_name = "FILE",
        env = "NAVIGATOR_SANDBOX_POLICY",
        hide_env_values = true
    )]
    policy: Option<PathBuf>,

    /// Give it the credentials of this provider; may be given several times
    #[arg(long, value_name = "NAME", value_parser = arguments::name)]
    provider: Vec<String>,

    /// Set an environment variable, or pass one on from this environment
    #[arg(long, short = 'e', value_name = "NAME=VALUE|NAME")]
    env: Vec<EnvArg>,

    /// Mount a file or directory of the gateway's machine; at /sandbox/NAME unless DST is given
    #[arg(long, short = 'm', value_name = "SRC[:DST][:ro]")]
    mount: Vec<MountArg>,

    /// Copy this file or directory into it before the command runs; may be given several times
    #[arg(long, value_name = "PATH", conflicts_with = "detach")]
    upload: Vec<PathBuf>,

    /// Reach this port of it from this machine, in the background, as `forward` takes it
    #[arg(long, value_name = "PORT", value_parser = forward::port, conflicts_with = "detach")]
    forward: Vec<forward::Port>,

    /// Bound the memory of everything in it, such as 512M or 2G
    #[arg(long, value_name = "SIZE", value_parser = arguments::size)]
    memory: Option<u64>,

    /// Bound the processor time, in processors, such as 1.5
    #[arg(long, value_name = "N", value_parser = arguments::cpus)]
    cpus: Option<Cpus>,

    /// Bound the number of processes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pids: Option<u64>,

    /// Bound what can be written in /tmp and /dev/shm, such as 1G; /sandbox is on disk and not bounded
    #[arg(long, value_name = "SIZE", value_parser = arguments::size)]
    disk: Option<u64>,

    /// Use this directory as root filesystem instead of the system's own directories
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,

    /// Take the root filesystem from here: host, a directory (./DIR), an image by its name, oci:DIR, oci-archive:FILE,
    /// docker-archive:FILE or snapshot:TAG; an image's own policy holds unless --policy is given
    #[arg(long, value_name = "SOURCE", conflicts_with = "root")]
    from: Option<From>,

    /// Attach a label; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    label: Vec<(String, String)>,

    /// Log what is at least so important
    #[arg(long, value_name = "LEVEL", value_parser = ["error", "warn", "info", "debug", "trace"])]
    log_level: Option<String>,

    /// Keep the sandbox when the command has ended; it is kept anyway unless --rm is given
    #[arg(long, conflicts_with = "rm")]
    keep: bool,

    /// Delete the sandbox when the command has ended, also after a failure or Ctrl-C
    #[arg(long, requires = "command")]
    rm: bool,

    /// Return at once, without waiting until it is ready
    #[arg(short = 'd', long, conflicts_with_all = ["command", "rm"])]
    detach: bool,

    /// Give the command a terminal even if this one is not
    #[arg(short = 't', long, conflicts_with = "no_tty")]
    tty: bool,

    /// Give the command no terminal: pipes stay pipes
    #[arg(short = 'T', long)]
    no_tty: bool,

    /// Record what the command prints on its terminal; see `navigator sandbox replay`
    #[arg(long, conflicts_with_all = ["rm", "no_tty", "detach"])]
    record: bool,

    /// Record what is typed too, also passwords
    #[arg(long, requires = "record")]
    record_input: bool,

    /// Print nothing but what the command prints
    #[arg(short = 'q', long)]
    quiet: bool,

    /// Choose how to print the sandbox when no command is run
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "name")]
    output: Listing,

    /// Run this program with these arguments [default: a shell, on a terminal]
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

/// `KEY=VALUE`
fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("failed to understand the label `{text}`; write KEY=VALUE")),
    }
}

/// Creates, waits, runs.
pub async fn run(session: &mut Session, args: &CreateArgs) -> Result<u8, SandboxError> {
    if args.record && lasting(args).is_none() {
        return Err(SandboxError::NoTerminal);
    }
    let request = CreateSandboxRequest {
        spec: Some(spec(session, args)?),
        name: args.name.clone().unwrap_or_default(),
    };
    // From here on a signal must not leave a sandbox behind that was to be deleted.
    let mut interrupts =
        if args.rm || command(args).is_some() { Some(watch_interrupts()?) } else { None };
    let answer = session.api.create_sandbox(request).await;
    let answer = answer.map_err(SandboxError::refused("create the sandbox"))?.into_inner();
    let sandbox = answer.sandbox.ok_or(SandboxError::Incomplete("sandbox"))?;
    let name = sandbox.name.clone();
    session.used(&name);
    let result = match &mut interrupts {
        Some(interrupts) => run_in(session, args, sandbox, interrupts).await,
        None => show(session, args, sandbox).await,
    };
    match args.rm {
        true => clean_up(session, &name, result).await,
        false => result,
    }
}

fn watch_interrupts() -> Result<Interrupts, SandboxError> {
    Interrupts::watch()
        .map_err(|source| SandboxError::System { action: "take over signals", source })
}

/// What is to be run, if anything: on a terminal a shell.
fn command(args: &CreateArgs) -> Option<Vec<String>> {
    if !args.command.is_empty() {
        return Some(args.command.clone());
    }
    let interactive = !args.detach && !args.no_tty && (args.tty || Terminal::Auto.wanted());
    interactive.then(shell)
}

async fn show(
    session: &mut Session,
    args: &CreateArgs,
    mut sandbox: Sandbox,
) -> Result<u8, SandboxError> {
    if !args.detach {
        let name = sandbox.name.clone();
        if let Some(ready) = until(session, &name, Goal::Ready, visibility(args)).await? {
            sandbox = ready;
        }
        furnish(session, args, &name).await?;
    }
    print_one(&SandboxView::from(sandbox), args.output, SandboxView::text)?;
    Ok(0)
}

fn visibility(args: &CreateArgs) -> Visibility {
    if args.quiet { Visibility::Hidden } else { Visibility::Shown }
}

/// Brings what it is to have from this machine.
async fn furnish(session: &mut Session, args: &CreateArgs, name: &str) -> Result<(), SandboxError> {
    transfer::upload(session, name, &args.upload, args.quiet).await?;
    if !args.forward.is_empty() {
        forward::in_background(name, &args.forward)?;
    }
    Ok(())
}

async fn run_in(
    session: &mut Session,
    args: &CreateArgs,
    sandbox: Sandbox,
    interrupts: &mut Interrupts,
) -> Result<u8, SandboxError> {
    let name = sandbox.name.clone();
    if !args.quiet {
        say(&format!("navigator: created `{name}`"));
    }
    tokio::select! {
        ready = until(session, &name, Goal::Ready, visibility(args)) => drop(ready?),
        signal = interrupts.asked_to_end() => return Ok(128 + signal),
    }
    tokio::select! {
        furnished = furnish(session, args, &name) => furnished?,
        signal = interrupts.asked_to_end() => return Ok(128 + signal),
    }
    let run = Exec {
        sandbox_id: sandbox.id,
        command: command(args).unwrap_or_else(shell),
        terminal: match (args.tty, args.no_tty) {
            (true, _) => Terminal::Always,
            (_, true) => Terminal::Never,
            (false, false) => Terminal::Auto,
        },
        lasting: lasting(args),
        ..Exec::default()
    };
    if run.lasting.is_some() {
        return attach(session, &name, run, interrupts, visibility(args)).await;
    }
    match exec(&mut session.api, run, interrupts).await? {
        Ended::Code(code) => Ok(code),
        Ended::Detached => Ok(0),
    }
}

/// A command on a terminal outlives this one, unless the sandbox is to be deleted when the command is left.
fn lasting(args: &CreateArgs) -> Option<Lasting> {
    let on_a_terminal = !args.no_tty && !args.rm && Terminal::Auto.wanted();
    on_a_terminal.then(|| Lasting {
        session: TerminalSession {
            name: MAIN.to_owned(),
            entry: TerminalEntry::Start.into(),
            record: args.record,
            record_input: args.record_input,
        },
        keys: DetachKeys::default(),
    })
}

/// Deletes the sandbox whatever came of it; when that fails too, the first failure is the one that counts.
async fn clean_up(
    session: &mut Session,
    name: &str,
    result: Result<u8, SandboxError>,
) -> Result<u8, SandboxError> {
    let deleted = session.api.delete_sandbox(DeleteSandboxRequest { name: name.to_owned() }).await;
    match deleted {
        Ok(_deleted) => session.gone(name),
        Err(status) => {
            let failed = SandboxError::refused(format!("delete `{name}`"))(status);
            match result {
                Ok(_code) => return Err(failed),
                Err(_) => say(&format!("navigator: `{name}` is still there: {failed}")),
            }
        }
    }
    result
}

fn spec(session: &Session, args: &CreateArgs) -> Result<SandboxSpec, SandboxError> {
    let policy = match &args.policy {
        Some(path) => Some(SandboxPolicy::from(&crate::policy::checked(path)?.policy)),
        None => None,
    };
    let here = !matches!(session.gateway.reach, Reach::Tls { .. });
    let root = root(args, here)?;
    Ok(SandboxSpec {
        log_level: args.log_level.clone().unwrap_or_default(),
        environment: args.env.iter().map(EnvArg::resolve).collect::<Result<_, _>>()?,
        template: Some(SandboxTemplate {
            image: root,
            labels: args.label.iter().cloned().collect(),
            resources: limits(args),
            ..SandboxTemplate::default()
        }),
        policy,
        providers: args.provider.clone(),
        mounts: args.mount.iter().map(|arg| mount(arg, here)).collect::<Result<_, _>>()?,
    })
}

/// The root filesystem as the gateway knows it. Another machine has a store of its own.
fn root(args: &CreateArgs, here: bool) -> Result<String, SandboxError> {
    let from = args.from.clone().or_else(|| args.root.clone().map(From::Directory));
    match (from.unwrap_or(From::Host), here) {
        (From::Host, _) => Ok(String::new()),
        (From::Directory(root), true) => real(&root),
        (From::Directory(root), false) => Ok(root.display().to_string()),
        (From::Image(wanted), true) => Ok(wanted.name(Visibility::Shown)?),
        (From::Image(Wanted::Named(name)), false) => Ok(name.to_string()),
        (From::Image(Wanted::Digest(digest)), false) => Ok(digest),
        (From::Image(Wanted::Imported(source)), false) => {
            Err(SandboxError::ImportElsewhere(source.to_string()))
        }
    }
}

/// The gateway of this machine has another working directory and gets whole paths.
fn mount(arg: &MountArg, here: bool) -> Result<Mount, SandboxError> {
    let bind = arg.bind()?;
    let source = match here {
        true => real(&bind.source)?,
        false => bind.source.display().to_string(),
    };
    Ok(Mount {
        source,
        destination: bind.destination.display().to_string(),
        read_only: bind.access == Access::ReadOnly,
    })
}

fn real(path: &std::path::Path) -> Result<String, SandboxError> {
    match path.canonicalize() {
        Ok(real) => Ok(real.display().to_string()),
        Err(source) => Err(SandboxError::File { path: path.display().to_string(), source }),
    }
}

fn limits(args: &CreateArgs) -> Option<Struct> {
    let text = |text: String| Value { kind: Some(Kind::StringValue(text)) };
    let entries = [
        ("memory", args.memory.map(|bytes| bytes.to_string())),
        ("cpu", args.cpus.map(|cpus| cpus.to_string())),
        ("pids", args.pids.map(|pids| pids.to_string())),
        ("ephemeral-storage", args.disk.map(|bytes| bytes.to_string())),
    ];
    let limits: BTreeMap<_, _> = entries
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), text(value?))))
        .collect();
    if limits.is_empty() {
        return None;
    }
    let limits = Value { kind: Some(Kind::StructValue(Struct { fields: limits })) };
    Some(Struct { fields: BTreeMap::from([("limits".to_owned(), limits)]) })
}
