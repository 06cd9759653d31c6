//! `navigator run`: one command in a sandbox of its own.

pub mod arguments;
mod learn;
mod summary;
mod watch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use navigator_policy::Policy;
use navigator_supervisor::{
    DiscoveryError, ExitStatus, FollowError, Judging, LaunchError, Limits, Request, RootView,
    StartError, StartupError, TerminalChoice, TrustError, Verdict, discover, start,
};

use crate::image::error::ImageError;
use crate::image::from::{From, Root};
use crate::output::Format;
use crate::policy::PolicyError;
use crate::sandbox::progress::Visibility;
use crate::text_file::WriteError;
use arguments::{EnvArg, MountArg, ParseArgumentError};

/// Arguments of `navigator run`.
#[derive(clap::Args, Debug)]
pub struct RunArgs {
    /// Apply this policy; without it the command has no network and writes only to /sandbox and /tmp
    #[arg(long, short = 'p', value_name = "FILE")]
    policy: Option<PathBuf>,

    /// Follow changes of the policy file while the command runs; a file with errors leaves the policy as it is
    #[arg(long, requires = "policy")]
    watch_policy: bool,

    /// Let network access pass that no policy names, note it, and write a policy that allows just that; private
    /// and reserved addresses stay refused
    #[arg(long, value_name = "OUT", conflicts_with = "watch_policy")]
    learn: Option<PathBuf>,

    /// Mount a file or directory of this machine; at /sandbox/NAME unless DST is given
    #[arg(long, short = 'm', value_name = "SRC[:DST][:ro]")]
    mount: Vec<MountArg>,

    /// Start in this directory of the sandbox [default: the first mounted directory, else /sandbox]
    #[arg(long, short = 'w', value_name = "DIR")]
    workdir: Option<PathBuf>,

    /// Set an environment variable, or pass one on from this environment
    #[arg(long, short = 'e', value_name = "NAME=VALUE|NAME")]
    env: Vec<EnvArg>,

    /// Stop the command after this time, such as 90s, 5m or 1h (exit code 124)
    #[arg(long, value_name = "DURATION", value_parser = arguments::duration)]
    timeout: Option<std::time::Duration>,

    /// Bound the memory of everything in the sandbox, such as 512M or 2G
    #[arg(long, value_name = "SIZE", value_parser = arguments::size)]
    memory: Option<u64>,

    /// Bound the processor time, in processors, such as 1.5
    #[arg(long, value_name = "N", value_parser = arguments::cpus)]
    cpus: Option<navigator_supervisor::Cpus>,

    /// Bound the number of processes [default: 4096]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pids: Option<u64>,

    /// Bound what can be written in the sandbox, such as 1G [default: half of the machine's memory]
    #[arg(long, value_name = "SIZE", value_parser = arguments::size)]
    disk: Option<u64>,

    /// Use this directory as root filesystem instead of the system's own directories
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,

    /// Take the root filesystem from here: host, a directory (./DIR), an image of the store by its name, oci:DIR,
    /// oci-archive:FILE, docker-archive:FILE or snapshot:TAG; an image's own policy holds unless --policy is given
    #[arg(long, value_name = "SOURCE", conflicts_with = "root")]
    from: Option<From>,

    /// Trust the certificate authorities in this PEM file as well as the system's, when TLS is inspected
    #[arg(long, value_name = "FILE")]
    upstream_ca: Vec<PathBuf>,

    /// Record decisions in this file [default: audit.jsonl in the state directory]
    #[arg(long, value_name = "FILE")]
    audit: Option<PathBuf>,

    /// Name the sandbox; it becomes its host name
    #[arg(long, value_name = "NAME", value_parser = arguments::name)]
    name: Option<String>,

    /// Give the command a terminal even if this one is not
    #[arg(short = 't', long = "tty", overrides_with = "no_tty")]
    tty: bool,

    /// Give the command no terminal: pipes stay pipes
    #[arg(short = 'T', long = "no-tty", overrides_with = "tty")]
    no_tty: bool,

    /// Print nothing but what the command prints
    #[arg(short = 'q', long)]
    quiet: bool,

    /// Print the summary of denials as text or JSON, on standard error
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "text")]
    output: Format,

    /// Run this program with these arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "CMD"
    )]
    command: Vec<String>,
}

