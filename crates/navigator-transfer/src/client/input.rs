//! Packets off a stream, one after the other in one buffer.

use navigator_sftp::wire::MAX_PACKET;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::ClientError;

/// Bytes of small packets that are read together. Long ones are read to their end and not beyond, so that what
/// follows them need not move.
const TOGETHER: usize = 64 * 1024;

/// A stream of packets.
pub(super) struct Input<S> {
    stream: S,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl<S: AsyncRead + Unpin> Input<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, buffer: vec![0; 4 + MAX_PACKET], start: 0, end: 0 }
    }

    /// The next packet without its length; nothing at the stream's end.
    pub(super) async fn next(&mut self) -> Result<Option<&[u8]>, ClientError> {
        let prefix = self.at_least(4).await?;
        let Some(prefix) = prefix.first_chunk::<4>() else {
            return if prefix.is_empty() { Ok(None) } else { Err(ClientError::Closed) };
        };
        let length = usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
        if !(5..=MAX_PACKET).contains(&length) {
            return Err(ClientError::Protocol);
        }
        self.at_least(4 + length).await?;
        let from = self.start + 4;
        self.start = from + length;
        let packet = self.buffer[..self.end].get(from..self.start);
        packet.map(Some).ok_or(ClientError::Closed)
    }

    /// Reads until there is that much, or the stream ends.
    async fn at_least(&mut self, length: usize) -> Result<&[u8], ClientError> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.start + length > self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let until = (self.start + length.max(TOGETHER)).min(self.buffer.len());
        while self.end - self.start < length {
            let read = self.stream.read(&mut self.buffer[self.end..until]).await;
            match read.map_err(ClientError::Stream)? {
                0 => break,
                count => self.end += count,
            }
        }
        Ok(&self.buffer[self.start..self.end])
    }
}
