//! The terminal that a command was started from: its raw mode, its size, and writing all of something to it.
//!
//! Supervisors and clients show commands on it, and neither may depend on the other.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::termios::{OptionalActions, Termios};

/// Bytes moved at once; a terminal's own buffer holds 4096.
pub const CHUNK: usize = 16 * 1024;

/// The size of a terminal that nobody looks at.
pub const USUAL_SIZE: Size = Size { rows: 24, columns: 80 };

/// Size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// Whether a descriptor is a terminal.
#[must_use]
pub fn is_terminal(fd: BorrowedFd<'_>) -> bool {
    rustix::termios::isatty(fd)
}

/// The size of the terminal that standard output goes to, if it does.
#[must_use]
pub fn size() -> Option<Size> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some(Size { rows: size.ws_row, columns: size.ws_col })
}

/// The caller's terminal in raw mode; back to what it was on drop.
#[derive(Debug)]
pub struct Raw {
    before: Option<Termios>,
}

impl Raw {
    /// Makes standard input raw if it is a terminal whose foreground this process is in.
    ///
    /// # Errors
    /// The system's reason when the terminal cannot be set.
    pub fn enter() -> io::Result<Self> {
        let stdin = io::stdin();
        let foreground = rustix::termios::isatty(&stdin)
            && rustix::termios::tcgetpgrp(&stdin)
                .is_ok_and(|group| group == rustix::process::getpgrp());
        if !foreground {
            return Ok(Self { before: None });
        }
        let before = rustix::termios::tcgetattr(&stdin)?;
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(&stdin, OptionalActions::Drain, &raw)?;
        Ok(Self { before: Some(before) })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.before
            && let Err(error) =
                rustix::termios::tcsetattr(io::stdin(), OptionalActions::Drain, before)
        {
            tracing::warn!(%error, "failed to restore the terminal; type `reset`");
        }
    }
}

/// Writes everything, and waits where the other side is slow.
///
/// # Errors
/// The system's reason when the other side is gone.
pub fn write_all(fd: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    let fd = fd.as_fd();
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => {
                let mut wait = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::OUT)];
                match rustix::event::poll(&mut wait, None) {
                    Ok(_) | Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
