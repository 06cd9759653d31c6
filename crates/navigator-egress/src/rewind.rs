//! A connection whose first bytes were read already, and are read again by whoever gets it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// A stream with bytes in front of it.
#[derive(Debug)]
pub(crate) struct Rewind<S> {
    early: Bytes,
    stream: S,
}

impl<S> Rewind<S> {
    /// A stream of which `early` was read.
    pub(crate) fn after(early: Bytes, stream: S) -> Rewind<S> {
        Rewind { early, stream }
    }
}

impl<S: AsyncRead + Unpin> Rewind<S> {
    /// The first bytes, `least` of them unless the stream ends before; they stay to be read.
    pub(crate) async fn peek(&mut self, least: usize) -> io::Result<&[u8]> {
        let mut early = BytesMut::from(std::mem::take(&mut self.early));
        while early.len() < least {
            if self.stream.read_buf(&mut early).await? == 0 {
                break;
            }
        }
        self.early = early.freeze();
        Ok(&self.early)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewind<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let length = self.early.len().min(buffer.remaining());
        if let Some(part) = self.early.get(..length) {
            buffer.put_slice(part);
        }
        self.early.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewind<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_looked_at_is_read_again() {
        let mut stream = Rewind::after(Bytes::from_static(b"ab"), &b"cdef"[..]);
        assert_eq!(stream.peek(4).await.unwrap(), b"abcdef");
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"abcdef");
    }

    #[tokio::test]
    async fn a_stream_that_ends_early_shows_what_there_is() {
        let mut stream = Rewind::after(Bytes::new(), &b"ab"[..]);
        assert_eq!(stream.peek(4).await.unwrap(), b"ab");
    }
}
