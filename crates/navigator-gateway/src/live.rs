//! What is known of a sandbox only while the gateway runs: its supervisor's session, its log, who watches.

pub(crate) mod log;
mod session;
mod watchers;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::upgrade::OnUpgrade;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::awaited::Awaited;
use crate::execs::Process;
use crate::records::{PlatformEvent, Sandbox};
pub(crate) use log::{Level, Line, Log, Source};
pub(crate) use session::{Attached, Attachment, HostKey};
pub(crate) use watchers::Watchers;

/// Processes that clients may have started in one sandbox and still follow.
const EXECS: usize = 256;
/// Ways into one sandbox that clients may have open: editors and transfers take a handful each, forwarded ports one for
/// each connection.
const TUNNELS: usize = 256;
/// Clients that may watch one sandbox.
const WATCHERS: usize = 128;

/// Something that a watcher may want to know.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// The sandbox's record has changed; `None` when it is gone.
    Sandbox(Option<Arc<Sandbox>>),
    /// A line was logged.
    Log(Arc<Line>),
    /// Something happened.
    Event(Arc<PlatformEvent>),
}

/// One sandbox's.
pub(crate) struct Live {
    /// Its id.
    pub(crate) id: Uuid,
    /// Held while its record and its supervisor are brought together.
    pub(crate) lifecycle: tokio::sync::Mutex<()>,
    /// Its log.
    pub(crate) log: Log,
    /// Its supervisor, while connected.
    pub(crate) session: Attachment,
    /// Who watches.
    pub(crate) watchers: Watchers,
    /// Processes whose stream is awaited.
    pub(crate) waiting: Awaited<Process>,
    /// Relays that are awaited.
    pub(crate) relays: Awaited<OnUpgrade>,
    /// Room for ways into it.
    pub(crate) tunnels: Arc<Semaphore>,
    /// Room for processes.
    pub(crate) execs: Arc<Semaphore>,
    /// Room for watchers.
    pub(crate) places: Arc<Semaphore>,
}

impl Live {
    fn new(id: Uuid, log_file: PathBuf) -> Self {
        Self {
            id,
            lifecycle: tokio::sync::Mutex::default(),
            log: Log::new(log_file),
            session: Attachment::default(),
            watchers: Watchers::default(),
            waiting: Awaited::default(),
            relays: Awaited::default(),
            tunnels: Arc::new(Semaphore::new(TUNNELS)),
            execs: Arc::new(Semaphore::new(EXECS)),
            places: Arc::new(Semaphore::new(WATCHERS)),
        }
    }

    /// Logs lines and shows them to who watches.
    pub(crate) async fn log(&self, lines: Vec<Line>) {
        let lines: Vec<_> = lines.into_iter().map(Arc::new).collect();
        for line in &lines {
            self.watchers.tell(|| Change::Log(Arc::clone(line)));
        }
        self.log.append(lines).await;
    }
}

/// All sandboxes that somebody asked about since the gateway started.
#[derive(Default)]
pub(crate) struct Hub(Mutex<HashMap<Uuid, Arc<Live>>>);

impl Hub {
    /// A sandbox's live part.
    pub(crate) fn live(&self, id: Uuid, log_file: impl FnOnce() -> PathBuf) -> Arc<Live> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(id).or_insert_with(|| Arc::new(Live::new(id, log_file()))))
    }

    /// A sandbox's live part, if anybody asked about it before.
    pub(crate) fn known(&self, id: Uuid) -> Option<Arc<Live>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Forgets a sandbox that is gone.
    pub(crate) fn forget(&self, id: Uuid) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Supervisors that are connected.
    pub(crate) fn connected(&self) -> usize {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().filter(|live| live.session.get().is_some()).count()
    }
}
