//! The command line: which command was asked for, and where it is carried out.

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::output::LogLines;
use crate::{
    audit, doctor, exit, gateway, image, pages, policy, run, sandbox, ssh, status, supervise, why,
};

const RUN_EXAMPLES: &str = "\
Examples:
  navigator run -- python3 -c 'print(1)'
  navigator run --mount . -- make test
  navigator run --policy examples/pypi.yaml -- python3 -m pip install --target /sandbox/pkgs cowsay
  navigator run --mount ~/src/app --env ANTHROPIC_MODEL --timeout 30m -- agent

Exit codes:
  the command's own; 2 wrong usage or invalid policy; 124 time limit; 125 navigator failed;
  126 not executable; 127 not found; 128+N ended by signal N";

/// Run AI agents in sandboxes governed by a declarative policy
#[derive(Parser, Debug)]
#[command(name = "navigator", version = env!("NAVIGATOR_VERSION"), propagate_version = false)]
pub struct Cli {
    /// Log more: once for decisions, twice for everything
    #[arg(short = 'v', long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run a command in a sandbox of its own
    #[command(after_long_help = RUN_EXAMPLES)]
    Run(Box<run::RunArgs>),
    /// Create, use and delete sandboxes that stay
    #[command(subcommand, visible_alias = "sb")]
    Sandbox(sandbox::SandboxCommand),
    /// Bring in, list and remove the images that sandboxes start from
    #[command(subcommand)]
    Image(image::ImageCommand),
    /// Start, stop and choose gateways
    #[command(subcommand)]
    Gateway(gateway::GatewayCommand),
    /// Tell at a glance how the gateway, its sandboxes and this machine are
    Status(status::StatusArgs),
    /// Check, explain, compare and set policies
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Say why something was refused, or would be
    #[command(after_long_help = why::EXAMPLES)]
    Why(why::WhyArgs),
    /// Show, prove and export what was recorded
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Tell whether sandboxes can start here, and what to do if not
    Doctor(doctor::DoctorArgs),
    /// Print a completion script for a shell
    Completions(pages::CompletionsArgs),
    /// Print the manual page, or write all of them to a directory
    Man(pages::ManArgs),
    /// Lead ssh to the SSH server of a sandbox: its ProxyCommand
    SshProxy(ssh::ProxyArgs),
    /// Serve one sandbox of a gateway, which describes it on standard input
    #[command(hide = true)]
    Supervise,
}

/// Does what the command line says.
pub fn run() -> ExitCode {
    // Answers a shell's question and ends, when this is one; otherwise it costs a look at the environment.
    clap_complete::CompleteEnv::with_factory(Cli::command).var(pages::COMPLETE).complete();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error),
    };
    if !matches!(
        cli.command,
        Command::Supervise | Command::Gateway(gateway::GatewayCommand::Run(_))
    ) {
        // A supervisor's log goes to the gateway as well, and a gateway's where its settings say.
        log(cli.verbose);
    }
    let result = match &cli.command {
        Command::Run(args) => run::run(args).map_err(exit::Failure::from),
        Command::Sandbox(command) => sandbox::run(command).map_err(|error| {
            let failure = exit::Failure::from(error);
            if sandbox::passes_codes(command) { failure.among_codes() } else { failure }
        }),
        Command::Image(command) => image::run(command).map_err(exit::Failure::from),
        Command::Gateway(command) => gateway::run(command).map_err(exit::Failure::from),
        Command::Status(args) => status::run(args).map_err(exit::Failure::from),
        Command::Policy(command) => policy::run(command).map_err(exit::Failure::from),
        Command::Why(args) => why::run(args).map_err(exit::Failure::from),
        Command::Audit(command) => audit::run(command).map_err(exit::Failure::from),
        Command::Doctor(args) => doctor::run(args).map_err(exit::Failure::from),
        Command::Completions(args) => pages::completions(args).map_err(exit::Failure::from),
        Command::Man(args) => pages::man(args).map_err(exit::Failure::from),
        Command::SshProxy(args) => ssh::proxy(args).map_err(exit::Failure::from),
        Command::Supervise => supervise::run().map_err(exit::Failure::from),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failure.report(),
    }
}

fn log(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("NAVIGATOR_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| LogLines(std::io::stderr()))
        .with_ansi(false)
        .with_target(false)
        .init();
}
