//! Syncs again and again, whenever something changes.

use std::path::Path;
use std::time::Duration;

use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::client::Client;
use crate::error::TransferError;
use crate::name::RemotePath;
use crate::options::{Progress, Report};
use crate::sync::{SyncOptions, sync_up};

/// Silence after which a burst of changes is over: editors and builds write many files at once.
const QUIET: Duration = Duration::from_millis(100);
/// Longest that a burst puts the next sync off.
const PATIENCE: Duration = Duration::from_secs(2);

/// Makes a directory of the sandbox like a local one now and after each change, until an error or until the future
/// is dropped. `done` hears of each sync.
///
/// # Errors
/// When watching or a sync fails.
pub async fn watch_up(
    client: &Client,
    source: &Path,
    target: &RemotePath,
    options: SyncOptions,
    progress: &dyn Progress,
    mut done: impl FnMut(Report),
) -> Result<(), TransferError> {
    let failed = |reason| TransferError::Watch { path: source.to_owned(), source: reason };
    // One place: that something changed is all that a sync needs to know.
    let (sender, mut changes) = mpsc::channel(1);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Our own reading is no change; and what finds the place taken is already told.
        if !event.as_ref().is_ok_and(|event| event.kind.is_access()) {
            let _ = sender.try_send(event.err());
        }
    })
    .map_err(failed)?;
    watcher.watch(source, RecursiveMode::Recursive).map_err(failed)?;
    loop {
        done(sync_up(client, source, target, options, progress).await?);
        let mut change = changes.recv().await;
        let latest = Instant::now() + PATIENCE;
        while let Some(reason) = change.take() {
            if let Some(reason) = reason {
                return Err(failed(reason));
            }
            let until = latest.min(Instant::now() + QUIET);
            change = tokio::time::timeout_at(until, changes.recv()).await.ok().flatten();
        }
    }
}
