//! What a terminal session and its clients share: the screen, who is owed what, the recording, the end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use navigator_isolation::TerminalSize;
use navigator_proto::v1 as api;
use tokio::sync::Notify;

use super::recording::Recorder;
use super::screen::{Screen, bounded};
use crate::serve::start::Watched;
use crate::terminal;

/// Bytes that one client may be behind; then it gets the screen in place of them.
const BEHIND: usize = 1024 * 1024;
/// Clients at once: as many as may look over one shoulder.
const CLIENTS: usize = 32;

/// A terminal session.
pub(in crate::serve) struct Session {
    pub(in crate::serve) name: String,
    pub(in crate::serve) process: u64,
    pub(in crate::serve) terminal: Watched,
    pub(super) command: Vec<String>,
    pub(super) started: jiff::Timestamp,
    state: Mutex<State>,
}

struct State {
    screen: Screen,
    size: TerminalSize,
    clients: HashMap<u64, Owed>,
    next: u64,
    recorder: Option<Recorder>,
    exit_code: Option<i32>,
    /// Somebody was told the exit code.
    seen: bool,
}

/// What one client has not been sent yet.
struct Owed {
    bytes: Vec<u8>,
    missed: bool,
    size: TerminalSize,
    more: Arc<Notify>,
}

/// What there is for a client.
pub(in crate::serve) enum Next {
    Bytes(Vec<u8>),
    Exit(i32),
    Nothing,
}

/// A client that is attached; it is no more when this is dropped.
pub(in crate::serve) struct Client {
    pub(in crate::serve) session: Arc<Session>,
    number: u64,
    more: Arc<Notify>,
}

impl Session {
    pub(super) fn new(
        name: String,
        process: u64,
        terminal: Watched,
        command: Vec<String>,
        size: TerminalSize,
        recorder: Option<Recorder>,
    ) -> Self {
        let state = State {
            screen: Screen::new(size),
            size,
            clients: HashMap::new(),
            next: 0,
            recorder,
            exit_code: None,
            seen: false,
        };
        let started = jiff::Timestamp::now();
        Self { name, process, terminal, command, started, state: Mutex::new(state) }
    }

    /// Takes in what the program printed, and owes it to everybody who is attached.
    pub(super) fn print(&self, bytes: &[u8]) {
        let mut state = self.lock();
        state.screen.print(bytes);
        state.record(|recorder| recorder.printed(bytes));
        for owed in state.clients.values_mut() {
            if owed.missed || owed.bytes.len() + bytes.len() > BEHIND {
                owed.missed = true;
                owed.bytes = vec![];
            } else {
                owed.bytes.extend_from_slice(bytes);
            }
            owed.more.notify_one();
        }
    }

    /// Notes the end.
    pub(super) fn end(&self, exit_code: i32) {
        let mut state = self.lock();
        state.exit_code = Some(exit_code);
        state.recorder = None;
        state.clients.values().for_each(|owed| owed.more.notify_one());
    }

    pub(super) fn exit_code(&self) -> Option<i32> {
        self.lock().exit_code
    }

    /// Whether it has ended and somebody knows.
    pub(super) fn is_over(&self) -> bool {
        let state = self.lock();
        state.exit_code.is_some() && state.seen
    }

    /// Attaches a client, which gets the screen first. The first one gives the size.
    pub(super) fn attach(self: &Arc<Self>, size: TerminalSize) -> Result<Client, String> {
        let mut state = self.lock();
        if state.clients.len() >= CLIENTS {
            return Err(format!("{CLIENTS} clients are attached to `{}` already", self.name));
        }
        if state.clients.is_empty() && state.exit_code.is_none() {
            self.resize(&mut state, size);
        }
        let number = state.next;
        state.next += 1;
        let more = Arc::new(Notify::new());
        more.notify_one();
        let bytes = state.screen.whole();
        let owed = Owed { bytes, missed: false, size, more: Arc::clone(&more) };
        state.clients.insert(number, owed);
        drop(state);
        Ok(Client { session: Arc::clone(self), number, more })
    }

    fn resize(&self, state: &mut State, size: TerminalSize) {
        let size = bounded(size);
        if size == state.size {
            return;
        }
        state.size = size;
        state.screen.resize(size);
        state.record(|recorder| recorder.resized(size));
        if let Err(error) = terminal::resize(self.terminal.get_ref(), size) {
            tracing::debug!(%error, "a terminal that is gone has no size");
        }
    }

    pub(super) fn describe(&self) -> api::TerminalState {
        let state = self.lock();
        api::TerminalState {
            name: self.name.clone(),
            command: self.command.clone(),
            started_at_ms: self.started.as_millisecond(),
            clients: u32::try_from(state.clients.len()).unwrap_or(u32::MAX),
            size: Some(api::TerminalSize {
                rows: state.size.rows.into(),
                columns: state.size.columns.into(),
            }),
            title: state.screen.title().to_owned(),
            exit_code: state.exit_code,
            recorded: state.recorder.is_some(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves at worst a screen that the next redraw mends.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Records; a recording that cannot go on is closed, and the session goes on.
    fn record(&mut self, write: impl FnOnce(&mut Recorder) -> std::io::Result<()>) {
        if let Some(Err(error)) = self.recorder.as_mut().map(write) {
            tracing::warn!(%error, "a recording of a terminal session ends early");
            self.recorder = None;
        }
    }
}

impl Client {
    /// Waits until there may be something for it.
    pub(in crate::serve) async fn wait(&self) {
        self.more.notified().await;
    }

    /// What there is for it.
    pub(in crate::serve) fn next(&self) -> Next {
        let mut state = self.session.lock();
        let State { screen, clients, exit_code, seen, .. } = &mut *state;
        let Some(owed) = clients.get_mut(&self.number) else { return Next::Nothing };
        if std::mem::take(&mut owed.missed) {
            return Next::Bytes(screen.redraw());
        }
        if !owed.bytes.is_empty() {
            return Next::Bytes(std::mem::take(&mut owed.bytes));
        }
        *seen |= exit_code.is_some();
        exit_code.map_or(Next::Nothing, Next::Exit)
    }

    /// Its window has another size; it counts at once for who is alone, and otherwise when it types.
    pub(in crate::serve) fn resized(&self, size: TerminalSize) {
        let mut state = self.session.lock();
        if let Some(owed) = state.clients.get_mut(&self.number) {
            owed.size = size;
        }
        if state.clients.len() == 1 {
            self.session.resize(&mut state, size);
        }
    }

    /// It types: the terminal has its size now.
    pub(in crate::serve) fn types(&self, bytes: &[u8]) {
        let mut state = self.session.lock();
        if let Some(size) = state.clients.get(&self.number).map(|owed| owed.size) {
            self.session.resize(&mut state, size);
        }
        state.record(|recorder| recorder.typed(bytes));
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.session.lock().clients.remove(&self.number);
    }
}
