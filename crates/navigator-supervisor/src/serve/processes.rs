//! The processes of a sandbox: asks init for them, and tells each one's owner what becomes of it.

use std::collections::HashMap;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use navigator_isolation::{Event, Family, ProcessSpec, Sandbox};
use rustix::process::Signal;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, mpsc};

use crate::readiness;

/// Events of one process: its terminal, its start, its end.
const EVENTS: usize = 3;

/// The sandbox and who owns which process.
pub(crate) struct Processes {
    sandbox: Sandbox,
    init: AsyncFd<OwnedFd>,
    owners: Mutex<HashMap<u64, mpsc::Sender<Event>>>,
    next: AtomicU64,
    empty: Notify,
    /// What every process starts from.
    template: ProcessSpec,
}

/// A process that init was asked for.
pub(super) struct Process {
    pub(super) id: u64,
    pub(super) events: mpsc::Receiver<Event>,
}

impl Processes {
    pub(crate) fn new(sandbox: Sandbox, template: ProcessSpec) -> io::Result<Self> {
        let init = readiness::watch(sandbox.events().try_clone_to_owned()?)?;
        Ok(Self {
            sandbox,
            init,
            owners: Mutex::default(),
            next: AtomicU64::new(1),
            empty: Notify::new(),
            template,
        })
    }

    /// What every process starts from.
    pub(super) fn template(&self) -> &ProcessSpec {
        &self.template
    }

    /// Tells owners of events until init is gone.
    pub(super) async fn follow(&self) {
        loop {
            let next = match self.init.readable().await {
                Ok(mut ready) => ready.try_io(|_| self.sandbox.next_event()),
                Err(error) => Ok(Err(error)),
            };
            match next {
                Ok(Ok(Event::Ended)) => return,
                Ok(Ok(event)) => self.tell(event),
                Ok(Err(error)) => {
                    tracing::error!(%error, "failed to hear what the sandbox's init reports");
                    return;
                }
                Err(_would_block) => {}
            }
        }
    }

    fn tell(&self, event: Event) {
        let (id, last) = match &event {
            Event::Started { id, .. } | Event::Terminal { id, .. } => (*id, false),
            Event::NotStarted { id, .. } | Event::Exited { id, .. } | Event::Socket { id, .. } => {
                (*id, true)
            }
            // Whoever stopped it will go on with it.
            Event::Stopped { .. } | Event::Ended => return,
            Event::Empty => return self.empty.notify_one(),
        };
        let mut owners = self.lock();
        if let Some(owner) = owners.get(&id) {
            // There is room for all events of a process, and an owner that is gone needs none.
            let _gone = owner.try_send(event);
        }
        if last {
            owners.remove(&id);
        }
    }

    /// Asks for a process.
    pub(super) async fn spawn(
        &self,
        process: &ProcessSpec,
        given: &[BorrowedFd<'_>],
    ) -> io::Result<Process> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (owner, events) = mpsc::channel(EVENTS);
        self.lock().insert(id, owner);
        let asked = self.ask(|sandbox| sandbox.spawn(id, process, given)).await;
        if let Err(error) = asked {
            self.lock().remove(&id);
            return Err(error);
        }
        Ok(Process { id, events })
    }

    /// A TCP socket of the sandbox's network, which connects and listens there and nowhere else.
    pub(super) async fn socket(&self, family: Family) -> io::Result<OwnedFd> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (owner, mut events) = mpsc::channel(1);
        self.lock().insert(id, owner);
        if let Err(error) = self.ask(|sandbox| sandbox.socket(id, family)).await {
            self.lock().remove(&id);
            return Err(error);
        }
        match events.recv().await {
            Some(Event::Socket { socket: Some(socket), .. }) => Ok(socket),
            Some(_) => Err(io::ErrorKind::Unsupported.into()),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Sends a signal to the process group of a process.
    pub(super) async fn signal(&self, id: u64, signal: Signal) -> io::Result<()> {
        self.ask(|sandbox| sandbox.signal(id, signal)).await
    }

    /// Kills everything in the session of a process.
    pub(super) async fn kill(&self, id: u64) {
        if let Err(error) = self.ask(|sandbox| sandbox.kill(id)).await {
            tracing::error!(%error, "failed to have a process killed");
        }
    }

    /// Sends a signal to every process and waits until none is left.
    pub(super) async fn end_all(&self, signal: Signal) -> io::Result<()> {
        self.ask(|sandbox| sandbox.signal_all(signal)).await?;
        self.empty.notified().await;
        Ok(())
    }

    /// Asks init, which may be busy with others.
    async fn ask(&self, request: impl Fn(&Sandbox) -> io::Result<()>) -> io::Result<()> {
        loop {
            let mut ready = self.init.writable().await?;
            match ready.try_io(|_| request(&self.sandbox)) {
                Ok(asked) => return asked,
                Err(_would_block) => {}
            }
        }
    }

    /// Ends the sandbox and waits until everything in it is gone.
    pub(crate) fn end(self) {
        self.sandbox.end();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, mpsc::Sender<Event>>> {
        // A panic elsewhere leaves the map as it is.
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
