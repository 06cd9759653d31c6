//! Empty pipes for reuse: making one costs more than moving a small message through it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

/// Pipes kept for reuse: enough for a burst, few enough not to be noticed (two descriptors each).
const KEPT: usize = 32;
/// What a pipe holds at first (`pipe(7)`).
const FIRST_SIZE: usize = 64 * 1024;
/// What a busy pipe is grown to: fewer wake-ups per megabyte.
const GROWN_SIZE: usize = 512 * 1024;

/// Empty pipes, kept for reuse.
#[derive(Debug, Default)]
pub struct PipePool {
    idle: Mutex<Vec<Pipe>>,
}

/// A pipe through which bytes pass from socket to socket.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) read: OwnedFd,
    pub(super) write: OwnedFd,
    grown: bool,
}

impl PipePool {
    pub(super) fn take(&self) -> io::Result<Pipe> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match kept {
            Some(pipe) => Ok(pipe),
            None => {
                let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
                Ok(Pipe { read, write, grown: false })
            }
        }
    }

    /// Takes back an **empty** pipe; one with bytes in it is dropped by its owner instead.
    pub(super) fn give_back(&self, pipe: Pipe) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push(pipe);
        }
    }
}

impl Pipe {
    /// Grows a pipe that was filled; the system may refuse, and then it stays as it is.
    pub(super) fn grow_after(&mut self, filled: usize) {
        if !self.grown && filled >= FIRST_SIZE / 2 {
            let _ = fcntl_setpipe_size(&self.write, GROWN_SIZE);
            self.grown = true;
        }
    }
}
