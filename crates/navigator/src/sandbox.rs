//! `navigator sandbox`: sandboxes that a gateway keeps.

mod connect;
mod create;
mod delete;
pub mod error;
mod events;
mod exec;
mod forward;
mod get;
mod lifecycle;
mod list;
pub mod listing;
mod logs;
pub mod names;
pub mod progress;
mod replay;
pub mod revisions;
pub mod session;
mod sessions;
mod snapshot;
mod transfer;
pub mod view;
mod wait;

use error::SandboxError;
use session::{Session, block_on};

use crate::ssh::{configuration, editor};

/// Commands over sandboxes.
#[derive(clap::Subcommand, Debug)]
pub enum SandboxCommand {
    /// Create a sandbox, and run a command in it
    #[command(after_long_help = create::EXAMPLES)]
    Create(Box<create::CreateArgs>),
    /// List sandboxes
    #[command(visible_alias = "ls")]
    List(list::ListArgs),
    /// Show one sandbox
    Get(get::GetArgs),
    /// Run a command in a sandbox
    #[command(after_long_help = exec::EXAMPLES)]
    Exec(exec::ExecArgs),
    /// Copy files to and from a sandbox
    #[command(visible_alias = "copy", after_long_help = transfer::COPY_EXAMPLES)]
    Cp(transfer::CopyArgs),
    /// Make a directory of a sandbox like one of this machine, or the other way round
    #[command(after_long_help = transfer::SYNC_EXAMPLES)]
    Sync(transfer::SyncArgs),
    /// Reach ports of a sandbox from this machine
    #[command(after_long_help = forward::EXAMPLES)]
    Forward(forward::ForwardArgs),
    /// List and stop what is forwarded in the background
    Forwards(forward::ForwardsArgs),
    /// Print how ssh reaches sandboxes, or have it know
    #[command(after_long_help = configuration::EXAMPLES)]
    SshConfig(configuration::ConfigArgs),
    /// Open a sandbox in an editor of this machine
    Open(editor::OpenArgs),
    /// Attach to a terminal session of a sandbox, which goes on when you leave
    #[command(after_long_help = connect::EXAMPLES)]
    Connect(connect::ConnectArgs),
    /// List the terminal sessions of a sandbox, or end one
    Sessions(sessions::SessionsArgs),
    /// Show a recording of a terminal session again
    Replay(replay::ReplayArgs),
    /// List what a sandbox of an image has changed
    #[command(after_long_help = snapshot::DIFF_EXAMPLES)]
    Diff(snapshot::DiffArgs),
    /// Make an image of a sandbox as it is
    #[command(after_long_help = snapshot::SNAPSHOT_EXAMPLES)]
    Snapshot(snapshot::SnapshotArgs),
    /// Make a sandbox like another one, with a copy of its files
    Fork(snapshot::ForkArgs),
    /// Print what a sandbox logged
    Logs(logs::LogsArgs),
    /// Print what happened to a sandbox
    Events(events::EventsArgs),
    /// End everything that runs in sandboxes and keep their files
    Stop(lifecycle::LifecycleArgs),
    /// Start stopped sandboxes again
    Start(lifecycle::LifecycleArgs),
    /// Delete sandboxes with everything in them
    #[command(visible_alias = "rm")]
    Delete(delete::DeleteArgs),
    /// Wait until a sandbox is ready, stopped or deleted
    Wait(wait::WaitArgs),
    /// Set and show the policy of a sandbox
    #[command(subcommand)]
    Policy(revisions::RevisionCommand),
}

/// Carries out a command and returns the exit code.
pub fn run(command: &SandboxCommand) -> Result<u8, SandboxError> {
    if let SandboxCommand::Forwards(args) = command {
        // No gateway is started for that.
        return forward::background(args);
    }
    block_on(async {
        let session = &mut Session::open().await?;
        match command {
            SandboxCommand::Create(args) => create::run(session, args).await,
            SandboxCommand::List(args) => list::run(session, args).await,
            SandboxCommand::Get(args) => get::run(session, args).await,
            SandboxCommand::Exec(args) => exec::run(session, args).await,
            SandboxCommand::Cp(args) => transfer::copy(session, args).await,
            SandboxCommand::Sync(args) => transfer::sync(session, args).await,
            SandboxCommand::Forward(args) => forward::run(session, args).await,
            SandboxCommand::Open(args) => editor::run(session, args).await,
            SandboxCommand::SshConfig(args) => configuration::run(session, args).await,
            SandboxCommand::Forwards(args) => forward::background(args),
            SandboxCommand::Connect(args) => connect::run(session, args).await,
            SandboxCommand::Sessions(args) => sessions::run(session, args).await,
            SandboxCommand::Replay(args) => replay::run(session, args).await,
            SandboxCommand::Logs(args) => logs::run(session, args).await,
            SandboxCommand::Events(args) => events::run(session, args).await,
            SandboxCommand::Stop(args) => lifecycle::stop(session, args).await,
            SandboxCommand::Start(args) => lifecycle::start(session, args).await,
            SandboxCommand::Delete(args) => delete::run(session, args).await,
            SandboxCommand::Diff(args) => snapshot::diff(session, args).await,
            SandboxCommand::Snapshot(args) => snapshot::snapshot(session, args).await,
            SandboxCommand::Fork(args) => snapshot::fork(session, args).await,
            SandboxCommand::Wait(args) => wait::run(session, args).await,
            SandboxCommand::Policy(command) => revisions::run(session, command).await,
        }
    })
}

/// Whether a command's exit codes are those of what it runs, so that none may mean two things.
#[must_use]
pub fn passes_codes(command: &SandboxCommand) -> bool {
    matches!(
        command,
        SandboxCommand::Create(_) | SandboxCommand::Exec(_) | SandboxCommand::Connect(_)
    )
}
