//! The byte stream of a connection: read while there is room for input, and cut when the connection is to end.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::flow::{Flow, Read};

/// Bytes that are read at once: two packets of the largest usual size, so that a packet costs less than one call.
const BUFFER: usize = 64 << 10;

/// A stream that waits and ends as the connection wants.
pub(crate) struct Gated<T> {
    inner: BufReader<T>,
    flow: Arc<Flow>,
    rest: Pin<Box<Sleep>>,
    /// One for each direction: a future wakes only who polled it last.
    reads_end: Pin<Box<WaitForCancellationFutureOwned>>,
    writes_end: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<T: AsyncRead> Gated<T> {
    pub(crate) fn new(stream: T, flow: Arc<Flow>, stop: &CancellationToken) -> Self {
        let end = || Box::pin(stop.clone().cancelled_owned());
        Self {
            inner: BufReader::with_capacity(BUFFER, stream),
            flow,
            rest: Box::pin(tokio::time::sleep_until(Instant::now())),
            reads_end: end(),
            writes_end: end(),
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Gated<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.reads_end.as_mut().poll(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        if let Read::After(rest) = ready!(this.flow.poll_read(context)) {
            this.rest.as_mut().reset(rest);
            ready!(this.rest.as_mut().poll(context));
        }
        let mut inner = Pin::new(&mut this.inner);
        let read = ready!(inner.as_mut().poll_fill_buf(context))?;
        let length = read.len().min(buffer.remaining());
        buffer.put_slice(&read[..length]);
        inner.consume(length);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Gated<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.writes_end.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(this.inner.get_mut()).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.writes_end.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(this.inner.get_mut()).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.writes_end.as_mut().poll(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(this.inner.get_mut()).poll_shutdown(context)
    }
}