/// A run that could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// An argument that means nothing here.
    #[error(transparent)]
    Argument(#[from] ParseArgumentError),
    /// The policy cannot be read or is invalid.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The root filesystem cannot be had.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The policy of the root filesystem cannot be used.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// The sandbox could not be started.
    #[error(transparent)]
    Startup(#[from] StartupError),
    /// The sandbox could not be followed.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// What was learned cannot be kept.
    #[error(transparent)]
    Learn(#[from] WriteError),
    /// The policy file could not be followed.
    #[error("failed to follow the policy file")]
    Watch(#[source] std::io::Error),
    /// The program could not be started.
    #[error("failed to run `{program}`")]
    Program {
        /// The program's name.
        program: String,
        /// Why.
        source: StartError,
    },
}

impl RunError {
    /// The exit code that scripts see (sysexits are not used: see `navigator run --help`).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Argument(_) | Self::Policy(_) | Self::Learn(_) => 2,
            Self::Image(error) => error.exit_code(),
            Self::Discovery(_) => 2,
            Self::Startup(StartupError::Plan(_) | StartupError::Trust(TrustError::Upstream(_))) => {
                2
            }
            Self::Startup(StartupError::Launch(LaunchError::RootUser)) => 2,
            Self::Startup(_) | Self::Follow(_) | Self::Watch(_) => 125,
            Self::Program { source, .. } => match source {
                StartError::NotFound => 127,
                StartError::NotExecutable(_) => 126,
                StartError::WorkingDirectory(_) => 2,
                StartError::SelfTest(_) | StartError::Confine { .. } => 125,
            },
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Startup(StartupError::Launch(
                LaunchError::Namespaces { .. } | LaunchError::Ids { .. },
            )) => Some("run `navigator doctor`".into()),
            Self::Startup(StartupError::Trust(TrustError::Upstream(_))) => {
                Some("name a readable PEM file of certificates with --upstream-ca FILE".into())
            }
            Self::Program { source: StartError::NotFound, .. } => Some(
                "the program must be in a directory that the policy lists; \
                 mount others with --mount"
                    .into(),
            ),
            Self::Program { source: StartError::NotExecutable(_), .. } => Some(
                "check that the policy lets it be read, that it has the executable bit, and that it is \
                 built for this machine"
                    .into(),
            ),
            Self::Program { source: StartError::WorkingDirectory(_), .. } => {
                Some("name a directory of the sandbox with --workdir".into())
            }
            Self::Image(error) => error.hint(),
            Self::Discovery(_) => Some("name another policy with --policy".into()),
            Self::Learn(_) => Some("name a file in a directory that you may write to".into()),
            Self::Argument(_)
            | Self::Policy(_)
            | Self::Startup(_)
            | Self::Follow(_)
            | Self::Watch(_)
            | Self::Program { .. } => None,
        }
    }
}

/// Runs the command and returns its exit code.
pub fn run(args: &RunArgs) -> Result<u8, RunError> {
    let watched = watched(args).next();
    if watched.is_some_and(|path| path == Path::new("-")) {
        return Err(ParseArgumentError::WatchInput.into());
    }
    let watched = watched.map(|path| (path.clone(), watch::State::of(path)));
    args.learn.as_deref().map(learn::check_place).transpose()?;
    let root = root(args)?;
    let _lease = root.lease;
    let request = request(args, root.view, root.env)?;
    let mut started = start(&request)?;
    if !args.quiet {
        summary::before(started.layers(), started.skipped(), &request.policy);
    }
    if let (Some((path, state)), Some(revisions)) = (watched, started.take_revisions()) {
        watch::start(path, state, revisions).map_err(RunError::Watch)?;
    }
    let skipped = started.skipped().to_vec();
    let outcome = started.follow()?;
    if !args.quiet {
        summary::after(&outcome.denials, args.output);
        summary::lost(outcome.lost_records);
    }
    if let Some(path) = &args.learn {
        learn::finish(path, &request.policy, &skipped, &outcome)?;
    }
    match outcome.verdict {
        Verdict::Exited(ExitStatus::Code(code)) => Ok(u8::try_from(code & 0xff).unwrap_or(u8::MAX)),
        Verdict::Exited(ExitStatus::Signal(signal)) => {
            Ok(u8::try_from(128 + signal).unwrap_or(u8::MAX))
        }
        Verdict::TimedOut => {
            if !args.quiet {
                summary::timed_out(request.timeout);
            }
            Ok(124)
        }
        Verdict::NotStarted(source) => {
            let program = args.command.first().cloned().unwrap_or_default();
            Err(RunError::Program { program, source })
        }
    }
}

/// The policy file, if its changes are followed.
fn watched(args: &RunArgs) -> impl Iterator<Item = &PathBuf> {
    args.policy.iter().filter(|_| args.watch_policy)
}

/// The root filesystem, there and kept.
fn root(args: &RunArgs) -> Result<Root, RunError> {
    let from = match (&args.from, &args.root) {
        (Some(from), _) => from.clone(),
        (None, Some(root)) => From::Directory(root.clone()),
        (None, None) => From::Host,
    };
    Ok(from.prepare(if args.quiet { Visibility::Hidden } else { Visibility::Shown })?)
}

fn request(
    args: &RunArgs,
    root: RootView,
    root_env: BTreeMap<String, String>,
) -> Result<Request, RunError> {
    let name = args.name.clone().unwrap_or_else(|| format!("run-{:x}", std::process::id()));
    let binds = args.mount.iter().map(MountArg::bind).collect::<Result<_, _>>()?;
    let env = args.env.iter().map(EnvArg::resolve).collect::<Result<_, _>>()?;
    Ok(Request {
        id: uuid::Uuid::now_v7().to_string(),
        name,
        policy: policy(args.policy.as_deref(), &root)?,
        root,
        binds,
        home: None,
        workdir: args.workdir.clone(),
        root_env,
        env,
        path: std::env::var("PATH").ok(),
        term: std::env::var("TERM").ok(),
        timeout: args.timeout,
        limits: Limits { memory_bytes: args.memory, cpus: args.cpus, processes: args.pids },
        disk_bytes: args.disk,
        upstream_ca: args.upstream_ca.clone(),
        judging: if args.learn.is_some() { Judging::Learn } else { Judging::Enforce },
        outside: watched(args).chain(args.learn.as_ref()).cloned().collect(),
        audit_file: args.audit.clone().unwrap_or_else(crate::audit::default_file),
        terminal: match (args.tty, args.no_tty) {
            (true, _) => TerminalChoice::Always,
            (_, true) => TerminalChoice::Never,
            (false, false) => TerminalChoice::Auto,
        },
        command: args.command.clone(),
    })
}

fn policy(path: Option<&Path>, root: &RootView) -> Result<Policy, RunError> {
    match (path, root) {
        (Some(path), _) => Ok(crate::policy::checked(path)?.policy),
        (None, RootView::Layers(_)) => Ok(discover(root)?),
        (None, RootView::Host | RootView::Directory(_)) => Ok(Policy::restrictive_default()),
    }
}
