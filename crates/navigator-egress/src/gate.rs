//! Looks at every program that connects or starts another, while it waits in that call, and lets it go on.
//!
//! Nothing is decided here: what was seen is remembered with the socket or the process, and a connection is decided
//! when it arrives.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::authorise::Judge;

/// One thread that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// The kernel's number for this wait.
    pub id: u64,
    /// The thread, by its id outside the sandbox.
    pub thread: u32,
    /// In which call.
    pub call: Call,
}

/// A call that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// `connect(2)` of this descriptor.
    Connect(i32),
    /// `execve(2)` of this file: the process becomes another program.
    Exec(Named),
    /// A call that opens this file; in a learning run only.
    Open(Named),
    /// A call that asks about this file; in a learning run only.
    Look(Named),
}

/// A file as the arguments of a call name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// The descriptor of the directory that a relative path begins at; `None` for the working directory.
    pub directory: Option<i32>,
    /// Where the path is in the caller's memory.
    pub pointer: u64,
}

/// Where the threads of a sandbox wait in these calls: readable while one does.
pub trait ConnectGate: AsFd + std::fmt::Debug + Send + Sync {
    /// Takes the next thread that waits, if there is one now.
    ///
    /// # Errors
    /// When the sandbox is gone.
    fn next(&self) -> io::Result<Option<Waiting>>;

    /// Whether that thread still waits, so that its process is still the same program.
    fn waits(&self, waiting: &Waiting) -> bool;

    /// Lets the thread go on.
    ///
    /// # Errors
    /// When it cannot.
    fn proceed(&self, waiting: &Waiting) -> io::Result<()>;
}

#[expect(
    deprecated,
    reason = "the replacement is unsafe; this descriptor is owned and stays open as long as its registration"
)]
fn watched(listener: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(listener, Interest::READABLE)
}

/// Serves a gate until the sandbox is gone.
pub(crate) async fn serve(gate: Arc<dyn ConnectGate>, judge: Arc<Judge>) -> io::Result<()> {
    let watched = watched(gate.as_fd().try_clone_to_owned()?)?;
    loop {
        let mut ready = watched.readable().await?;
        while let Some(waiting) = gate.next()? {
            // However many wait, connections are served in between.
            tokio::task::consume_budget().await;
            if let Some(learning) = &judge.context().learning {
                judge.identifier().observe(learning, &waiting);
            }
            if !judge.identifier().look(&*gate, &waiting)? {
                let (gate, judge) = (gate.clone(), judge.clone());
                // A program that is new must be read first; others need not wait for it.
                tokio::spawn(async move {
                    let looked = judge.identifier().look_and_hash(&*gate, &waiting).await;
                    if let Err(error) = looked {
                        tracing::warn!(%error, "a waiting program could not go on");
                    }
                });
            }
        }
        ready.clear_ready();
    }
}
