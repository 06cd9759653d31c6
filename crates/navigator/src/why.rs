//! `navigator why`: explains a decision, a recorded one or one that a policy would make.

use std::path::PathBuf;

use navigator_egress::{Adapter, AuditDecision, AuditRecord};
use navigator_supervisor::audit::{Event, Filter, History};

use crate::audit::{AuditError, default_file, show};
use crate::output::{self, Format, neutral};
use crate::policy::{self, PolicyError};

/// Examples of the help.
pub const EXAMPLES: &str = "\
Examples:
  navigator why --last-denied
  navigator why --last-denied --sandbox agent
  navigator why --id 8def01234567
  navigator why policy.yaml --binary /usr/bin/curl --host example.com";

/// Characters of an identifier that are enough to look for it.
const SHORTEST_ID: usize = 6;

/// Arguments of `navigator why`.
#[derive(clap::Args, Debug)]
#[command(group = clap::ArgGroup::new("question").required(true).args(["policy", "last_denied", "id"]))]
pub struct WhyArgs {
    /// Ask this policy what it would decide; `-` is standard input
    #[arg(requires = "binary", requires = "host")]
    policy: Option<PathBuf>,
    /// Explain the last refusal that was recorded
    #[arg(long)]
    last_denied: bool,
    /// Explain the recorded decision with this identifier, or one that ends in it
    #[arg(long, value_parser = id)]
    id: Option<String>,
    /// Look only at the sandbox with this name or identifier
    #[arg(long, value_name = "NAME|ID", conflicts_with = "policy")]
    sandbox: Option<String>,
    /// Look in this audit file [default: the one that `navigator run` writes]
    #[arg(long, value_name = "FILE", conflicts_with = "policy")]
    audit: Option<PathBuf>,
    /// Ask for this program
    #[arg(long, value_name = "PATH", requires = "policy")]
    binary: Option<String>,
    /// Ask for this host
    #[arg(long, requires = "policy")]
    host: Option<String>,
    /// Ask for this port [default: 443]
    #[arg(long, requires = "policy", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Ask for a request with this method
    #[arg(long, requires = "policy", requires = "path")]
    method: Option<String>,
    /// Ask for a request with this path
    #[arg(long, requires = "policy", requires = "method")]
    path: Option<String>,
    /// Choose how to print
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "text")]
    output: Format,
}

/// A question without an answer.
#[derive(Debug, thiserror::Error)]
pub enum WhyError {
    /// The policy or what was asked about it.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The audit file.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// No record is the one that was asked for.
    #[error("failed to find {what} in {file}")]
    NotFound {
        /// What was looked for.
        what: String,
        /// Where.
        file: PathBuf,
    },
    /// Several records are.
    #[error("failed to choose: {count} decisions end in `{id}`; write more of the identifier")]
    Ambiguous {
        /// What was given.
        id: String,
        /// How many.
        count: usize,
    },
}

impl WhyError {
    /// 1 when there is no answer, 2 when the question is wrong.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotFound { .. } => 1,
            Self::Policy(_) | Self::Audit(_) | Self::Ambiguous { .. } => 2,
        }
    }
}

/// Answers and returns the exit code.
pub fn run(args: &WhyArgs) -> Result<u8, WhyError> {
    if let (Some(file), Some(binary), Some(host)) = (&args.policy, &args.binary, &args.host) {
        return Ok(policy::why(&policy::WhyArgs {
            file: file.clone(),
            binary: binary.clone(),
            host: host.clone(),
            port: args.port.unwrap_or(443),
            method: args.method.clone(),
            path: args.path.clone(),
            output: args.output,
        })?);
    }
    let record = find(args)?;
    match args.output {
        Format::Json => output::print_json(&record).map_err(AuditError::from)?,
        Format::Text => output::print(&neutral(&text(&record))).map_err(AuditError::from)?,
    }
    Ok(0)
}

fn id(text: &str) -> Result<String, String> {
    let plain: String = text.trim_start_matches('#').replace('-', "").to_ascii_lowercase();
    if plain.len() >= SHORTEST_ID && plain.chars().all(|c| c.is_ascii_hexdigit()) {
        return Ok(plain);
    }
    Err(format!(
        "write the identifier that `navigator audit show` prints, at least {SHORTEST_ID} digits"
    ))
}

