//! What goes to the gateway over the session: answers first, log lines when there is room.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use navigator_proto::session::v1::{Ended, FromSupervisor, from_supervisor};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::logs::Lines;

/// The messages in their order. HTTP/2 asks for the next one when it has room, so that lines wait in their own buffer
/// and nowhere else.
pub(super) struct Outgoing {
    answers: mpsc::Receiver<FromSupervisor>,
    lines: Arc<Lines>,
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Whether the last message was said.
    ended: bool,
}

impl Outgoing {
    pub(super) fn new(
        answers: mpsc::Receiver<FromSupervisor>,
        lines: Arc<Lines>,
        closing: CancellationToken,
    ) -> Self {
        Self { answers, lines, closing: Box::pin(closing.cancelled_owned()), ended: false }
    }
}

impl Stream for Outgoing {
    type Item = FromSupervisor;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Poll::Ready(Some(answer)) = self.answers.poll_recv(context) {
            return Poll::Ready(Some(answer));
        }
        let message = if let Poll::Ready(batch) = self.lines.poll_batch(context) {
            from_supervisor::Message::Logs(batch)
        } else if self.closing.as_mut().poll(context).is_ready() {
            self.ended = true;
            from_supervisor::Message::Ended(Ended {})
        } else {
            return Poll::Pending;
        };
        Poll::Ready(Some(FromSupervisor { message: Some(message) }))
    }
}
