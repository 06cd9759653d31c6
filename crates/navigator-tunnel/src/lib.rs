//! Bytes from one socket to another without a copy through user space (`splice(2)`), half-close
//! kept.
//!
//! A pipe is borrowed from a pool only while bytes are in it, so an idle tunnel costs its two
//! sockets and nothing else. Where `splice` is not supported, the bytes are copied.

#![forbid(unsafe_code)]

mod pipes;
mod socket;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, splice};
use thiserror::Error;
use tokio::io::Interest;
use tokio_util::sync::CancellationToken;

pub use pipes::PipePool;
pub use socket::Socket;

use pipes::Pipe;

/// Most bytes that one `splice` moves; the pipe bounds it as well.
const CHUNK: usize = 1 << 20;
/// Pages are moved where they can be, and a step that must wait says so.
const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);
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
    /// A tunnel without a byte for between one and two of these ends; without one it may be silent for ever.
    pub idle: Option<Duration>,
    /// Ends the tunnel when cancelled.
    pub ended: &'a CancellationToken,
}

/// One end of a tunnel.
#[derive(Debug)]
pub struct End<'a, S> {
    /// Its socket.
    pub socket: &'a S,
    /// What was read from it before; that goes first.
    pub early: &'a [u8],
}

/// Carries bytes both ways until both sides have closed. Returns the bytes carried in both directions.
///
/// # Errors
/// [`TunnelError`] when a socket fails, nothing moves for too long, or the right ends.
pub async fn carry(
    one: End<'_, impl Socket>,
    other: End<'_, impl Socket>,
    carriage: &Carriage<'_>,
) -> Result<u64, TunnelError> {
    let moved = AtomicU64::new(0);
    let relay = async {
        tokio::try_join!(
            one_way(&one, other.socket, carriage.pipes, &moved),
            one_way(&other, one.socket, carriage.pipes, &moved),
        )
    };
    tokio::select! {
        ended = relay => ended.map_err(TunnelError::Relay)?,
        idle = too_long(&moved, carriage.idle) => return Err(TunnelError::Idle(idle)),
        () = carriage.ended.cancelled() => return Err(TunnelError::Revoked),
    };
    Ok(moved.load(Ordering::Relaxed))
}

async fn too_long(moved: &AtomicU64, idle: Option<Duration>) -> Duration {
    let Some(period) = idle else { return std::future::pending().await };
    silence(moved, period).await;
    period
}

/// Looks at the count once per period, so that moving bytes never touches a timer.
pub async fn silence(moved: &AtomicU64, period: Duration) {
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
    from: &End<'_, impl Socket>,
    to: &impl Socket,
    pipes: &PipePool,
    moved: &AtomicU64,
) -> io::Result<()> {
    moved.fetch_add(from.early.len() as u64, Ordering::Relaxed);
    write_all(to, from.early).await?;
    let from = from.socket;
    loop {
        from.readable().await?;
        let mut pipe = pipes.take()?;
        match from.step(Interest::READABLE, || fill(from, &pipe)) {
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

fn fill(from: &impl Socket, pipe: &Pipe) -> io::Result<usize> {
    Ok(splice(from, None, &pipe.write, None, CHUNK, FLAGS)?)
}

async fn drain(pipe: &Pipe, to: &impl Socket, mut left: usize) -> io::Result<()> {
    while left > 0 {
        let moved = move_some(to, || Ok(splice(&pipe.read, None, to, None, left, FLAGS)?));
        left -= moved.await?;
    }
    Ok(())
}

async fn copy(from: &impl Socket, to: &impl Socket, moved: &AtomicU64) -> io::Result<()> {
    let mut buffer = vec![0u8; COPY_BUFFER];
    loop {
        from.readable().await?;
        let read = || Ok(rustix::io::read(from, &mut buffer[..])?);
        let read = match from.step(Interest::READABLE, read) {
            Ok(0) => return shut_down(to),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        moved.fetch_add(read as u64, Ordering::Relaxed);
        write_all(to, &buffer[..read]).await?;
    }
}

async fn write_all(to: &impl Socket, mut left: &[u8]) -> io::Result<()> {
    while !left.is_empty() {
        let send = || Ok(rustix::net::send(to, left, rustix::net::SendFlags::NOSIGNAL)?);
        let written = move_some(to, send).await?;
        left = left.get(written..).unwrap_or_default();
    }
    Ok(())
}

/// Writes as much as there is room for, at least one byte.
async fn move_some(
    to: &impl Socket,
    mut write: impl FnMut() -> io::Result<usize>,
) -> io::Result<usize> {
    loop {
        to.writable().await?;
        match to.step(Interest::WRITABLE, &mut write) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return done,
        }
    }
}

/// Passes an end of input on; a peer that has already closed needs none.
fn shut_down(to: &impl Socket) -> io::Result<()> {
    match rustix::net::shutdown(to, rustix::net::Shutdown::Write) {
        Ok(()) | Err(Errno::NOTCONN) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