/// The last record that is meant; refusals come again and again, identifiers only once.
fn find(args: &WhyArgs) -> Result<Box<AuditRecord>, WhyError> {
    let file = args.audit.clone().unwrap_or_else(default_file);
    let decisions = match &args.id {
        Some(_) => vec![],
        None => vec![AuditDecision::Deny, AuditDecision::Revoke],
    };
    let filter = Filter { sandbox: args.sandbox.clone(), decisions, ..Filter::default() };
    let mut history = History::of(&file).map_err(AuditError::from)?;
    let (mut found, mut count, mut unread) = (None, 0, 0);
    while let Some(entry) = filter.next(&mut history, &mut unread).map_err(AuditError::from)? {
        let Event::Decision(record) = entry.line.event else { continue };
        let meant = |id: &String| record.id.simple().to_string().ends_with(id.as_str());
        if args.id.as_ref().is_none_or(meant) {
            (found, count) = (Some(record), count + 1);
        }
    }
    match (found, &args.id) {
        (Some(_), Some(id)) if count > 1 => Err(WhyError::Ambiguous { id: id.clone(), count }),
        (Some(record), _) => Ok(record),
        (None, Some(id)) => Err(WhyError::NotFound { what: format!("the decision `{id}`"), file }),
        (None, None) => Err(WhyError::NotFound { what: "a refusal".into(), file }),
    }
}

fn text(record: &AuditRecord) -> String {
    let verdict = match record.decision {
        AuditDecision::Allow => "allowed",
        AuditDecision::Deny => "denied",
        AuditDecision::WouldDeny => {
            "passed, and would be denied if the endpoint enforced its rules"
        }
        AuditDecision::Revoke => "closed, because the policy changed",
    };
    let program = record.program.as_ref().map_or("unknown program", |known| &known.executable);
    let mut text = format!("{verdict}: {program} → {}\n", show::target(record));
    let mut line = |name: &str, value: String| text.push_str(&format!("  {name:<9} {value}\n"));
    if !record.detail.is_empty() {
        line("why", record.detail.clone());
    }
    if let Some(request) = &record.request {
        line("request", format!("{} {}", request.method, request.path));
    }
    line(
        "when",
        format!("{}, in sandbox {} ({})", record.time, record.sandbox_name, record.sandbox_id),
    );
    line("asked by", asked_by(record.adapter).to_owned());
    if let Some(program) = &record.program {
        line("program", format!("process {}, SHA-256 {}", program.pid, program.sha256));
        if !program.ancestors.is_empty() {
            line("under", program.ancestors.join(" ← "));
        }
        if !program.scripts.is_empty() {
            line("scripts", program.scripts.join(", "));
        }
    }
    let nearest = if record.decision == AuditDecision::Allow { "by" } else { "nearest" };
    match (&record.policy, &record.rule) {
        (Some(policy), Some(rule)) => line(nearest, format!("policy `{policy}`, rule {rule}")),
        (Some(policy), None) => line(nearest, format!("policy `{policy}`")),
        (None, Some(rule)) => line(nearest, format!("rule {rule}")),
        (None, None) => {}
    }
    if !record.id.is_nil() {
        line("id", record.id.to_string());
    }
    change(record, &mut text);
    text
}

fn change(record: &AuditRecord, text: &mut String) {
    if let Some(suggestion) = &record.suggestion {
        text.push_str("to allow it, add to the policy:\n");
        for line in suggestion.lines() {
            text.push_str(&format!("  {line}\n"));
        }
    }
    if let Some(how) = &record.how {
        text.push_str(&format!("or run: {how}\n"));
    }
}

fn asked_by(adapter: Adapter) -> &'static str {
    match adapter {
        Adapter::Connect => "the proxy, as CONNECT",
        Adapter::HttpProxy => "the proxy, as a request with a whole URL",
        Adapter::Socks => "the proxy, as SOCKS5",
        Adapter::Transparent => "a direct connection",
        Adapter::Dns => "a DNS question",
    }
}
