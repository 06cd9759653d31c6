//! The bytes between the caller's terminal and the one in the sandbox.
//!
//! The caller's terminal is raw while the command runs, so that keys such as Ctrl-C reach the sandbox's own
//! terminal, which turns them into signals there. It is given back as it was in every case.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use navigator_isolation::{Leader, Stdio, Terminal, TerminalSize};
pub(crate) use navigator_terminal::Raw;
use navigator_terminal::{CHUNK, USUAL_SIZE, is_terminal, write_all};
use rustix::termios::Winsize;
use tokio::sync::oneshot;

use crate::request::TerminalChoice;

/// What a terminal understands as the end of input (Ctrl-D).
const END_OF_INPUT: u8 = 4;
/// What the command's three standard descriptors become.
pub(crate) fn wiring(choice: TerminalChoice) -> ([Stdio; 3], Option<Terminal>) {
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
    let size = size().unwrap_or(sandbox_size(USUAL_SIZE));
    (stdio, Some(Terminal { size, leader: Leader::Init }))
}

/// The size of the caller's terminal, if it has one.
pub(crate) fn size() -> Option<TerminalSize> {
    navigator_terminal::size().map(sandbox_size)
}

/// Tells a terminal of the sandbox, by its controlling side, its new size; its foreground is told by the kernel.
pub(crate) fn resize(master: &OwnedFd, size: TerminalSize) -> rustix::io::Result<()> {
    let TerminalSize { rows, columns } = size;
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(master, size)
}

fn sandbox_size(size: navigator_terminal::Size) -> TerminalSize {
    TerminalSize { rows: size.rows, columns: size.columns }
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
                // When the terminal is gone, nobody reads the end either.
                let _unread = write_all(master, &[END_OF_INPUT]);
                return;
            }
            Ok(length) => {
                if write_all(master, &chunk[..length]).is_err() {
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
                if write_all(io::stdout(), &chunk[..length]).is_err() {
                    return;
                }
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
    }
}
