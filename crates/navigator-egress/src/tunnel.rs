//! Bytes from one socket to another without a copy through user space (`splice(2)`), half-close
//! kept.
//!
//! A pipe is borrowed from a pool only while bytes are in it, so an idle tunnel costs its two
//! sockets and nothing else. Where `splice` is not supported, the bytes are copied.

mod pipes;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, splice};
use thiserror::Error;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

pub use pipes::PipePool;

use pipes::Pipe;

/// Most bytes that one `splice` moves; the pipe bounds it as well.
const CHUNK: usize = 1 << 20;
/// Buffer of the copying fall-back.
const COPY_BUFFER: usize = 16 * 1024;

/// Why a tunnel ended before both sides had closed.
#[derive(Debug, Error)]
pub enum TunnelError {
    /// A socket failed.
    #[error("failed to relay")]
    Relay(#[source] io::Error),
    /// No byte in either direction for too long.
    #[error("failed to keep the tunnel open: it was idle for {} s", .0.as_secs())]
    Idle(Duration),
    /// The right to it ended, or the sandbox does.
    #[error("failed to keep the tunnel open: it was revoked")]
    Revoked,
}

/// How a tunnel is carried.
#[derive(Debug)]
pub struct Carriage<'a> {
    /// Where pipes come from.
    pub pipes: &'a PipePool,
    /// A tunnel without a byte for between one and two of these ends.
    pub idle: Duration,
    /// Ends the tunnel when cancelled.
    pub ended: &'a CancellationToken,
}

/// Carries bytes both ways until both sides have closed. `early` was read from the client before
/// the tunnel began and is written first. Returns the bytes carried in both directions.
///
/// # Errors
/// [`TunnelError`] when a socket fails, nothing moves for too long, or the right ends.
pub async fn carry(
    client: &TcpStream,
    upstream: &mut TcpStream,
    early: &[u8],
    carriage: &Carriage<'_>,
) -> Result<u64, TunnelError> {
    let moved = AtomicU64::new(early.len() as u64);
    let relay = async {
        if !early.is_empty() {
            upstream.write_all(early).await?;
        }
        let upstream = &*upstream;
        tokio::try_join!(
            one_way(client, upstream, carriage.pipes, &moved),
            one_way(upstream, client, carriage.pipes, &moved),
        )
    };
    tokio::select! {
        ended = relay => ended.map_err(TunnelError::Relay)?,
        () = silence(&moved, carriage.idle) => return Err(TunnelError::Idle(carriage.idle)),
        () = carriage.ended.cancelled() => return Err(TunnelError::Revoked),
    };
    Ok(moved.load(Ordering::Relaxed))
}

/// Looks at the count once per period, so that moving bytes never touches a timer.
pub(crate) async fn silence(moved: &AtomicU64, period: Duration) {
    let mut before = moved.load(Ordering::Relaxed);
    loop {
        tokio::time::sleep(period).await;
        let now = moved.load(Ordering::Relaxed);
        if now == before {
            return;
        }
        before = now;
    }
}

async fn one_way(
    from: &TcpStream,
    to: &TcpStream,
    pipes: &PipePool,
    moved: &AtomicU64,
) -> io::Result<()> {
    loop {
        from.readable().await?;
        let mut pipe = pipes.take()?;
        match from.try_io(Interest::READABLE, || fill(from, &pipe)) {
            Ok(0) => {
                pipes.give_back(pipe);
                return shut_down(to);
            }
            Ok(filled) => {
                moved.fetch_add(filled as u64, Ordering::Relaxed);
                drain(&pipe, to, filled).await?;
                pipe.grow_after(filled);
                pipes.give_back(pipe);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => pipes.give_back(pipe),
            Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
                pipes.give_back(pipe);
                return copy(from, to, moved).await;
            }
            Err(error) => return Err(error),
        }
    }
}

fn fill(from: &TcpStream, pipe: &Pipe) -> io::Result<usize> {
    let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
    Ok(splice(from, None, &pipe.write, None, CHUNK, flags)?)
}

async fn drain(pipe: &Pipe, to: &TcpStream, mut left: usize) -> io::Result<()> {
    let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
    while left > 0 {
        let written = to
            .async_io(Interest::WRITABLE, || Ok(splice(&pipe.read, None, to, None, left, flags)?))
            .await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        left -= written;
    }
    Ok(())
}

async fn copy(from: &TcpStream, to: &TcpStream, moved: &AtomicU64) -> io::Result<()> {
    let mut buffer = vec![0u8; COPY_BUFFER];
    loop {
        from.readable().await?;
        let read = match from.try_read(&mut buffer) {
            Ok(0) => return shut_down(to),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        moved.fetch_add(read as u64, Ordering::Relaxed);
        let mut left = &buffer[..read];
        while !left.is_empty() {
            to.writable().await?;
            match to.try_write(left) {
                Ok(written) => left = left.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Passes an end of input on; a peer that has already closed needs none.
fn shut_down(to: &TcpStream) -> io::Result<()> {
    match rustix::net::shutdown(to, rustix::net::Shutdown::Write) {
        Ok(()) | Err(Errno::NOTCONN) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
