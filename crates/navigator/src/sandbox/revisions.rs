//! `navigator sandbox policy` and the same commands of `navigator policy`: the policy of a sandbox that runs.

use std::path::PathBuf;
use std::time::Duration;

use navigator_policy::Policy;
use navigator_proto::v1::{
    GetSandboxPolicyStatusRequest, GetSandboxPolicyStatusResponse, ListSandboxPoliciesRequest,
    PolicyStatus, SandboxPolicyRevision, UpdateSandboxPolicyRequest,
};
use serde::Serialize;

use super::error::SandboxError;
use super::listing::{Listed, Listing, print_all};
use super::names;
use super::session::{Session, block_on};
use super::view::time;
use super::wait::within;
use crate::output::{self, neutral};
use crate::run::arguments;

/// How long `--wait` waits unless it is told.
const LIMIT: Duration = Duration::from_secs(60);
/// How often it is looked whether a revision is in force.
const LOOK: Duration = Duration::from_millis(50);
/// Revisions of one answer.
const PAGE: u32 = 100;

/// Commands over the policy of a sandbox.
#[derive(clap::Subcommand, Debug)]
pub enum RevisionCommand {
    /// Give a sandbox another policy while it runs
    Set(SetArgs),
    /// Print the policy of a sandbox
    Get(GetArgs),
    /// List the policies that a sandbox had, the newest first, and what became of each
    #[command(visible_alias = "list")]
    History(HistoryArgs),
    /// Put an earlier policy of a sandbox into force again
    Rollback(RollbackArgs),
}

/// Whether and how long to wait until a policy is in force.
#[derive(clap::Args, Debug)]
struct WaitArgs {
    /// Wait until it is in force; the exit code is 1 when it cannot be, and the policy before stays in force
    #[arg(long)]
    wait: bool,
    /// Give up waiting after this time (exit code 124) [default: 60s]
    #[arg(long, value_name = "DURATION", requires = "wait", value_parser = arguments::duration)]
    timeout: Option<Duration>,
}

/// Arguments of `set`.
#[derive(clap::Args, Debug)]
#[command(allow_missing_positional = true)]
pub struct SetArgs {
    /// Change this sandbox [default: the one that was used last]
    #[arg(add = names::completer())]
    name: Option<String>,
    /// Read the policy from here; `-` is standard input
    #[arg(required = true)]
    file: PathBuf,
    #[command(flatten)]
    wait: WaitArgs,
}

/// Arguments of `get`.
#[derive(clap::Args, Debug)]
pub struct GetArgs {
    /// Print the policy of this sandbox [default: the one that was used last]
    #[arg(add = names::completer())]
    name: Option<String>,
    /// Print this version [default: the newest]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    version: Option<u32>,
    /// Choose how to print
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "yaml")]
    output: PolicyFormat,
}

/// How a policy is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum PolicyFormat {
    /// The policy as a file
    Yaml,
    /// The same as JSON
    Json,
}

/// Arguments of `history`.
#[derive(clap::Args, Debug)]
pub struct HistoryArgs {
    /// List the policies of this sandbox [default: the one that was used last]
    #[arg(add = names::completer())]
    name: Option<String>,
    /// Choose how to print
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "table")]
    output: Listing,
}

/// Arguments of `rollback`.
#[derive(clap::Args, Debug)]
pub struct RollbackArgs {
    /// Change this sandbox [default: the one that was used last]
    #[arg(add = names::completer())]
    name: Option<String>,
    /// Go back to this version [default: the last one that was in force before]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    version: Option<u32>,
    #[command(flatten)]
    wait: WaitArgs,
}

/// Carries out a command in a session of its own.
pub fn run_alone(command: &RevisionCommand) -> Result<u8, SandboxError> {
    block_on(async { run(&mut Session::open().await?, command).await })
}

/// Carries out a command and returns the exit code.
pub async fn run(session: &mut Session, command: &RevisionCommand) -> Result<u8, SandboxError> {
    match command {
        RevisionCommand::Set(args) => set(session, args).await,
        RevisionCommand::Get(args) => get(session, args).await,
        RevisionCommand::History(args) => history(session, args).await,
        RevisionCommand::Rollback(args) => rollback(session, args).await,
    }
}

async fn set(session: &mut Session, args: &SetArgs) -> Result<u8, SandboxError> {
    let policy = crate::policy::checked(&args.file)?.policy;
    let name = session.name(args.name.as_ref())?;
    let update =
        UpdateSandboxPolicyRequest { name, policy: Some((&policy).into()), expected_version: 0 };
    update_policy(session, update, &args.wait).await
}

async fn update_policy(
    session: &mut Session,
    update: UpdateSandboxPolicyRequest,
    wait: &WaitArgs,
) -> Result<u8, SandboxError> {
    let name = update.name.clone();
    let answer = session.api.update_sandbox_policy(update).await;
    let failed = SandboxError::refused(format!("set the policy of `{name}`"));
    let version = answer.map_err(failed)?.into_inner().version;
    session.used(&name);
    let mut word = "pending";
    if wait.wait {
        let limit = Some(wait.timeout.unwrap_or(LIMIT));
        let what = format!("version {version} to be in force");
        word = within(limit, what, in_force(session, &name, version)).await?;
    }
    output::print(&format!("version {version}: {word}"))?;
    Ok(0)
}

