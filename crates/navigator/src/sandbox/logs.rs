//! `navigator sandbox logs`: what a sandbox logged, and what it logs from now on.

use std::io;

use jiff::Timestamp;
use navigator_proto::v1::sandbox_stream_event::Payload;
use navigator_proto::v1::{GetSandboxLogsRequest, SandboxLogLine, WatchSandboxRequest};
use serde_json::json;

use super::error::SandboxError;
use super::names;
use super::session::Session;
use super::view::time;
use crate::audit::moment;
use crate::output::{self, Format, line, neutral_json, say};

/// Lines that a gateway keeps at hand for each sandbox.
const AT_HAND: u32 = 2000;

/// Arguments of `navigator sandbox logs`.
#[derive(clap::Args, Debug)]
pub struct LogsArgs {
    /// Print what this sandbox logged [default: the one that was used last]
    #[arg(add = names::completer())]
    name: Option<String>,
    /// Go on with what is logged from now on, until interrupted
    #[arg(short = 'f', long)]
    follow: bool,
    /// Only what is since a time, such as 2026-01-31, or since a duration ago, such as 30m
    #[arg(long, value_name = "TIME|DURATION", value_parser = moment::since)]
    since: Option<Timestamp>,
    /// Only what is at least so important
    #[arg(long, value_name = "LEVEL", value_parser = ["error", "warn", "info", "debug", "trace"])]
    level: Option<String>,
    /// Only what comes from here; may be given several times
    #[arg(long, value_name = "SOURCE", value_parser = ["gateway", "sandbox"])]
    source: Vec<String>,
    /// Print the last N only
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    lines: Option<u32>,
    /// Print lines of text, or one JSON object a line
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "text")]
    output: Format,
}

/// Prints.
pub async fn run(session: &mut Session, args: &LogsArgs) -> Result<u8, SandboxError> {
    let sandbox = session.meant(args.name.as_ref()).await?;
    let printed = match args.follow {
        true => follow(session, args, sandbox.id).await?,
        false => past(session, args, sandbox.id).await?,
    };
    match printed {
        Ok(()) => Ok(0),
        Err(error) => Ok(output::ended(error)?),
    }
}

/// The inner result is that of printing.
type Printed = io::Result<()>;

async fn past(session: &mut Session, args: &LogsArgs, id: String) -> Result<Printed, SandboxError> {
    let request = GetSandboxLogsRequest {
        sandbox_id: id,
        lines: args.lines.unwrap_or(0),
        since_ms: args.since.map_or(0, Timestamp::as_millisecond),
        sources: args.source.clone(),
        min_level: level(args),
    };
    let answer = session.api.get_sandbox_logs(request).await;
    let logs = answer.map_err(SandboxError::refused("get the log"))?.into_inner().logs;
    Ok(logs.iter().try_for_each(|line| print(line, args.output)))
}

fn level(args: &LogsArgs) -> String {
    args.level.as_deref().unwrap_or_default().to_ascii_uppercase()
}

async fn follow(
    session: &mut Session,
    args: &LogsArgs,
    id: String,
) -> Result<Printed, SandboxError> {
    let request = WatchSandboxRequest {
        id,
        follow_logs: true,
        log_tail_lines: args.lines.unwrap_or(AT_HAND),
        log_since_ms: args.since.map_or(0, Timestamp::as_millisecond),
        log_sources: args.source.clone(),
        log_min_level: level(args),
        ..WatchSandboxRequest::default()
    };
    let failed = || SandboxError::refused("follow the log");
    let mut stream = session.api.watch_sandbox(request).await.map_err(failed())?.into_inner();
    while let Some(event) = stream.message().await.map_err(failed())? {
        match event.payload {
            Some(Payload::Log(line)) => {
                if let Err(error) = print(&line, args.output) {
                    return Ok(Err(error));
                }
            }
            Some(Payload::Warning(warning)) => {
                say(&format!("navigator: {}", line(&warning.message)));
            }
            Some(Payload::Sandbox(_) | Payload::Event(_)) | None => {}
        }
    }
    Ok(Ok(()))
}

fn print(logged: &SandboxLogLine, format: Format) -> Printed {
    output::try_print(&match format {
        Format::Text => text(logged),
        Format::Json => neutral_json(
            &json!({
                "time": time(logged.timestamp_ms),
                "timestamp_ms": logged.timestamp_ms,
                "level": logged.level,
                "source": logged.source,
                "target": logged.target,
                "message": logged.message,
                "fields": logged.fields,
            })
            .to_string(),
        ),
    })
}

/// One line of text, with nothing in it that a terminal would obey.
fn text(logged: &SandboxLogLine) -> String {
    let SandboxLogLine { level, source, target, message, .. } = logged;
    let mut text = format!("{}  {level:<5}  {source:<7}", time(logged.timestamp_ms));
    for part in [target, message] {
        if !part.is_empty() {
            text.push_str(&format!("  {part}"));
        }
    }
    for (name, value) in &logged.fields {
        text.push_str(&format!("  {name}={value}"));
    }
    line(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_a_line_whatever_a_sandbox_logs() {
        let logged = SandboxLogLine {
            timestamp_ms: 1_769_860_800_000,
            level: "INFO\x1b[2J".into(),
            source: "sandbox".into(),
            target: "agent\r".into(),
            message: "hi\n2026-01-31T12:00:00Z  ERROR  gateway  fake".into(),
            fields: [("k\u{9b}".to_owned(), "v\u{202e}".to_owned())].into(),
            ..SandboxLogLine::default()
        };
        insta::assert_snapshot!(
            text(&logged),
            @r"2026-01-31T12:00:00Z  INFO\u{1b}[2J  sandbox  agent\u{d}  hi\u{a}2026-01-31T12:00:00Z  ERROR  gateway  fake  k\u{9b}=v\u{202e}"
        );
    }
}
