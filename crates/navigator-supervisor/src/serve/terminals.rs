//! The terminal sessions of a sandbox: processes whose terminal is held here, whoever looks at it.

mod recording;
mod screen;
mod state;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use navigator_isolation::TerminalSize;
use navigator_proto::session::v1::{StartFailure, from_process, terminals_request};
use navigator_proto::v1 as api;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Environment;
use super::exec::{code, ended};
use super::output;
use super::processes::Processes;
use super::start::{self, Running, size_of};
use recording::Recorder;
pub(super) use state::{Client, Next, Session};

/// Sessions at once: each has a terminal and the memory of a screen.
const SESSIONS: usize = 32;
/// Ended sessions that are kept for whoever comes late.
const ENDED: usize = 16;
/// How long the end of a session is kept when nobody was there.
const KEPT: Duration = Duration::from_secs(600);
/// Longest name of a session.
const NAME_BYTES: usize = 63;
/// Exit code of what was refused.
const REFUSED: i32 = 125;

/// The terminal sessions of a sandbox.
pub(crate) struct Terminals {
    all: Mutex<BTreeMap<String, Entry>>,
    recordings: PathBuf,
    tasks: TaskTracker,
    abandon: CancellationToken,
}

/// A session, and when it was first found to have ended with nobody there.
struct Entry {
    session: Arc<Session>,
    ended: Arc<std::sync::OnceLock<tokio::time::Instant>>,
}

impl Terminals {
    pub(super) fn new(recordings: PathBuf, tasks: TaskTracker, abandon: CancellationToken) -> Self {
        Self { all: Mutex::default(), recordings, tasks, abandon }
    }

    /// Attaches to a session, and starts it first if that is what the request means.
    pub(super) async fn enter(
        &self,
        processes: &Arc<Processes>,
        environment: &Environment,
        mut start: api::ExecStart,
    ) -> Result<Client, StartFailure> {
        let wanted = start.session.take().unwrap_or_default();
        let size = start.terminal.unwrap_or_default();
        let size = size_of(size.rows, size.columns);
        if !is_name(&wanted.name) {
            return Err(refused("the name of a session has 1 to 63 of a-z, 0-9 and -".into()));
        }
        let mut all = self.all.lock().await;
        forget(&mut all);
        let found = all.get(&wanted.name).map(|entry| Arc::clone(&entry.session));
        let session = match (wanted.entry(), found) {
            (api::TerminalEntry::Start, Some(session)) if session.exit_code().is_none() => {
                return Err(refused(format!("a session `{}` runs already", wanted.name)));
            }
            (api::TerminalEntry::Unspecified | api::TerminalEntry::Attach, Some(session)) => {
                session
            }
            (api::TerminalEntry::Attach, None) => {
                return Err(refused(format!("no session `{}` runs", wanted.name)));
            }
            (api::TerminalEntry::Unspecified | api::TerminalEntry::Start, _) => {
                let entry = self.start(&all, processes, environment, start, &wanted, size).await?;
                let session = Arc::clone(&entry.session);
                all.insert(wanted.name, entry);
                session
            }
        };
        session.attach(size).map_err(refused)
    }

