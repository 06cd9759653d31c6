//! Tells watchers of changes; costs nothing while nobody watches.

use std::sync::{Mutex, PoisonError};

use tokio::sync::broadcast;

use super::Change;

/// Changes that a watcher may be behind before it loses some.
const BEHIND: usize = 1024;

/// Those who watch one sandbox.
#[derive(Default)]
pub(crate) struct Watchers(Mutex<Option<broadcast::Sender<Change>>>);

impl Watchers {
    /// Changes from now on.
    pub(crate) fn watch(&self) -> broadcast::Receiver<Change> {
        let mut sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sender.get_or_insert_with(|| broadcast::channel(BEHIND).0).subscribe()
    }

    /// Tells all of them.
    pub(crate) fn tell(&self, change: impl FnOnce() -> Change) {
        let mut sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Fails when the last one has left: the buffer is not needed any more.
        if let Some(all) = sender.as_ref()
            && all.send(change()).is_err()
        {
            *sender = None;
        }
    }
}
