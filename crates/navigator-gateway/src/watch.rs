//! Watching a sandbox: first what is, then what was logged, then what changes.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::{Stream, stream};
use navigator_proto::v1 as api;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, broadcast};
use tonic::Status;
use uuid::Uuid;

use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::live::log::{LINES, Wanted};
use crate::live::{Change, Live};
use crate::records::{Phase, Sandbox};
use crate::wire;

/// Most events of the past that a watcher gets.
const EVENTS: u32 = 200;

/// What a watcher sees.
struct Watching {
    gateway: Arc<Gateway>,
    changes: broadcast::Receiver<Change>,
    ready: VecDeque<api::SandboxStreamEvent>,
    request: api::WatchSandboxRequest,
    wanted: Wanted,
    over: bool,
    _place: OwnedSemaphorePermit,
}

impl Gateway {
    /// Watches a sandbox until it is gone, the client leaves, or it is ready and that was waited for.
    pub(crate) async fn watch(
        self: &Arc<Self>,
        request: api::WatchSandboxRequest,
    ) -> Result<impl Stream<Item = Result<api::SandboxStreamEvent, Status>> + use<>, Failure> {
        let wanted =
            wire::wanted(request.log_since_ms, &request.log_sources, &request.log_min_level)?;
        let id = self.with_id(&request.id).await?.id;
        let live = self.live(id);
        let place = Arc::clone(&live.places).try_acquire_owned();
        let place =
            place.map_err(|_| Failure::Exhausted("too many clients watch this sandbox".into()))?;
        // Subscribed before the first look, so that nothing is missed in between.
        let changes = live.watchers.watch();
        let over = false;
        let (gateway, ready) = (Arc::clone(self), VecDeque::new());
        let mut watching =
            Watching { gateway, changes, ready, request, wanted, over, _place: place };
        watching.begin(&live, id).await?;
        Ok(stream::unfold(watching, |mut watching| async move {
            watching.next().await.map(|event| (Ok(event), watching))
        }))
    }
}

impl Watching {
    async fn begin(&mut self, live: &Live, id: Uuid) -> Result<(), Failure> {
        let sandbox = self.gateway.store.sandbox(id).await?;
        let sandbox = sandbox.ok_or_else(|| Failure::missing("sandbox", id))?;
        self.see_sandbox(&sandbox).await?;
        if self.request.follow_logs {
            let most = usize::try_from(self.request.log_tail_lines).unwrap_or(LINES);
            let (lines, _) = live.log.newest(&self.wanted, most).await;
            self.ready.extend(lines.iter().map(|line| log_event(id, line)));
        }
        if self.request.follow_events && self.request.event_tail > 0 {
            let tail = self.request.event_tail.min(EVENTS);
            let events = self.gateway.store.events(id, tail).await?;
            self.ready.extend(events.iter().map(platform_event));
        }
        self.over |= self.request.stop_after_tail;
        Ok(())
    }

    async fn next(&mut self) -> Option<api::SandboxStreamEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.over {
                return None;
            }
            let change = tokio::select! {
                () = self.gateway.ending.cancelled() => return None,
                change = self.changes.recv() => change,
            };
            match change {
                Ok(change) => self.see(change).await,
                Err(RecvError::Lagged(lost)) => self.ready.push_back(warning(lost)),
                // Somebody watches as long as this does.
                Err(RecvError::Closed) => self.over = true,
            }
        }
    }

    async fn see(&mut self, change: Change) {
        match change {
            Change::Sandbox(None) => self.over = true,
            Change::Sandbox(Some(sandbox)) => {
                if let Err(error) = self.see_sandbox(&sandbox).await {
                    let message = format!("the sandbox has changed and cannot be shown: {error}");
                    self.ready.push_back(warned(message));
                }
            }
            Change::Log(line) => {
                if self.request.follow_logs && self.wanted.is(&line) {
                    let id = self.request.id.parse().unwrap_or_default();
                    self.ready.push_back(log_event(id, &line));
                }
            }
            Change::Event(event) => {
                if self.request.follow_events {
                    self.ready.push_back(platform_event(&event));
                }
            }
        }
    }

    async fn see_sandbox(&mut self, sandbox: &Sandbox) -> Result<(), Failure> {
        if self.request.follow_status {
            let message = self.gateway.show(sandbox).await?;
            let payload = api::sandbox_stream_event::Payload::Sandbox(message);
            self.ready.push_back(api::SandboxStreamEvent { payload: Some(payload) });
        }
        self.over |= self.request.stop_on_terminal && sandbox.phase == Phase::Ready;
        Ok(())
    }
}

fn log_event(id: Uuid, line: &crate::live::Line) -> api::SandboxStreamEvent {
    let payload = api::sandbox_stream_event::Payload::Log(wire::line(id, line));
    api::SandboxStreamEvent { payload: Some(payload) }
}

fn platform_event(event: &crate::records::PlatformEvent) -> api::SandboxStreamEvent {
    let payload = api::sandbox_stream_event::Payload::Event(wire::event(event));
    api::SandboxStreamEvent { payload: Some(payload) }
}

fn warning(lost: u64) -> api::SandboxStreamEvent {
    warned(format!("{lost} events were lost: this watcher was too slow"))
}

fn warned(message: String) -> api::SandboxStreamEvent {
    let payload =
        api::sandbox_stream_event::Payload::Warning(api::SandboxStreamWarning { message });
    api::SandboxStreamEvent { payload: Some(payload) }
}
