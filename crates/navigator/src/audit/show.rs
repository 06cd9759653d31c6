//! `navigator audit show`: records as lines that a person can read.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use navigator_egress::{AuditDecision, AuditRecord};
use navigator_supervisor::audit::{Entry, Event, Filter, Line};

use super::follow::Following;
use super::{AuditError, FilterArgs, default_file, history, say_unread};
use crate::output::{self, Format, neutral, neutral_json};

/// How often a followed file is looked at.
const LOOK: std::time::Duration = std::time::Duration::from_millis(200);

/// Arguments of `navigator audit show`.
#[derive(clap::Args, Debug)]
pub struct ShowArgs {
    /// Read this audit file and the full ones before it [default: the one that `navigator run` writes]
    file: Option<PathBuf>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Show the last N only
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<usize>,
    /// Go on with what is recorded from now on, until interrupted
    #[arg(short = 'f', long)]
    follow: bool,
    /// Print lines of text, or the records as they stand in the file, one JSON object a line
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "text")]
    output: Format,
}

/// Lists records.
pub fn run(args: &ShowArgs) -> Result<u8, AuditError> {
    let filter = args.filter.filter();
    let mut history = history(args.file.as_deref())?;
    let (mut last, mut unread, mut seen) = (VecDeque::new(), 0, None);
    while let Some(entry) = filter.next(&mut history, &mut unread)? {
        seen = entry.line.seq.max(seen);
        let Some(lines) = args.lines else {
            if let Err(error) = print(&entry, args.output) {
                return Ok(output::ended(error)?);
            }
            continue;
        };
        last.push_back(entry);
        if last.len() > lines {
            last.pop_front();
        }
    }
    let printed = last.iter().try_for_each(|entry| print(entry, args.output));
    say_unread(unread);
    match printed {
        Err(error) => Ok(output::ended(error)?),
        Ok(()) if args.follow => follow(args, &filter, seen),
        Ok(()) => Ok(0),
    }
}

/// Prints what is added, until nobody reads it any more.
fn follow(args: &ShowArgs, filter: &Filter, seen: Option<u64>) -> Result<u8, AuditError> {
    let path = args.file.clone().unwrap_or_else(default_file);
    let mut following = Following::after(&path, seen)?;
    loop {
        let added = following.look()?;
        let mut wanted = added.iter().filter(|entry| filter.accepts(&entry.line.event));
        if let Err(error) = wanted.try_for_each(|entry| print(entry, args.output)) {
            return Ok(output::ended(error)?);
        }
        std::thread::sleep(LOOK);
    }
}

fn print(entry: &Entry, format: Format) -> io::Result<()> {
    let text = match format {
        Format::Text => text(&entry.line),
        Format::Json => neutral_json(&String::from_utf8_lossy(&entry.text)),
    };
    output::try_print(&text)
}

/// One line of text, with nothing in it that a terminal would obey.
fn text(line: &Line) -> String {
    let (time, sandbox) = (time(line.event.time()), line.event.sandbox());
    let name = sandbox.map_or("-", |(id, name)| if name.is_empty() { id } else { name });
    let (word, rest) = match &line.event {
        Event::Decision(record) => (decision(record.decision), about(record)),
        Event::Start(start) => ("start", format!("{} ({})", start.command, start.policy_hash)),
        Event::Policy(change) => match &change.refused {
            None => ("policy", format!("{} is in force", change.policy_hash)),
            Some(reason) => ("policy", format!("a change was refused: {reason}")),
        },
        Event::End(end) if end.lost > 0 => {
            ("end", format!("{}; {} records were lost", end.outcome, end.lost))
        }
        Event::End(end) => ("end", end.outcome.clone()),
        Event::Rotated(event) => ("full", format!("this file is now {}", event.to)),
        Event::Continued(event) => ("file", format!("goes on from {}", event.from)),
        Event::Other(event) => ("?", format!("`{}`, unknown to this version", event.event)),
    };
    neutral(&format!("{time}  {word:<10}  {name}  {rest}")).replace('\n', " ")
}

fn about(record: &AuditRecord) -> String {
    let program = record.program.as_ref().map_or("unknown program", |known| &known.executable);
    let mut text = format!("{program} → {}", target(record));
    if let Some(request) = &record.request {
        text.push_str(&format!("  {} {}", request.method, request.path));
    }
    if let Some(reason) = &record.reason {
        text.push_str(&format!("  {reason}: {}", record.detail));
    } else if let (Some(policy), true) = (&record.policy, record.detail.is_empty()) {
        text.push_str(&format!("  by policy `{policy}`"));
    } else {
        text.push_str(&format!("  {}", record.detail));
    }
    if !record.id.is_nil() {
        text.push_str(&format!("  #{}", short_id(record)));
    }
    text
}

/// Host and port, an IPv6 address in brackets.
pub fn target(record: &AuditRecord) -> String {
    match record.host.contains(':') {
        true => format!("[{}]:{}", record.host, record.port),
        false => format!("{}:{}", record.host, record.port),
    }
}

/// The end of the identifier, which is drawn by lot; its beginning is the time.
fn short_id(record: &AuditRecord) -> String {
    let id = record.id.simple().to_string();
    id[id.len() - 12..].to_owned()
}

/// The word for a decision, as in the file.
pub fn decision(decision: AuditDecision) -> &'static str {
    match decision {
        AuditDecision::Allow => "allow",
        AuditDecision::Deny => "deny",
        AuditDecision::WouldDeny => "would-deny",
        AuditDecision::Revoke => "revoke",
    }
}

fn time(time: Option<Timestamp>) -> String {
    let text = time.map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    text.unwrap_or_else(|| "unknown time        ".to_owned())
}
