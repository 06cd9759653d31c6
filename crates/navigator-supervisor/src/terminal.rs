//! The bytes between the caller's terminal and the one in the sandbox.
//!
//! The caller's terminal is raw while the command runs, so that keys such as Ctrl-C reach the sandbox's own
//! terminal, which turns them into signals there. It is given back as it was in every case.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use navigator_isolation::{Leader, Stdio, Terminal, TerminalSize};
use rustix::termios::Winsize;
use rustix::termios::{OptionalActions, Termios};
use tokio::sync::oneshot;

use crate::request::TerminalChoice;

/// Bytes moved at once; a terminal's own buffer holds 4096.
const CHUNK: usize = 16 * 1024;
/// What a terminal understands as the end of input (Ctrl-D).
const END_OF_INPUT: u8 = 4;
/// The size of a terminal that nobody looks at.
const USUAL_SIZE: TerminalSize = TerminalSize { rows: 24, columns: 80 };

/// What the command's three standard descriptors become.
pub(crate) fn wiring(choice: TerminalChoice) -> ([Stdio; 3], Option<Terminal>) {
    let is_terminal = |fd: BorrowedFd<'_>| rustix::termios::isatty(fd);
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let terminal = match choice {
        TerminalChoice::Always => true,
        TerminalChoice::Never => false,
        TerminalChoice::Auto => is_terminal(stdin.as_fd()) && is_terminal(stdout.as_fd()),
    };
    if !terminal {
        return ([Stdio::Inherit; 3], None);
    }
    let of = |fd: BorrowedFd<'_>| match choice {
        TerminalChoice::Always => Stdio::Terminal,
        TerminalChoice::Auto | TerminalChoice::Never if is_terminal(fd) => Stdio::Terminal,
        TerminalChoice::Auto | TerminalChoice::Never => Stdio::Inherit,
    };
    let stdio = [of(stdin.as_fd()), of(stdout.as_fd()), of(stderr.as_fd())];
    let size = size().unwrap_or(USUAL_SIZE);
    (stdio, Some(Terminal { size, leader: Leader::Init }))
}

/// The size of the caller's terminal, if it has one.
pub(crate) fn size() -> Option<TerminalSize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_row > 0 && size.ws_col > 0)
        .then_some(TerminalSize { rows: size.ws_row, columns: size.ws_col })
}

/// Tells a terminal of the sandbox, by its controlling side, its new size; its foreground is told by the kernel.
pub(crate) fn resize(master: &OwnedFd, size: TerminalSize) -> rustix::io::Result<()> {
    let TerminalSize { rows, columns } = size;
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(master, size)
}

/// The caller's terminal in raw mode; back to what it was on drop.
pub(crate) struct Raw {
    before: Option<Termios>,
}

impl Raw {
    /// Makes standard input raw if it is a terminal whose foreground this process is in.
    pub(crate) fn enter() -> io::Result<Self> {
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

/// Moves bytes both ways on threads of their own: a terminal that its user has paused must not hold up the
/// supervisor. The receiver resolves when the sandbox's side has nothing more to show.
pub(crate) fn relay(master: OwnedFd) -> io::Result<oneshot::Receiver<()>> {
    let keys = master.try_clone()?;
    std::thread::Builder::new().name("terminal-in".into()).spawn(move || type_in(&keys))?;
    let (done, finished) = oneshot::channel();
    std::thread::Builder::new().name("terminal-out".into()).spawn(move || {
        show(&master);
        // Nobody waits when the supervisor is ending already.
        let _unheard = done.send(());
    })?;
    Ok(finished)
}

fn type_in(master: &OwnedFd) {
    let mut chunk = vec![0; CHUNK];
    loop {
        match rustix::io::read(io::stdin(), &mut chunk) {
            Ok(0) => {
                write_all(master.as_fd(), &[END_OF_INPUT]);
                return;
            }
            Ok(length) => {
                if !write_all(master.as_fd(), &chunk[..length]) {
                    return;
                }
            }
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(_) => return,
        }
    }
}

fn show(master: &OwnedFd) {
    let mut chunk = vec![0; CHUNK];
    loop {
        match rustix::io::read(master, &mut chunk) {
            // EIO: every process that held the terminal is gone.
            Ok(0) | Err(rustix::io::Errno::IO) => return,
            Ok(length) => {
                if !write_all(io::stdout().as_fd(), &chunk[..length]) {
                    return;
                }
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

/// Writes everything; false when the other side is gone.
fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => {
                let mut wait = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::OUT)];
                if rustix::event::poll(&mut wait, None).is_err() {
                    return false;
                }
            }
            Err(_) => return false,
        }
    }
    true
}
