//! What every part of the gateway shares, and how sandboxes are found.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use navigator_drivers::{ComputeDriver, DriverError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::failure::Failure;
use crate::live::{Change, Hub, Level, Line, Live, Source};
use crate::metrics::Metrics;
use crate::reconcile::Astray;
use crate::records::{Millis, Name, PlatformEvent, Sandbox, Severity, Spec};
use crate::relays::Tunnels;
use crate::spec;
use crate::store::Store;

/// The gateway.
pub(crate) struct Gateway {
    /// What is kept.
    pub(crate) store: Store,
    /// What is known while it runs.
    pub(crate) hub: Hub,
    /// Ways into sandboxes that are open.
    pub(crate) tunnels: Tunnels,
    /// Where sandboxes run.
    pub(crate) driver: Arc<dyn ComputeDriver>,
    /// Where supervisors and local clients connect.
    pub(crate) socket: PathBuf,
    /// Where remote clients connect, if they may.
    pub(crate) address: Option<SocketAddr>,
    /// Places of this machine that no sandbox may have.
    pub(crate) own_places: Vec<PathBuf>,
    /// Most sandboxes.
    pub(crate) most_sandboxes: u32,
    /// What is counted.
    pub(crate) metrics: Arc<Metrics>,
    /// Sandboxes that are not as they should be.
    pub(crate) astray: mpsc::UnboundedSender<Astray>,
    /// Work that goes on when the caller has left.
    pub(crate) tasks: TaskTracker,
    /// Cancelled when the gateway is to end.
    pub(crate) ending: CancellationToken,
}

/// Now.
pub(crate) fn now() -> Millis {
    jiff::Timestamp::now().as_millisecond()
}

impl Gateway {
    /// The live part of a sandbox.
    pub(crate) fn live(&self, id: Uuid) -> Arc<Live> {
        self.hub.live(id, || self.driver.directory(id).join("log.jsonl"))
    }

    /// The sandbox that a client calls by its name.
    pub(crate) async fn named(&self, name: &str) -> Result<Sandbox, Failure> {
        let parsed = Name::parse(name)?;
        let found = self.store.sandbox_named(&parsed).await?;
        found.ok_or_else(|| Failure::missing("sandbox", name))
    }

    /// The sandbox that a client calls by its id.
    pub(crate) async fn with_id(&self, id: &str) -> Result<Sandbox, Failure> {
        let parsed = Uuid::parse_str(id)
            .map_err(|_| Failure::Invalid("the sandbox's id is not a UUID".into()))?;
        self.store.sandbox(parsed).await?.ok_or_else(|| Failure::missing("sandbox", parsed))
    }

    /// Refuses places of this machine to clients that are elsewhere, and the gateway's own places to everybody.
    pub(crate) fn resolve_places(&self, owner: bool, spec: Spec) -> Result<Spec, Failure> {
        let names_places = !spec.mounts.is_empty() || spec.template.image.starts_with('/');
        if names_places && !owner {
            return Err(Failure::Denied(
                "directories of the gateway's machine are for its own user only",
            ));
        }
        spec::resolve_places(spec, &self.own_places)
    }

    /// Gives an image that is named its whole name, so that the sandbox has the same at every start.
    pub(crate) async fn resolve_image(&self, mut spec: Spec) -> Result<Spec, Failure> {
        if let Some(image) = spec.template.image_name() {
            spec.template.image = self.driver.image(image).await.map_err(|error| match error {
                DriverError::Image { name, source } => Failure::Precondition(format!(
                    "the image `{name}` cannot be used on the gateway's machine: {source}"
                )),
                error => error.into(),
            })?;
        }
        Ok(spec)
    }

    /// Saves a changed record and shows it to who watches.
    pub(crate) async fn save(&self, live: &Live, sandbox: &mut Sandbox) -> Result<(), Failure> {
        self.store.save_sandbox(sandbox).await?;
        live.watchers.tell(|| Change::Sandbox(Some(Arc::new(sandbox.clone()))));
        Ok(())
    }

    /// Notes that something happened: as an event and in the sandbox's log. That it cannot be kept must not stop what
    /// happened.
    pub(crate) async fn note(&self, live: &Live, severity: Severity, reason: &str, message: &str) {
        let event = PlatformEvent {
            at: now(),
            source: "gateway".into(),
            severity,
            reason: reason.into(),
            message: message.into(),
            metadata: std::collections::BTreeMap::new(),
        };
        if let Err(error) = self.store.add_event(live.id, &event).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(sandbox = %live.id, error, "failed to keep an event");
        }
        let level = match severity {
            Severity::Normal => Level::Info,
            Severity::Warning => Level::Warn,
        };
        let (target, at) = (reason.to_owned(), event.at);
        live.watchers.tell(|| Change::Event(Arc::new(event)));
        let (source, fields) = (Source::Gateway, std::collections::BTreeMap::new());
        let line = Line { at, level, source, target, message: message.into(), fields };
        live.log(vec![line.bounded()]).await;
    }
}
