//! Watches one supervisor until it and everything of its sandbox is gone. The kernel tells; nothing is polled while the
//! supervisor runs.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Signal;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use uuid::Uuid;

use super::place::Place;
use super::{spawn, words};
use crate::Gone;

/// How long what is left of a sandbox may outlive its supervisor: the kernel ends it at once.
pub(super) const REST: Duration = Duration::from_secs(5);
/// Pause between looks at a lock that is about to become free; the kernel tells nobody when it does.
pub(super) const LOOK: Duration = Duration::from_millis(10);
/// Bytes of a supervisor's last words that are told when it is gone.
pub(super) const WORDS_BYTES: usize = 2048;

/// A supervisor that is watched.
#[derive(Clone)]
pub(super) struct Watched {
    pidfd: Arc<OwnedFd>,
    over: watch::Receiver<bool>,
}

/// What is needed to watch a supervisor.
pub(super) struct Watch {
    pub id: Uuid,
    pub place: Arc<Place>,
    pub pidfd: OwnedFd,
    /// When this process started it.
    pub child: Option<Child>,
    /// Where its words begin in the log.
    pub log_start: u64,
    pub gone: mpsc::UnboundedSender<Gone>,
}

impl Watched {
    /// Whether the supervisor itself has ended.
    pub(super) fn ended(&self) -> bool {
        if *self.over.borrow() {
            return true;
        }
        let mut fds = [PollFd::new(&*self.pidfd, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
    }

    /// Waits until its end was told; `false` when that takes longer than `limit`.
    pub(super) async fn over(&self, limit: Duration) -> bool {
        let mut over = self.over.clone();
        let waited = tokio::time::timeout(limit, over.wait_for(|over| *over)).await;
        // A watcher that is gone without a word ended with its runtime.
        waited.is_ok_and(|over| over.is_ok())
    }

    /// Signals the supervisor; one that has ended needs none.
    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        match rustix::process::pidfd_send_signal(&*self.pidfd, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Watch {
    /// What others see of the supervisor, and the task that watches it.
    pub(super) fn begin(mut self) -> io::Result<(Watched, impl Future<Output = ()>)> {
        let (pidfd, ready) = match self.descriptors() {
            Ok(descriptors) => descriptors,
            Err(error) => {
                // A child that is not watched would never be reaped.
                if let Some(child) = self.child.as_mut() {
                    tracing::error!(sandbox = %self.id, "not watched: {}", spawn::end(child));
                }
                return Err(error);
            }
        };
        let (tell, over) = watch::channel(false);
        let task = async move {
            if let Err(error) = ready.readable().await {
                // The runtime ends.
                tracing::debug!(sandbox = %self.id, %error, "a supervisor is not watched any more");
                return;
            }
            let how = ending(self.child.as_mut());
            let free = free(&self.place, REST).await;
            // Nobody may listen any more.
            let _ = self.gone.send(Gone { id: self.id, how: self.how(how, free) });
            tell.send_replace(true);
        };
        Ok((Watched { pidfd, over }, task))
    }

    #[expect(
        deprecated,
        reason = "an `OwnedFd` stays open as long as it is owned; the successor is unsafe"
    )]
    fn descriptors(&self) -> io::Result<(Arc<OwnedFd>, AsyncFd<OwnedFd>)> {
        let ready = AsyncFd::with_interest(self.pidfd.try_clone()?, Interest::READABLE)?;
        Ok((Arc::new(self.pidfd.try_clone()?), ready))
    }

    fn how(&self, mut how: String, free: io::Result<bool>) -> String {
        match free {
            Ok(true) => {}
            Ok(false) => how.push_str("; a part of the sandbox is still there"),
            Err(error) => how.push_str(&format!("; its lock cannot be read: {error}")),
        }
        match words::last(self.place.directory(), self.log_start, WORDS_BYTES) {
            Ok(words) if words.trim().is_empty() => {}
            Ok(words) => how.push_str(&format!("; its last words: {}", words.trim())),
            Err(error) => how.push_str(&format!("; its log cannot be read: {error}")),
        }
        how
    }
}

/// Waits until nobody has the lock; `false` when somebody still has it after `limit`.
pub(super) async fn free(place: &Place, limit: Duration) -> io::Result<bool> {
    let end = Instant::now() + limit;
    while place.held()? {
        if Instant::now() >= end {
            return Ok(false);
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(true)
}

/// How a process ended that is known to have ended; it is reaped when it is a child of this process.
fn ending(child: Option<&mut Child>) -> String {
    match child.map(Child::try_wait) {
        Some(Ok(Some(status))) => status_in_words(status),
        Some(Ok(None)) | None => "it ended in a way that this gateway could not see".into(),
        Some(Err(error)) => format!("it ended; its status cannot be read: {error}"),
    }
}

pub(super) fn status_in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("it ended with exit code {code}"),
        (None, Some(signal)) => format!("it was ended by signal {signal}"),
        (None, None) => "it ended".into(),
    }
}
