//! The end of a sandbox: every process is asked to end, then made to, then nothing is left.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::task::JoinHandle;

use super::Serving;

/// How long killed processes may take to be gone, and the last messages to arrive.
pub(super) const FAREWELL: Duration = Duration::from_secs(3);

impl Serving {
    /// Ends every process, within `grace` by itself; then the sandbox. What the processes said last still arrives.
    pub(super) async fn end(self, grace: Duration, events: JoinHandle<()>) {
        let Self { processes, heard, closing, execs, leaving, abandon, .. } = self;
        // What is asked for from now on is not heard.
        drop(heard);
        execs.close();
        leaving.cancel();
        let asked = tokio::time::timeout(grace, processes.end_all(Signal::TERM)).await;
        if !matches!(asked, Ok(Ok(()))) {
            let killed = tokio::time::timeout(FAREWELL, processes.end_all(Signal::KILL)).await;
            if !matches!(killed, Ok(Ok(()))) {
                tracing::warn!("the sandbox's processes do not end; its namespaces end with them");
            }
        }
        if tokio::time::timeout(FAREWELL, execs.wait()).await.is_err() {
            abandon.cancel();
            execs.wait().await;
        }
        events.abort();
        // Aborted or over.
        let _either = events.await;
        // The last owner ends the sandbox; when that is not this one, it ends with this process.
        if let Some(processes) = Arc::into_inner(processes) {
            processes.end();
        }
        tracing::info!("the sandbox has ended");
        closing.cancel();
    }
}
