//! Streams that a supervisor was asked to open: by unguessable ids, until it opens one, refuses, or takes too long.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use navigator_proto::session::v1::to_supervisor::Message;
use tokio::sync::oneshot;

use crate::access::new_token;
use crate::failure::Failure;
use crate::live::Attached;

/// How long a supervisor may take to open a stream.
const OPEN: Duration = Duration::from_secs(10);

/// Streams of one kind.
pub(crate) struct Awaited<T>(Mutex<HashMap<String, oneshot::Sender<Result<T, Failure>>>>);

impl<T> Default for Awaited<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Awaited<T> {
    /// Asks for a stream and waits for it; `message` gets its id.
    pub(crate) async fn ask(
        &self,
        session: &Attached,
        message: impl FnOnce(String) -> Message,
    ) -> Result<T, Failure> {
        let id = new_token().0.to_string();
        let (sender, opened) = oneshot::channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), sender);
        let wait = Wait(self, id.clone());
        if !session.send(message(id)) {
            return Err(Failure::Unavailable("the sandbox's supervisor takes no requests".into()));
        }
        let opened = tokio::time::timeout(OPEN, opened).await;
        drop(wait);
        let silent = || Failure::Unavailable("the sandbox's supervisor did not answer".into());
        opened.ok().and_then(Result::ok).unwrap_or_else(|| Err(silent()))
    }

    /// A supervisor has opened a stream; whether somebody waits for it.
    pub(crate) fn arrived(&self, id: &str, opened: T) -> bool {
        self.take(id).is_some_and(|client| client.send(Ok(opened)).is_ok())
    }

    /// A supervisor could not open a stream.
    pub(crate) fn refused(&self, id: &str, why: String) {
        if let Some(client) = self.take(id) {
            // Whoever asked may be gone.
            let _gone = client.send(Err(Failure::Unavailable(why)));
        }
    }

    fn take(&self, id: &str) -> Option<oneshot::Sender<Result<T, Failure>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id)
    }
}

/// Ends waiting for a stream when whoever waits is gone.
struct Wait<'a, T>(&'a Awaited<T>, String);

impl<T> Drop for Wait<'_, T> {
    fn drop(&mut self) {
        self.0.take(&self.1);
    }
}
