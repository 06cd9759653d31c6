//! Who connected a socket, found out while the program waited in `connect(2)`.
//!
//! What `/proc` says later is about what the process has become. A socket that nobody was seen to connect has no
//! trustworthy owner, so forgetting one is a denial, never a right.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::Program;
use super::error::IdentityError;
use crate::limits::{CONNECTED_TTL, MAX_CONNECTED, MAX_HOLDERS};

/// One that connected, or why it could not be told which program it was.
pub(super) type Connector = Result<Program, Arc<str>>;

/// Sockets that were connected and have not been accepted yet, by inode.
#[derive(Debug, Default)]
pub(super) struct Connectors(Mutex<HashMap<u64, Seen>>);

#[derive(Debug)]
struct Seen {
    last: Instant,
    connectors: Vec<Connector>,
}

impl Connectors {
    /// Remembers one more that called `connect` on a socket: an earlier caller may have written to it as well.
    pub(super) fn add(&self, inode: u64, connector: Connector) {
        let now = Instant::now();
        let mut sockets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sockets.len() >= MAX_CONNECTED && !sockets.contains_key(&inode) {
            sockets.retain(|_, seen| now.duration_since(seen.last) < CONNECTED_TTL);
            if sockets.len() >= MAX_CONNECTED {
                sockets.clear();
            }
        }
        let seen = sockets.entry(inode).or_insert(Seen { last: now, connectors: vec![] });
        seen.last = now;
        // One more than the bound is kept, so that `take` sees that there were too many.
        if seen.connectors.len() <= MAX_HOLDERS && !seen.connectors.contains(&connector) {
            seen.connectors.push(connector);
        }
    }

    /// Everyone who connected a socket, at least one.
    pub(super) fn take(&self, inode: u64) -> Result<Vec<Program>, IdentityError> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&inode);
        // Numbers of sockets are used again, so what is known about one does not stay true.
        let seen = seen
            .filter(|seen| seen.last.elapsed() < CONNECTED_TTL)
            .ok_or(IdentityError::UnseenConnect)?;
        if seen.connectors.len() > MAX_HOLDERS {
            return Err(IdentityError::TooMany { what: "connectors", limit: MAX_HOLDERS });
        }
        seen.connectors
            .into_iter()
            .map(|connector| {
                connector.map_err(|reason| IdentityError::Connector { reason: reason.to_string() })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(pid: u32) -> Program {
        Program {
            pid,
            started: 1,
            stack: 1,
            executable: "/usr/bin/a".into(),
            sha256: "0".into(),
            ancestors: vec![],
            scripts: vec![],
        }
    }

    #[test]
    fn everyone_who_connected_a_socket_is_remembered_once_and_taken_once() {
        let connectors = Connectors::default();
        for pid in [1, 2, 1] {
            connectors.add(7, Ok(program(pid)));
        }
        assert_eq!(connectors.take(7).unwrap(), [program(1), program(2)]);
        assert!(matches!(connectors.take(7), Err(IdentityError::UnseenConnect)));
    }

    #[test]
    fn one_connector_that_is_unknown_is_enough_for_a_denial() {
        let connectors = Connectors::default();
        connectors.add(7, Ok(program(1)));
        connectors.add(7, Err("gone".into()));
        assert!(matches!(connectors.take(7), Err(IdentityError::Connector { .. })));
    }

    #[test]
    fn a_flood_is_forgotten_and_never_counts_as_seen() {
        let connectors = Connectors::default();
        for inode in 0..2 * MAX_CONNECTED as u64 + 1 {
            connectors.add(inode, Ok(program(1)));
        }
        assert!(connectors.0.lock().unwrap().len() <= MAX_CONNECTED);
        assert!(connectors.take(0).is_err());
        for pid in 0..=MAX_HOLDERS as u32 {
            connectors.add(1 << 40, Ok(program(pid)));
        }
        assert!(matches!(connectors.take(1 << 40), Err(IdentityError::TooMany { .. })));
    }
}
