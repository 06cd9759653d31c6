//! Ends the local gateway, and only that: the process that listens, if it is this user's and this program.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// How long a gateway may take to finish what it answers.
const DRAIN: Duration = Duration::from_secs(30);

/// A gateway that was not stopped.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// Who listens is not known.
    #[error("failed to find out who listens on {}", path.display())]
    Find {
        /// The socket.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Something else listens, such as a service manager that starts gateways.
    #[error(
        "failed to stop process {pid}, which listens on {}: it runs another program; stop its service instead",
        path.display()
    )]
    Other {
        /// The socket.
        path: PathBuf,
        /// Who listens.
        pid: u32,
    },
    /// It got the signal and goes on.
    #[error("failed to see process {pid} end within {} s", DRAIN.as_secs())]
    StillThere {
        /// The gateway.
        pid: u32,
    },
}

/// Asks the gateway on a socket to end and waits until it has; false when none listens.
///
/// # Errors
/// [`StopError`] when it is not a gateway of this user, or does not end.
pub fn stop(path: &Path, program: &Path) -> Result<bool, StopError> {
    let failed = |source| StopError::Find { path: path.to_owned(), source };
    let stream = match UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(false);
        }
        Err(error) => return Err(failed(error)),
    };
    let system = |error: rustix::io::Errno| failed(error.into());
    let pid = rustix::net::sockopt::socket_peercred(&stream).map_err(system)?.pid;
    drop(stream);
    // The descriptor stands for this process, also if its number is given to another one in between.
    let process = pidfd_open(pid, PidfdFlags::empty()).map_err(system)?;
    let pid = pid.as_raw_nonzero().get().unsigned_abs();
    if !std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| same(&exe, program)) {
        return Err(StopError::Other { path: path.to_owned(), pid });
    }
    pidfd_send_signal(&process, Signal::TERM).map_err(system)?;
    let limit = Timespec { tv_sec: DRAIN.as_secs().cast_signed(), tv_nsec: 0 };
    match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&limit)).map_err(system)? {
        0 => Err(StopError::StillThere { pid }),
        _ended => Ok(true),
    }
}

/// After an update the file of a running program has ` (deleted)` behind its name.
fn same(exe: &Path, program: &Path) -> bool {
    let name = exe.to_string_lossy();
    Path::new(name.strip_suffix(" (deleted)").unwrap_or(&name)) == program
}
