//! `navigator gateway`: the gateways that this user knows, and the one on this machine.

pub mod init;
pub mod known;
mod local;
pub mod serve;

use std::path::PathBuf;

use navigator_client::Places;

use crate::output::Format;
use crate::sandbox::error::SandboxError;
use crate::sandbox::listing::Listing;
use crate::sandbox::session::block_on;

/// Shown below the long help of `add`.
const ADD_EXAMPLES: &str = "\
Examples:
  navigator gateway add team https://gateway.example:8443 --ca ca.pem --cert me.pem --key me.key --use
  NAVIGATOR_GATEWAY=team navigator sandbox list

The files are copied into the configuration directory, where only you may read them.";

/// Commands over gateways.
#[derive(clap::Subcommand, Debug)]
pub enum GatewayCommand {
    /// Serve in the foreground until a signal ends it
    Run(serve::ServeArgs),
    /// Print the settings in force, and where each comes from
    Config(ConfigArgs),
    /// Make certificates for remote clients, or renew them
    #[command(after_long_help = init::EXAMPLES)]
    Init(init::InitArgs),
    /// Start the gateway of this machine, unless it runs
    Start,
    /// Stop the gateway of this machine; sandboxes go on
    Stop,
    /// Tell whether a gateway answers
    Status(StatusArgs),
    /// Add a gateway that is elsewhere
    #[command(after_long_help = ADD_EXAMPLES)]
    Add(AddArgs),
    /// Use a gateway from now on
    Use(NameArgs),
    /// List the gateways that are known
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Forget a gateway, and its certificates
    Remove(NameArgs),
    /// Become the gateway, in a session of its own
    #[command(hide = true)]
    RunDetached,
}

/// A gateway by its name.
#[derive(clap::Args, Debug)]
pub struct NameArgs {
    /// Name the gateway; `local` is the one of this machine
    name: String,
}

/// Arguments of `navigator gateway config`.
#[derive(clap::Args, Debug)]
pub struct ConfigArgs {
    #[command(flatten)]
    settings: serve::ServeArgs,
    /// Choose how to print
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "text")]
    output: Format,
}

/// Arguments of `navigator gateway status`.
#[derive(clap::Args, Debug)]
pub struct StatusArgs {
    /// Ask this gateway [default: the one that is used]
    name: Option<String>,
    /// Choose how to print
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "table")]
    output: Listing,
}

/// Arguments of `navigator gateway list`.
#[derive(clap::Args, Debug)]
pub struct ListArgs {
    /// Choose how to print
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "table")]
    output: Listing,
}

/// Arguments of `navigator gateway add`.
#[derive(clap::Args, Debug)]
pub struct AddArgs {
    /// Name it
    name: String,
    /// Reach it here
    #[arg(value_name = "https://HOST:PORT")]
    address: String,
    /// Trust gateways whose certificate this authority signed (PEM)
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// Show it this certificate (PEM)
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// Prove with this private key that the certificate is yours (PEM)
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Use it from now on
    #[arg(long = "use")]
    activate: bool,
}

/// Carries out a command and returns the exit code.
pub fn run(command: &GatewayCommand) -> Result<u8, SandboxError> {
    let places = Places::of_this_user();
    match command {
        GatewayCommand::Run(args) => serve::run(&places, args),
        GatewayCommand::Config(args) => serve::config(&places, &args.settings, args.output),
        GatewayCommand::Init(args) => init::run(&places, args),
        GatewayCommand::Start => block_on(local::start(&places)),
        GatewayCommand::Stop => local::stop(&places),
        GatewayCommand::Status(args) => block_on(known::status(&places, args)),
        GatewayCommand::Add(args) => known::add(&places, args),
        GatewayCommand::Use(args) => known::activate(&places, &args.name),
        GatewayCommand::List(args) => known::list(&places, args),
        GatewayCommand::Remove(args) => known::remove(&places, &args.name),
        GatewayCommand::RunDetached => local::run_detached(&places),
    }
}
