//! Carries a WebSocket both ways, with a bound on single text frames (RFC 6455 section 5.2).
//!
//! Payloads are not looked at and not held: a frame's head says how much follows, and that much is passed on.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::Switched;
use navigator_tunnel::silence;

/// Bytes that are moved at once.
const BUFFER: usize = 16 * 1024;
/// Opcode of a text frame, and of one that continues a message.
const TEXT: u8 = 1;
const CONTINUATION: u8 = 0;
/// Longest head of a frame: two bytes, an eight-byte length, a mask.
const LONGEST_HEAD: usize = 14;

/// Why a WebSocket ended before both sides had closed it.
#[derive(Debug, Error)]
pub(crate) enum WebSocketError {
    #[error("failed to relay the WebSocket")]
    Relay(#[from] io::Error),
    #[error("failed to relay the WebSocket: a text frame of {0} bytes is longer than allowed")]
    TextFrame(u64),
    #[error("failed to keep the WebSocket open: it was idle for too long")]
    Idle,
}

/// Follows the frames of one direction.
#[derive(Debug, Default)]
pub struct Frames {
    head: [u8; LONGEST_HEAD],
    known: usize,
    payload: u64,
    text: bool,
}

impl Frames {
    /// Looks at bytes on their way.
    ///
    /// # Errors
    /// The length of a text frame that is longer than `limit`.
    pub fn pass(&mut self, mut bytes: &[u8], limit: u64) -> Result<(), u64> {
        while let [first, rest @ ..] = bytes {
            if self.payload > 0 {
                let here = usize::try_from(self.payload).unwrap_or(usize::MAX).min(bytes.len());
                self.payload -= here as u64;
                bytes = bytes.get(here..).unwrap_or_default();
                continue;
            }
            if let Some(slot) = self.head.get_mut(self.known) {
                *slot = *first;
            }
            self.known += 1;
            bytes = rest;
            if self.known == self.head_length() {
                self.begin_payload(limit)?;
            }
        }
        Ok(())
    }

    /// Bytes of the head, as far as its first two say.
    fn head_length(&self) -> usize {
        let masked = if self.head[1] & 0x80 == 0 { 0 } else { 4 };
        let extended = match self.head[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        // Before the second byte is known, at least that one is missing.
        if self.known < 2 { 2 } else { 2 + extended + masked }
    }

    fn begin_payload(&mut self, limit: u64) -> Result<(), u64> {
        let number =
            |bytes: &[u8]| bytes.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        self.payload = match self.head[1] & 0x7f {
            126 => number(&self.head[2..4]),
            127 => number(&self.head[2..10]),
            length => length.into(),
        };
        self.known = 0;
        self.text = match self.head[0] & 0x0f {
            CONTINUATION => self.text,
            opcode if opcode & 0x08 == 0 => opcode == TEXT,
            // A control frame may stand between the frames of a message.
            _ => return Ok(()),
        };
        if self.text && self.payload > limit { Err(self.payload) } else { Ok(()) }
    }
}

/// Carries frames both ways until both sides have closed.
pub(crate) async fn carry(
    switched: Switched,
    limit: u64,
    idle: Duration,
) -> Result<(), WebSocketError> {
    let client = TokioIo::new(switched.client.await.map_err(io::Error::other)?);
    let server = TokioIo::new(switched.server.await.map_err(io::Error::other)?);
    let (from_client, to_client) = tokio::io::split(client);
    let (from_server, to_server) = tokio::io::split(server);
    let moved = AtomicU64::new(0);
    let both = async {
        tokio::try_join!(
            one_way(from_client, to_server, limit, &moved),
            one_way(from_server, to_client, limit, &moved),
        )
    };
    tokio::select! {
        ended = both => ended.map(|_| ()),
        () = silence(&moved, idle) => Err(WebSocketError::Idle),
    }
}

async fn one_way(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    limit: u64,
    moved: &AtomicU64,
) -> Result<(), WebSocketError> {
    let mut frames = Frames::default();
    let mut buffer = vec![0u8; BUFFER];
    loop {
        let read = from.read(&mut buffer).await?;
        let bytes = buffer.get(..read).unwrap_or_default();
        if bytes.is_empty() {
            to.shutdown().await?;
            return Ok(());
        }
        moved.fetch_add(read as u64, Ordering::Relaxed);
        frames.pass(bytes, limit).map_err(WebSocketError::TextFrame)?;
        to.write_all(bytes).await?;
        to.flush().await?;
    }
}

#[cfg(test)]
mod tests;
