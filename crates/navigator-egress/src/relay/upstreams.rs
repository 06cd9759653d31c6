//! Connections to servers that are kept for the next request of the same sandbox.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use navigator_policy::Host;

use crate::authorise::{Right, Wire};
use crate::limits::{MAX_IDLE_UPSTREAMS, UPSTREAM_IDLE};

/// Whom a connection leads to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) wire: Wire,
    /// A server that was offered HTTP/1.1 alone may well know HTTP/2, which a gRPC call needs.
    pub(super) versions: Versions,
}

/// Which versions may be spoken to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Versions {
    Http1,
    Http2,
    Either,
}

struct Idle {
    key: Key,
    peer: IpAddr,
    since: Instant,
    sender: http1::SendRequest<Incoming>,
}

/// The kept connections of one sandbox.
#[derive(Default)]
pub(crate) struct Upstreams {
    idle: Mutex<Vec<Idle>>,
    shared: Mutex<HashMap<Key, (IpAddr, http2::SendRequest<Incoming>)>>,
}

impl fmt::Debug for Upstreams {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Upstreams").finish_non_exhaustive()
    }
}

impl Upstreams {
    /// An idle HTTP/1.1 connection to one of the addresses that were checked for this right.
    pub(super) fn take(
        &self,
        key: &Key,
        right: &Right,
    ) -> Option<(IpAddr, http1::SendRequest<Incoming>)> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|kept| !kept.sender.is_closed() && kept.since.elapsed() < UPSTREAM_IDLE);
        let usable = |kept: &Idle| {
            kept.key == *key
                && right.addresses.as_slice().contains(&kept.peer)
                && kept.sender.is_ready()
        };
        // The newest is the least likely to have been closed at the other end.
        let at = idle.iter().rposition(usable)?;
        let kept = idle.remove(at);
        Some((kept.peer, kept.sender))
    }

    /// Keeps an HTTP/1.1 connection whose response is being read; it is taken again when that has ended.
    pub(super) fn keep(&self, key: Key, peer: IpAddr, sender: http1::SendRequest<Incoming>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() >= MAX_IDLE_UPSTREAMS {
            idle.remove(0);
        }
        idle.push(Idle { key, peer, since: Instant::now(), sender });
    }

    /// The HTTP/2 connection to one of the addresses that were checked for this right.
    pub(super) fn shared(&self, key: &Key, right: &Right) -> Option<http2::SendRequest<Incoming>> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let (peer, sender) = shared.get(key)?;
        if sender.is_closed() {
            shared.remove(key);
            return None;
        }
        right.addresses.as_slice().contains(peer).then(|| sender.clone())
    }

    /// Shares an HTTP/2 connection with later requests.
    pub(super) fn share(&self, key: Key, peer: IpAddr, sender: http2::SendRequest<Incoming>) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.retain(|_, (_, kept)| !kept.is_closed());
        if shared.len() < MAX_IDLE_UPSTREAMS {
            shared.insert(key, (peer, sender));
        }
    }

    /// Forgets a connection that turned out to be of no use.
    pub(super) fn forget_shared(&self, key: &Key) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}
