//! `navigator sandbox events`: what happened to a sandbox, and what happens from now on.

use std::io;

use navigator_proto::v1::sandbox_stream_event::Payload;
use navigator_proto::v1::{PlatformEvent, WatchSandboxRequest};
use serde_json::json;

use super::error::SandboxError;
use super::names;
use super::session::Session;
use super::view::time;
use crate::output::{self, Format, line, neutral_json, say};

/// Events of the past that are shown at most.
const EVENTS: u32 = 200;

/// Arguments of `navigator sandbox events`.
#[derive(clap::Args, Debug)]
pub struct EventsArgs {
    /// Print what happened to this sandbox [default: the one that was used last]
    #[arg(add = names::completer())]
    name: Option<String>,
    /// Go on with what happens from now on, until interrupted
    #[arg(short = 'f', long)]
    follow: bool,
    /// Print lines of text, or one JSON object a line
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "text")]
    output: Format,
}

/// Prints.
pub async fn run(session: &mut Session, args: &EventsArgs) -> Result<u8, SandboxError> {
    let sandbox = session.meant(args.name.as_ref()).await?;
    let request = WatchSandboxRequest {
        id: sandbox.id,
        follow_events: true,
        event_tail: EVENTS,
        stop_after_tail: !args.follow,
        ..WatchSandboxRequest::default()
    };
    let failed = || SandboxError::refused("get the events");
    let mut stream = session.api.watch_sandbox(request).await.map_err(failed())?.into_inner();
    while let Some(event) = stream.message().await.map_err(failed())? {
        match event.payload {
            Some(Payload::Event(event)) => {
                if let Err(error) = print(&event, args.output) {
                    return Ok(output::ended(error)?);
                }
            }
            Some(Payload::Warning(warning)) => {
                say(&format!("navigator: {}", line(&warning.message)));
            }
            Some(Payload::Sandbox(_) | Payload::Log(_)) | None => {}
        }
    }
    Ok(0)
}

fn print(event: &PlatformEvent, format: Format) -> io::Result<()> {
    let PlatformEvent { source, r#type, reason, message, .. } = event;
    output::try_print(&match format {
        Format::Text => line(&format!(
            "{}  {type:<7}  {source:<7}  {reason}: {message}",
            time(event.timestamp_ms)
        )),
        Format::Json => neutral_json(
            &json!({
                "time": time(event.timestamp_ms),
                "timestamp_ms": event.timestamp_ms,
                "type": r#type,
                "source": source,
                "reason": reason,
                "message": message,
                "metadata": event.metadata,
            })
            .to_string(),
        ),
    })
}
