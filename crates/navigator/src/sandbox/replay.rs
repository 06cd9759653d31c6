//! `navigator sandbox replay`: recordings of terminal sessions, listed, shown again or saved.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use navigator_proto::v1::exec_sandbox_event::Payload;
use navigator_proto::v1::{ListRecordingsRequest, ReadRecordingRequest, Recording};
use serde::Serialize;

use super::error::SandboxError;
use super::listing::{Listed, Listing, print_all};
use super::names;
use super::session::Session;
use crate::output::{line, say};

/// Longest line of a recording: one piece of output, with every byte of it escaped.
const LINE: usize = 1024 * 1024;
/// Longest pause that is waited for, in seconds: a recording can claim any.
const PAUSE: f64 = 24.0 * 3600.0;

/// Arguments of `navigator sandbox replay`.
#[derive(clap::Args, Debug)]
pub struct ReplayArgs {
    /// Look at this sandbox [default: the one that was used last]
    #[arg(add = names::completer())]
    name: Option<String>,
    /// Replay this recording [default: the newest]
    recording: Option<String>,
    /// List the recordings
    #[arg(long, short = 'l', conflicts_with_all = ["recording", "file"])]
    list: bool,
    /// Replay so many times as fast
    #[arg(long, value_name = "X", default_value = "1", value_parser = factor)]
    speed: f64,
    /// Wait at most so many seconds where nothing happened
    #[arg(long, value_name = "S", value_parser = factor)]
    idle_limit: Option<f64>,
    /// Write the asciicast file here instead of replaying it
    #[arg(long = "save", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Choose how to print the list
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "table")]
    output: Listing,
}

fn factor(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("write a number above 0, such as 2 or 0.5".to_owned()),
    }
}

/// A recording as it is listed.
#[derive(Serialize)]
struct View {
    name: String,
    session: String,
    started_at_ms: i64,
    bytes: u64,
}

impl From<Recording> for View {
    fn from(recording: Recording) -> Self {
        let Recording { name, session, started_at_ms, bytes } = recording;
        Self { name, session, started_at_ms, bytes }
    }
}

impl Listed for View {
    const COLUMNS: &'static [&'static str] = &["NAME", "SESSION", "BYTES"];

    fn cells(&self) -> Vec<String> {
        vec![line(&self.name), line(&self.session), self.bytes.to_string()]
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// Lists, replays or saves.
pub async fn run(session: &mut Session, args: &ReplayArgs) -> Result<u8, SandboxError> {
    let sandbox = session.meant(args.name.as_ref()).await?;
    let request = ListRecordingsRequest { sandbox_id: sandbox.id.clone() };
    let answer = session.api.list_recordings(request).await;
    let answer = answer.map_err(SandboxError::refused("list recordings"))?.into_inner();
    let all: Vec<_> = answer.recordings.into_iter().map(View::from).collect();
    if args.list {
        print_all(&all, args.output)?;
        return Ok(0);
    }
    let newest = all.last().map(|view| view.name.clone());
    let name = args.recording.clone().or(newest).ok_or(SandboxError::NoRecording)?;
    let request = ReadRecordingRequest { sandbox_id: sandbox.id, name };
    let sink = match &args.file {
        Some(path) => Sink::save(path)?,
        None => Sink::Show(Show { args_speed: args.speed, limit: args.idle_limit, at: 0.0 }),
    };
    read(session, request, sink).await
}

/// Where a recording goes.
enum Sink {
    Show(Show),
    Save(std::fs::File, PathBuf),
}

impl Sink {
    /// A new file: what is there already is somebody's.
    fn save(path: &Path) -> Result<Self, SandboxError> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = file.map_err(|source| unsaved(path, source))?;
        Ok(Self::Save(file, path.to_owned()))
    }
}

fn unsaved(path: &Path, source: std::io::Error) -> SandboxError {
    SandboxError::File { path: path.display().to_string(), source }
}

async fn read(
    session: &mut Session,
    request: ReadRecordingRequest,
    mut sink: Sink,
) -> Result<u8, SandboxError> {
    let refused = || SandboxError::refused("read the recording");
    let mut events = session.api.read_recording(request).await.map_err(refused())?.into_inner();
    let mut rest: Vec<u8> = vec![];
    while let Some(event) = events.message().await.map_err(refused())? {
        match (event.payload, &mut sink) {
            (Some(Payload::Stdout(part)), Sink::Save(file, path)) => {
                file.write_all(&part.data).map_err(|source| unsaved(path, source))?;
            }
            (Some(Payload::Stdout(part)), Sink::Show(show)) => {
                rest.extend(part.data);
                while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = rest.drain(..=end).collect();
                    show.line(&line).await?;
                }
                if rest.len() > LINE {
                    return Err(SandboxError::Incomplete("recording"));
                }
            }
            (Some(Payload::Stderr(words)), _) => say(&line(&String::from_utf8_lossy(&words.data))),
            (Some(Payload::Exit(exit)), _) => {
                return Ok(u8::try_from(exit.exit_code & 0xff).unwrap_or(u8::MAX));
            }
            (None, _) => {}
        }
    }
    Err(SandboxError::Incomplete("end of the recording"))
}

/// Shows a recording in its own time.
struct Show {
    args_speed: f64,
    limit: Option<f64>,
    at: f64,
}

impl Show {
    /// The header has no event, and a line that was cut short by a crash neither.
    async fn line(&mut self, line: &[u8]) -> Result<(), SandboxError> {
        let Ok((time, kind, text)) = serde_json::from_slice::<(f64, String, String)>(line) else {
            return Ok(());
        };
        let pause = (time - self.at).clamp(0.0, self.limit.unwrap_or(PAUSE).min(PAUSE));
        self.at = time;
        if kind != "o" {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs_f64((pause / self.args_speed).min(PAUSE))).await;
        navigator_terminal::write_all(std::io::stdout(), text.as_bytes())
            .map_err(|source| SandboxError::System { action: "show the recording", source })
    }
}
