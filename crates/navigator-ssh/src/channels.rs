//! The channels of a connection, and the tasks that serve them.

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use russh::server::{Handle, Msg};
use russh::{ChannelId, ChannelWriteHalf};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Terminal;
use crate::environment::Environment;
use crate::flow::{Flow, Input};
use crate::session::Request;

/// Channels of one connection, open or being opened: an editor's forwarded ports, and some.
const CHANNELS: usize = 256;

/// The side of a channel that is written to.
pub(crate) type Output = ChannelWriteHalf<Msg>;

/// All channels of a connection.
pub(crate) struct Channels {
    pub(crate) flow: Arc<Flow>,
    /// One permit for each channel, from before it is opened until its task is over.
    pub(crate) room: Arc<Semaphore>,
    /// Ends every task.
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    open: Mutex<HashMap<ChannelId, Channel>>,
    confirmed: Notify,
}

/// One channel, as long as its task runs.
pub(crate) struct Channel {
    pub(crate) input: Arc<Input>,
    /// The client closed it.
    pub(crate) closed: CancellationToken,
    pub(crate) stage: Stage,
}

/// What a channel is for.
pub(crate) enum Stage {
    /// A session that runs nothing yet.
    Preparing(Box<Preparing>),
    /// A session that runs a process.
    Running(mpsc::Sender<Request>),
    /// A connection.
    Relay,
}

/// What a client has said about a session before it starts.
pub(crate) struct Preparing {
    pub(crate) output: Output,
    pub(crate) permit: OwnedSemaphorePermit,
    pub(crate) environment: Environment,
    pub(crate) terminal: Option<Terminal>,
}

impl Channels {
    pub(crate) fn new(stop: CancellationToken) -> Self {
        Self {
            flow: Arc::default(),
            room: Arc::new(Semaphore::new(CHANNELS)),
            stop,
            tasks: TaskTracker::new(),
            open: Mutex::default(),
            confirmed: Notify::new(),
        }
    }

    /// Room for one channel more.
    pub(crate) fn permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.room).try_acquire_owned().ok()
    }

    /// A channel that a client opened.
    pub(crate) fn open(&self, id: ChannelId, stage: Stage) -> (Arc<Input>, CancellationToken) {
        let channel = self.channel(stage);
        let parts = (Arc::clone(&channel.input), channel.closed.clone());
        self.lock().insert(id, channel);
        parts
    }

    /// A client agrees to a channel that we opened.
    pub(crate) fn confirm(&self, id: ChannelId) {
        self.lock().entry(id).or_insert_with(|| self.channel(Stage::Relay));
        self.confirmed.notify_waiters();
    }

    /// Waits for a channel that we opened.
    pub(crate) async fn confirmed(&self, id: ChannelId) -> (Arc<Input>, CancellationToken) {
        loop {
            let next = self.confirmed.notified();
            if let Some(parts) =
                self.with(id, |open| (Arc::clone(&open.input), open.closed.clone()))
            {
                return parts;
            }
            next.await;
        }
    }

    /// Looks at a channel, if it is one.
    pub(crate) fn with<R>(&self, id: ChannelId, f: impl FnOnce(&mut Channel) -> R) -> Option<R> {
        self.lock().get_mut(&id).map(f)
    }

    /// A client closed a channel, or its task is over.
    pub(crate) fn remove(&self, id: ChannelId) {
        let removed = self.lock().remove(&id);
        if let Some(channel) = removed {
            channel.closed.cancel();
            match channel.stage {
                // What has arrived is still passed on.
                Stage::Relay => channel.input.end(),
                Stage::Preparing(_) | Stage::Running(_) => channel.input.refuse(),
            }
        }
    }

    /// Runs a task for as long as the connection lasts.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Runs what serves a channel until it is over or fails, and closes the channel.
    pub(crate) fn serve(
        self: &Arc<Self>,
        id: ChannelId,
        handle: Handle,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let channels = Arc::clone(self);
        self.spawn(async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                tracing::error!("the task of a channel panicked");
            }
            channels.remove(id);
            // Without a connection there is no channel to close.
            let _gone = handle.close(id).await;
        });
    }

    fn channel(&self, stage: Stage) -> Channel {
        let input = Arc::new(Input::new(Arc::clone(&self.flow)));
        Channel { input, closed: CancellationToken::new(), stage }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ChannelId, Channel>> {
        // A panic elsewhere leaves the map as it is.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
