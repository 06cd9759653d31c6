//! Signals that this process gets while it waits for something in a sandbox.

use std::io;

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Signals that wait to be handled; more than these at once are of the same kind again.
const WAITING: usize = 16;

/// The signals that a person, a terminal or a service manager sends. From now on none of them ends this process.
#[derive(Debug)]
pub struct Interrupts(mpsc::Receiver<Signal>);

impl Interrupts {
    /// Takes the signals over.
    ///
    /// # Errors
    /// The system's reason when it cannot be done.
    pub fn watch() -> io::Result<Self> {
        let kinds = [
            Signal::INT,
            Signal::TERM,
            Signal::HUP,
            Signal::QUIT,
            Signal::USR1,
            Signal::USR2,
            Signal::WINCH,
        ];
        let (sender, receiver) = mpsc::channel(WAITING);
        for kind in kinds {
            let mut stream = signal(SignalKind::from_raw(kind.as_raw()))?;
            let sender = sender.clone();
            tokio::spawn(async move {
                while stream.recv().await.is_some() && sender.send(kind).await.is_ok() {}
            });
        }
        Ok(Self(receiver))
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Signal {
        match self.0.recv().await {
            Some(signal) => signal,
            // The senders live as long as the runtime.
            None => std::future::pending().await,
        }
    }

    /// Waits until somebody wants this process to end, and tells the signal's number.
    pub async fn asked_to_end(&mut self) -> u8 {
        loop {
            let signal = self.next().await;
            if is_end(signal) {
                return u8::try_from(signal.as_raw()).unwrap_or(u8::MAX);
            }
        }
    }
}

/// Whether a signal asks to end.
pub(crate) fn is_end(signal: Signal) -> bool {
    [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT].contains(&signal)
}