/// Waits until a revision is in force.
async fn in_force(
    session: &mut Session,
    name: &str,
    version: u32,
) -> Result<&'static str, SandboxError> {
    loop {
        let revision = revision(session, name, version).await?.0;
        match status(&revision) {
            PolicyStatus::Loaded => return Ok("in force"),
            PolicyStatus::Superseded => return Ok("superseded by a newer one"),
            PolicyStatus::Failed => {
                return Err(SandboxError::Revision { version, why: revision.load_error });
            }
            PolicyStatus::Pending | PolicyStatus::Unspecified => tokio::time::sleep(LOOK).await,
        }
    }
}

/// A revision, 0 the newest, and the version in force.
async fn revision(
    session: &mut Session,
    name: &str,
    version: u32,
) -> Result<(SandboxPolicyRevision, u32), SandboxError> {
    let request = GetSandboxPolicyStatusRequest { name: name.to_owned(), version };
    let answer = session.api.get_sandbox_policy_status(request).await;
    let failed = SandboxError::refused(format!("get the policy of `{name}`"));
    let GetSandboxPolicyStatusResponse { revision, active_version } =
        answer.map_err(failed)?.into_inner();
    Ok((revision.ok_or(SandboxError::Incomplete("revision"))?, active_version))
}

fn status(revision: &SandboxPolicyRevision) -> PolicyStatus {
    PolicyStatus::try_from(revision.status).unwrap_or_default()
}

async fn get(session: &mut Session, args: &GetArgs) -> Result<u8, SandboxError> {
    let name = session.name(args.name.as_ref())?;
    let revision = revision(session, &name, args.version.unwrap_or(0)).await?.0;
    session.used(&name);
    let message = revision.policy.ok_or(SandboxError::Incomplete("policy"))?;
    let policy = Policy::try_from(&message)
        .map_err(|_invalid| SandboxError::Incomplete("policy that this program understands"))?;
    match args.output {
        PolicyFormat::Yaml => output::print(&neutral(&policy.to_yaml()))?,
        PolicyFormat::Json => output::print_json(&policy.document())?,
    }
    Ok(0)
}

/// A revision as people and programs see it.
#[derive(Serialize)]
struct RevisionView {
    version: u32,
    #[serde(skip)]
    name: String,
    status: &'static str,
    in_force: bool,
    created_at: String,
    loaded_at: String,
    hash: String,
    error: String,
}

impl Listed for RevisionView {
    const COLUMNS: &'static [&'static str] = &["VERSION", "STATUS", "CREATED", "LOADED", "WHY"];

    fn cells(&self) -> Vec<String> {
        let status = if self.in_force { "in force" } else { self.status };
        vec![
            self.name.clone(),
            status.to_owned(),
            self.created_at.clone(),
            self.loaded_at.clone(),
            self.error.clone(),
        ]
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl RevisionView {
    fn new(revision: SandboxPolicyRevision, active: u32) -> Self {
        Self {
            status: match status(&revision) {
                PolicyStatus::Pending => "pending",
                PolicyStatus::Loaded => "loaded",
                PolicyStatus::Failed => "failed",
                PolicyStatus::Superseded => "superseded",
                PolicyStatus::Unspecified => "unknown",
            },
            version: revision.version,
            name: revision.version.to_string(),
            in_force: revision.version == active,
            created_at: time(revision.created_at_ms),
            loaded_at: time(revision.loaded_at_ms),
            hash: revision.policy_hash,
            error: revision.load_error,
        }
    }
}

async fn history(session: &mut Session, args: &HistoryArgs) -> Result<u8, SandboxError> {
    let name = session.name(args.name.as_ref())?;
    let (_, active) = revision(session, &name, 0).await?;
    session.used(&name);
    let all = all(session, &name).await?;
    let views: Vec<_> = all.into_iter().map(|one| RevisionView::new(one, active)).collect();
    print_all(&views, args.output)?;
    Ok(0)
}

/// All revisions, newest first.
async fn all(
    session: &mut Session,
    name: &str,
) -> Result<Vec<SandboxPolicyRevision>, SandboxError> {
    let mut all = vec![];
    loop {
        let offset = u32::try_from(all.len()).unwrap_or(u32::MAX);
        let request = ListSandboxPoliciesRequest { name: name.to_owned(), limit: PAGE, offset };
        let answer = session.api.list_sandbox_policies(request).await;
        let failed = SandboxError::refused(format!("list the policies of `{name}`"));
        let page = answer.map_err(failed)?.into_inner().revisions;
        let last = page.len() < PAGE as usize;
        all.extend(page);
        if last || offset == u32::MAX {
            return Ok(all);
        }
    }
}

async fn rollback(session: &mut Session, args: &RollbackArgs) -> Result<u8, SandboxError> {
    let name = session.name(args.name.as_ref())?;
    let (newest, active) = revision(session, &name, 0).await?;
    let version = match args.version {
        Some(version) => version,
        None => all(session, &name)
            .await?
            .iter()
            .filter(|one| one.version < active && status(one) == PolicyStatus::Loaded)
            .map(|one| one.version)
            .max()
            .ok_or(SandboxError::NoEarlier)?,
    };
    let policy = revision(session, &name, version).await?.0.policy;
    // Nobody else's change that came in between is undone unseen.
    let update = UpdateSandboxPolicyRequest { name, policy, expected_version: newest.version };
    update_policy(session, update, &args.wait).await
}
