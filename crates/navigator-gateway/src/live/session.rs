//! The session with a sandbox's supervisor, while there is one.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use navigator_proto::session::v1::{ToSupervisor, to_supervisor::Message};
use tokio::sync::{Notify, mpsc};
use tonic::Status;

use crate::failure::Failure;

/// Messages on their way to a supervisor: they are few, and it answers at once.
const MESSAGES: usize = 256;

/// How long a supervisor may take to come back: longer than its longest pause between two calls.
const RETURN: Duration = Duration::from_secs(3);

/// A supervisor that is connected.
#[derive(Clone)]
pub(crate) struct Attached {
    number: u64,
    messages: mpsc::Sender<Result<ToSupervisor, Status>>,
    /// Of the sandbox's SSH server.
    pub(crate) host_key: HostKey,
}

/// What a client knows an SSH server by.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostKey {
    /// As in known_hosts: kind and base64.
    pub(crate) line: String,
    /// As ssh shows it.
    pub(crate) fingerprint: String,
}

impl Attached {
    /// Sends a message; whether there was room for it. A supervisor that does not read is as good as gone.
    pub(crate) fn send(&self, message: Message) -> bool {
        self.messages.try_send(Ok(ToSupervisor { message: Some(message) })).is_ok()
    }
}

/// The place of the newest session.
#[derive(Default)]
pub(crate) struct Attachment {
    place: Mutex<Place>,
    attached: Notify,
}

#[derive(Default)]
struct Place {
    sessions: u64,
    newest: Option<Attached>,
}

impl Attachment {
    /// A new session takes the place of the one before, which is closed by that.
    pub(crate) fn attach(
        &self,
        host_key: HostKey,
    ) -> (Attached, mpsc::Receiver<Result<ToSupervisor, Status>>) {
        let (messages, receiver) = mpsc::channel(MESSAGES);
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        place.sessions += 1;
        let attached = Attached { number: place.sessions, messages, host_key };
        place.newest = Some(attached.clone());
        self.attached.notify_waiters();
        (attached, receiver)
    }

    /// A session has ended; whether it was the newest, so that there is none now.
    pub(crate) fn detach(&self, ended: &Attached) -> bool {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = place.newest.as_ref().is_some_and(|newest| newest.number == ended.number);
        if newest {
            place.newest = None;
        }
        newest
    }

    /// Ends the session, whichever it is.
    pub(crate) fn close(&self) {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).newest = None;
    }

    /// The newest session. A supervisor that the gateway has just found again is on its way, and is waited for.
    pub(crate) async fn reached(&self) -> Result<Attached, Failure> {
        let away = || Failure::Unavailable("the sandbox's supervisor is not connected".into());
        self.wait(RETURN).await.ok_or_else(away)
    }

    /// The newest session; one that is away may come back for as long as `patience`.
    async fn wait(&self, patience: Duration) -> Option<Attached> {
        let comes_back = async {
            loop {
                let attached = self.attached.notified();
                if let Some(session) = self.get() {
                    return session;
                }
                attached.await;
            }
        };
        tokio::time::timeout(patience, comes_back).await.ok()
    }

    /// The newest session.
    pub(crate) fn get(&self) -> Option<Attached> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).newest.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_session_that_comes_back_is_waited_for() {
        let attachment = Attachment::default();
        assert!(attachment.wait(Duration::from_millis(1)).await.is_none());
        let (waited, (attached, _messages)) =
            tokio::join!(attachment.wait(Duration::from_secs(60)), async {
                attachment.attach(HostKey::default())
            },);
        assert_eq!(waited.map(|session| session.number), Some(attached.number));
        assert!(attachment.wait(Duration::ZERO).await.is_some(), "there at once");
        assert!(attachment.detach(&attached) && attachment.get().is_none());
    }
}
