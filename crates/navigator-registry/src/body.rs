//! The body of an answer, read under its bounds: it neither stalls nor grows without end.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::error::{Failure, TransportError};
use crate::limits::LEAST_PROGRESS;

/// A body, with the connection that it comes over.
pub(crate) struct Body {
    incoming: Incoming,
    host: String,
    idle: Duration,
    window: Window,
    /// Drives the connection, and ends it when the body is dropped.
    _connection: JoinSet<()>,
}

/// Sees to it that something comes: [`LEAST_PROGRESS`] within each idle deadline.
struct Window {
    began: Instant,
    bytes: u64,
}

impl Body {
    pub(crate) fn new(
        incoming: Incoming,
        host: String,
        idle: Duration,
        connection: JoinSet<()>,
    ) -> Body {
        let window = Window { began: Instant::now(), bytes: 0 };
        Body { incoming, host, idle, window, _connection: connection }
    }

    /// How long it says that it is.
    pub(crate) fn announced(&self) -> Option<u64> {
        self.incoming.size_hint().exact()
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The next piece; `None` at its end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, TransportError> {
        loop {
            let frame = timeout(self.idle, self.incoming.frame()).await;
            let Some(frame) = frame.map_err(|_| self.stalled())? else { return Ok(None) };
            let frame =
                frame.map_err(|source| TransportError::Http { host: self.host.clone(), source })?;
            let Ok(piece) = frame.into_data() else { continue };
            self.window.bytes += piece.len() as u64;
            if self.window.bytes >= LEAST_PROGRESS {
                self.window = Window { began: Instant::now(), bytes: 0 };
            } else if self.window.began.elapsed() > self.idle {
                return Err(self.stalled());
            }
            return Ok(Some(piece));
        }
    }

    /// All of it, when it is no longer than `limit` and comes within `deadline`.
    pub(crate) async fn whole(
        mut self,
        what: &'static str,
        limit: u64,
        deadline: Duration,
    ) -> Result<Vec<u8>, Failure> {
        if self.announced().is_some_and(|length| length > limit) {
            return Err(Failure::TooLong { what, limit });
        }
        let late =
            TransportError::Deadline { host: self.host.clone(), what, seconds: deadline.as_secs() };
        timeout(deadline, self.gather(what, limit)).await.map_err(|_| late)?
    }

    async fn gather(&mut self, what: &'static str, limit: u64) -> Result<Vec<u8>, Failure> {
        let mut whole = Vec::new();
        while let Some(piece) = self.next().await? {
            if (whole.len() + piece.len()) as u64 > limit {
                return Err(Failure::TooLong { what, limit });
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }

    fn stalled(&self) -> TransportError {
        let (host, seconds) = (self.host.clone(), self.idle.as_secs());
        TransportError::Deadline { host, what: "more of the body", seconds }
    }
}
