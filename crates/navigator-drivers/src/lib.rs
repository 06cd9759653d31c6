//! Where sandboxes run. A driver starts, ends and finds supervisors; what a sandbox may do is none of its business.
#![forbid(unsafe_code)]

mod local;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use navigator_images::{ChangesError, CommitError, CopyError, ReferenceError, StoreError};
use tokio::sync::mpsc;
use uuid::Uuid;
use zeroize::Zeroizing;

pub use navigator_images::{Change, ChangeKind};

pub use local::{LocalDriver, LocalSettings};

/// A sandbox to start.
pub struct Workload {
    /// The sandbox.
    pub id: Uuid,
    /// Its name, for people who look at processes.
    pub name: String,
    /// The image that it is made from, as [`ComputeDriver::image`] names it; held from its start until it is deleted.
    pub image: Option<String>,
    /// What its supervisor is told on its standard input. Holds secrets.
    pub launch: Zeroizing<Vec<u8>>,
}

/// A sandbox that this driver knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The sandbox.
    pub id: Uuid,
    /// Whether its supervisor runs.
    pub running: bool,
}

/// A supervisor that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Its sandbox.
    pub id: Uuid,
    /// How it ended, in a few words; the last lines that it wrote on standard error.
    pub how: String,
}

/// A driver that could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The system refused.
    #[error("failed to {action}")]
    System {
        /// What was tried.
        action: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// An image cannot be used.
    #[error("failed to use the image {name}")]
    Image {
        /// What it was asked for by.
        name: String,
        /// Why.
        source: StoreError,
    },
    /// The name is no tag.
    #[error(transparent)]
    Tag(ReferenceError),
    /// There is a snapshot of that name.
    #[error("failed to name the snapshot: there is one with the tag `{0}`")]
    Tagged(String),
    /// A sandbox's changes cannot be listed.
    #[error("failed to list what changed")]
    Changes(#[source] ChangesError),
    /// No image was made.
    #[error("failed to make a snapshot")]
    Snapshot(#[source] CommitError),
    /// Changes were not copied.
    #[error("failed to copy what changed")]
    Copy(#[source] CopyError),
    /// A supervisor did not end.
    #[error("failed to end the supervisor of sandbox {id}: it is still there after {waited:?}")]
    StillThere {
        /// Its sandbox.
        id: Uuid,
        /// How long it was waited for.
        waited: Duration,
    },
}

/// One kind of place for sandboxes. Every call may be repeated: what is done already is no error.
#[async_trait]
pub trait ComputeDriver: Send + Sync + 'static {
    /// Its name, such as `local`.
    fn name(&self) -> &'static str;

    /// The directory that the sandbox's supervisor may use, to be named in [`Workload::launch`].
    fn directory(&self, id: Uuid) -> PathBuf;

    /// The store of images that supervisors use, to be named in [`Workload::launch`].
    fn image_store(&self) -> PathBuf;

    /// The whole name of an image, its digest included, so that a sandbox has the same at every start.
    async fn image(&self, name: &str) -> Result<String, DriverError>;

    /// What a sandbox has changed in its image, sorted by path.
    async fn changes(&self, id: Uuid, image: &str) -> Result<Vec<Change>, DriverError>;

    /// Makes an image of a sandbox's image and its changes, and gives its whole name.
    async fn snapshot(&self, id: Uuid, image: &str, tag: &str) -> Result<String, DriverError>;

    /// Gives a sandbox that has not been started yet a copy of another one's changes.
    async fn copy_changes(&self, from: Uuid, to: Uuid) -> Result<(), DriverError>;

    /// Whether a supervisor of this sandbox runs.
    async fn runs(&self, id: Uuid) -> Result<bool, DriverError>;

    /// Starts a supervisor; one that runs already stays.
    async fn start(&self, workload: Workload) -> Result<(), DriverError>;

    /// Ends the supervisor, and with it everything in the sandbox; `/sandbox` is kept.
    async fn stop(&self, id: Uuid) -> Result<(), DriverError>;

    /// Ends the supervisor and removes everything of the sandbox.
    async fn delete(&self, id: Uuid) -> Result<(), DriverError>;

    /// Everything that is here, and takes over watching the supervisors that run.
    async fn adopt(&self) -> Result<Vec<Found>, DriverError>;

    /// Tells of supervisors that are gone, whatever ended them. May be taken once.
    fn gone(&self) -> Option<mpsc::UnboundedReceiver<Gone>>;

    /// The last bytes, at most `limit`, of what the supervisor itself wrote on standard error.
    async fn last_words(&self, id: Uuid, limit: usize) -> Result<String, DriverError>;
}
