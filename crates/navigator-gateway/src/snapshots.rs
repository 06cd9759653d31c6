//! What a sandbox has changed in its image: listed, made an image of, and copied for another sandbox.

use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use navigator_drivers::{ChangeKind, DriverError};
use navigator_proto::v1 as proto;
use navigator_proto::v1::sandbox_change::Kind;
use tokio_stream::Stream;
use tonic::Status;

use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::records::Sandbox;

/// Changes in one message: far less than a message may hold, with the longest paths.
const TOGETHER: usize = 256;

/// Changes, in several messages.
pub(crate) type Changes =
    Pin<Box<dyn Stream<Item = Result<proto::ListSandboxChangesResponse, Status>> + Send>>;

impl Gateway {
    /// What a sandbox has changed.
    pub(crate) async fn changes(&self, name: &str) -> Result<Changes, Failure> {
        let sandbox = self.named(name).await?;
        let changes = self.driver.changes(sandbox.id, image(&sandbox)?).await.map_err(failure)?;
        let changes: Vec<proto::SandboxChange> = changes
            .into_iter()
            .map(|change| proto::SandboxChange {
                kind: kind(change.kind).into(),
                path: Path::new("/").join(change.path).into_os_string().into_vec(),
            })
            .collect();
        let messages: Vec<_> = changes
            .chunks(TOGETHER)
            .map(|changes| Ok(proto::ListSandboxChangesResponse { changes: changes.to_vec() }))
            .collect();
        Ok(Box::pin(tokio_stream::iter(messages)))
    }

    /// Makes an image of a sandbox, and gives its whole name.
    pub(crate) async fn snapshot(&self, name: &str, tag: &str) -> Result<String, Failure> {
        let sandbox = self.named(name).await?;
        self.driver.snapshot(sandbox.id, image(&sandbox)?, tag).await.map_err(failure)
    }

    /// Makes a sandbox like another one.
    pub(crate) async fn fork(
        self: &Arc<Self>,
        name: &str,
        new_name: &str,
    ) -> Result<Sandbox, Failure> {
        let sandbox = self.named(name).await?;
        image(&sandbox)?;
        // What it would start with itself: one that waits to be loaded is no reason for another one.
        let policy = self.policy_to_start_with(&sandbox).await?.map(|(_, policy)| policy);
        self.create(new_name, sandbox.spec, policy, Some(sandbox.id)).await
    }
}

/// The image that a sandbox is made from.
fn image(sandbox: &Sandbox) -> Result<&str, Failure> {
    sandbox.spec.template.image_name().ok_or_else(|| {
        Failure::Precondition(
            "the sandbox is not made from an image, so that what it changed is not known".into(),
        )
    })
}

fn kind(kind: ChangeKind) -> Kind {
    match kind {
        ChangeKind::Added => Kind::Added,
        ChangeKind::Changed => Kind::Changed,
        ChangeKind::Deleted => Kind::Deleted,
    }
}

fn failure(error: DriverError) -> Failure {
    match error {
        DriverError::Tag(_) => Failure::Invalid(error.to_string()),
        DriverError::Tagged(tag) => Failure::Exists { kind: "snapshot", name: tag },
        error => error.into(),
    }
}
