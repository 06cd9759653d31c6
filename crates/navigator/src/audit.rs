//! `navigator audit`: shows, checks and exports what was recorded.

mod export;
mod follow;
pub mod moment;
pub mod show;
mod verify;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use navigator_egress::AuditDecision;
use navigator_supervisor::audit::{DigestError, Filter, History, ReadError};

use crate::output::OutputError;

/// Commands over audit files.
#[derive(clap::Subcommand, Debug)]
pub enum AuditCommand {
    /// List what was recorded, the newest last
    Show(show::ShowArgs),
    /// Prove that no record was altered, removed, moved or added
    #[command(after_long_help = verify::HELP)]
    Verify(verify::VerifyArgs),
    /// Print records for another system, one JSON object a line
    Export(export::ExportArgs),
}

/// Which records.
#[derive(clap::Args, Debug)]
pub struct FilterArgs {
    /// Only those of the sandbox with this name or identifier
    #[arg(long, value_name = "NAME|ID")]
    sandbox: Option<String>,
    /// Only those since a time, such as 2026-01-31, 2026-01-31T12:00:00Z, or for a duration, such as 30m or 2d
    #[arg(long, value_name = "TIME|DURATION", value_parser = moment::since)]
    since: Option<Timestamp>,
    /// Only those until a time or until a duration ago
    #[arg(long, value_name = "TIME|DURATION", value_parser = moment::until)]
    until: Option<Timestamp>,
    /// Only these decisions; may be given several times
    #[arg(long, value_name = "DECISION")]
    decision: Vec<DecisionArg>,
    /// Only decisions about this host and those below it
    #[arg(long)]
    host: Option<String>,
    /// Only decisions about this program, by its path or its file name
    #[arg(long, value_name = "PATH|NAME")]
    program: Option<String>,
    /// Only refusals of this kind, such as host, binary, identity or address
    #[arg(long)]
    reason: Option<String>,
}

/// A decision, as written on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum DecisionArg {
    Allow,
    Deny,
    WouldDeny,
    Revoke,
}

impl FilterArgs {
    fn filter(&self) -> Filter {
        let decision = |arg: &DecisionArg| match arg {
            DecisionArg::Allow => AuditDecision::Allow,
            DecisionArg::Deny => AuditDecision::Deny,
            DecisionArg::WouldDeny => AuditDecision::WouldDeny,
            DecisionArg::Revoke => AuditDecision::Revoke,
        };
        Filter {
            sandbox: self.sandbox.clone(),
            since: self.since,
            until: self.until,
            decisions: self.decision.iter().map(decision).collect(),
            host: self.host.clone(),
            program: self.program.clone(),
            reason: self.reason.clone(),
        }
    }
}

/// A failed audit command.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A file.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Records that could not be printed.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The hash to expect.
    #[error(transparent)]
    Hash(#[from] DigestError),
}

/// Carries out an audit command and returns the exit code.
pub fn run(command: &AuditCommand) -> Result<u8, AuditError> {
    match command {
        AuditCommand::Show(args) => show::run(args),
        AuditCommand::Verify(args) => verify::run(args),
        AuditCommand::Export(args) => export::run(args),
    }
}

/// Where decisions are recorded unless the user names a file.
pub fn default_file() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/navigator/audit.jsonl");
    }
    let absolute =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let state = absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .unwrap_or_else(std::env::temp_dir);
    state.join("navigator/audit.jsonl")
}

/// The file that was named, or the default one, with the full files before it.
fn history(file: Option<&Path>) -> Result<History, AuditError> {
    Ok(History::of(&file.map_or_else(default_file, Path::to_owned))?)
}

/// Says that some lines are no audit records; they are not passed over in silence.
fn say_unread(unread: u64) {
    let which = match unread {
        0 => return,
        1 => "1 line is no audit record".to_owned(),
        more => format!("{more} lines are no audit records"),
    };
    crate::output::say(&format!("navigator: {which}; run `navigator audit verify`"));
}