    async fn start(
        &self,
        all: &BTreeMap<String, Entry>,
        processes: &Arc<Processes>,
        environment: &Environment,
        mut start: api::ExecStart,
        wanted: &api::TerminalSession,
        size: TerminalSize,
    ) -> Result<Entry, StartFailure> {
        let run = all.values().filter(|entry| entry.session.exit_code().is_none()).count();
        if run >= SESSIONS {
            return Err(refused(format!("{SESSIONS} terminal sessions run already")));
        }
        let bounded = screen::bounded(size);
        start.terminal =
            Some(api::TerminalSize { rows: bounded.rows.into(), columns: bounded.columns.into() });
        let command = start.command.clone();
        let recorder = wanted
            .record
            .then(|| Recorder::begin(&self.recordings, &wanted.name, bounded, wanted.record_input))
            .transpose()
            .map_err(|error| refused(format!("failed to record the session: {error}")))?;
        let running = start::start(processes, environment, start).await?;
        let Some(terminal) = running.terminal.clone() else {
            return Err(refused("a session has a terminal".into()));
        };
        let id = running.process.id;
        let name = wanted.name.clone();
        let session = Arc::new(Session::new(name, id, terminal, command, bounded, recorder));
        let ended = Arc::default();
        let entry = Entry { session: Arc::clone(&session), ended: Arc::clone(&ended) };
        let (processes, abandon) = (Arc::clone(processes), self.abandon.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = follow(running, &session) => {}
                () = abandon.cancelled() => processes.kill(id).await,
            }
            // It is set here only.
            let _first = ended.set(tokio::time::Instant::now());
        });
        Ok(entry)
    }

    /// Answers a request about sessions or recordings.
    pub(super) async fn answer(
        &self,
        processes: &Processes,
        request: terminals_request::Request,
    ) -> from_process::Message {
        match request {
            terminals_request::Request::List(_) => {
                let mut all = self.all.lock().await;
                forget(&mut all);
                let terminals = all.values().map(|entry| entry.session.describe()).collect();
                from_process::Message::Terminals(api::ListTerminalsResponse { terminals })
            }
            terminals_request::Request::End(end) => {
                let mut all = self.all.lock().await;
                let found = all.remove(&end.name).map(|entry| entry.session);
                let running = found.filter(|session| session.exit_code().is_none());
                if let Some(session) = &running {
                    processes.kill(session.process).await;
                }
                let ended = running.is_some();
                from_process::Message::TerminalEnded(api::EndTerminalResponse { ended })
            }
            terminals_request::Request::Recordings(_) => match recording::list(&self.recordings) {
                Ok(recordings) => {
                    from_process::Message::Recordings(api::ListRecordingsResponse { recordings })
                }
                Err(error) => failure(format!("failed to list recordings: {error}")),
            },
            // It has an answer of many parts.
            terminals_request::Request::Read(_) => failure("failed to read a recording".into()),
        }
    }

    /// Opens a recording.
    pub(super) fn recording(&self, name: &str) -> Result<std::fs::File, StartFailure> {
        recording::open(&self.recordings, name)
            .map_err(|error| refused(format!("failed to open the recording: {error}")))
    }
}

/// Shows what the program prints until it has ended.
async fn follow(running: Running, session: &Session) {
    let Running { mut process, stdin, stdout, .. } = running;
    let exited = CancellationToken::new();
    let end = ended(&mut process.events, &exited);
    let print = output::drain(stdout, &exited, |bytes| session.print(&bytes));
    let (status, ()) = tokio::join!(end, print);
    drop(stdin);
    session.end(status.map_or(128 + 9, code));
}

/// Forgets sessions whose end somebody has seen, or nobody came for.
fn forget(all: &mut BTreeMap<String, Entry>) {
    all.retain(|_, entry| {
        let kept = entry.ended.get().is_none_or(|ended| ended.elapsed() < KEPT);
        kept && !entry.session.is_over()
    });
    while all.values().filter(|entry| entry.ended.get().is_some()).count() > ENDED {
        let oldest = all.iter().filter(|(_, entry)| entry.ended.get().is_some());
        let oldest = oldest.min_by_key(|(_, entry)| entry.ended.get().copied());
        let Some(name) = oldest.map(|(name, _)| name.clone()) else { return };
        all.remove(&name);
    }
}

/// Whether a text can name a session: nothing that a terminal or a file system would understand otherwise.
fn is_name(text: &str) -> bool {
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = bytes.first().is_some_and(plain) && bytes.last().is_some_and(plain);
    ends && bytes.len() <= NAME_BYTES && bytes.iter().all(|byte| plain(byte) || *byte == b'-')
}

fn refused(message: String) -> StartFailure {
    StartFailure { exit_code: REFUSED, message }
}

fn failure(message: String) -> from_process::Message {
    from_process::Message::Failure(refused(message))
}
