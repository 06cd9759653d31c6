//! Terminals of the sandbox: one for each process that asks for one.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

use crate::spec::{Leader, Terminal, User};

/// Makes a terminal: its controlling side and its own.
pub(super) fn make(wanted: Terminal, user: &User) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = rustix::fs::open(Path::new("/dev/pts/ptmx"), flags, Mode::empty())?;
    rustix::pty::unlockpt(&master)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let terminal = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
    let size = wanted.size;
    let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&master, size)?;
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    rustix::fs::fchown(&terminal, Some(uid), Some(gid))?;
    match wanted.leader {
        Leader::Init => take(&terminal)?,
        // The process takes it itself, between fork and exec.
        Leader::Process => {}
    }
    Ok((master, terminal))
}

/// Makes it the terminal of init's own session.
fn take(terminal: &OwnedFd) -> io::Result<()> {
    match rustix::process::setsid() {
        // Init leads its session already.
        Ok(_) | Err(rustix::io::Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    rustix::process::ioctl_tiocsctty(terminal).map_err(Into::into)
}
