//! Which connections are open, and by what right: so that a right that ends closes them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::authorise::Right;

/// The open connections of one sandbox.
#[derive(Debug, Default)]
pub struct Registry {
    open: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    tunnels: HashMap<u64, Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    right: Arc<Right>,
    ended: CancellationToken,
}

/// The registration of one open connection; it ends with this value.
#[derive(Debug)]
#[must_use]
pub struct Registration {
    registry: Arc<Registry>,
    number: u64,
    ended: CancellationToken,
}

impl Registry {
    /// Notes an open connection, which `ended` ends.
    pub fn register(self: &Arc<Self>, right: Arc<Right>, ended: CancellationToken) -> Registration {
        let mut table = self.lock();
        let number = table.next;
        table.next += 1;
        table.tunnels.insert(number, Entry { right, ended: ended.clone() });
        Registration { registry: self.clone(), number, ended }
    }

    /// The number of open connections.
    pub fn len(&self) -> usize {
        self.lock().tunnels.len()
    }

    /// Whether no connection is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends every connection whose right `still_holds` denies.
    pub(crate) fn retain(&self, still_holds: impl Fn(&Right) -> bool) {
        let entries: Vec<Entry> = self.lock().tunnels.values().cloned().collect();
        for entry in entries {
            if !entry.ended.is_cancelled() && !still_holds(&entry.right) {
                entry.ended.cancel();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registration {
    /// Cancelled when the connection must end.
    pub fn ended(&self) -> &CancellationToken {
        &self.ended
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.lock().tunnels.remove(&self.number);
    }
}
