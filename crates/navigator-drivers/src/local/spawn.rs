//! Starts a supervisor in its place and hands it what it must know.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;

use super::place::Place;
use super::words;

/// How long a supervisor may take to read what it is told; it does nothing before.
pub(super) const READING: Duration = Duration::from_secs(10);
/// What a supervisor may see of the gateway's environment; `XDG_*` besides.
const ENVIRONMENT: [&str; 7] =
    ["PATH", "HOME", "LANG", "TZ", "NAVIGATOR_LOG", "SSL_CERT_FILE", "SSL_CERT_DIR"];

/// A supervisor that was started and told nothing yet.
pub(super) struct Spawned {
    child: Child,
    pidfd: OwnedFd,
    /// Where its words begin in the log.
    pub log_start: u64,
    input: ChildStdin,
}

/// A child that is ended unless it is claimed.
struct Unclaimed(Option<Child>);

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            end(&mut child);
        }
    }
}

/// Starts `program supervise` with the lock as its standard output: the lock belongs to the open file, so it is held
/// exactly as long as the supervisor, or a process of its sandbox, has it open.
pub(super) fn spawn(
    program: &Path,
    environment: &[(OsString, OsString)],
    place: &Place,
    lock: File,
) -> io::Result<Spawned> {
    let (log, log_start) = words::open(place.directory())?;
    let mut command = Command::new(program);
    // The program's file may be named by how the kernel finds it, which tells people nothing.
    command.arg0("navigator");
    command.arg("supervise").env_clear().envs(visible(environment)).current_dir("/");
    command.stdin(Stdio::piped()).stdout(lock).stderr(log);
    // Out of reach of the signals that a terminal sends to the gateway.
    command.process_group(0);
    let mut unclaimed = Unclaimed(Some(command.spawn()?));
    let child = unclaimed.0.as_mut().ok_or(io::ErrorKind::NotFound)?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // It is not reaped yet, so its id is its own.
    let pidfd =
        rustix::process::pidfd_open(pid.ok_or(io::ErrorKind::NotFound)?, PidfdFlags::empty())?;
    let input = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let child = unclaimed.0.take().ok_or(io::ErrorKind::NotFound)?;
    Ok(Spawned { child, pidfd, log_start, input })
}

fn visible(environment: &[(OsString, OsString)]) -> impl Iterator<Item = (&OsString, &OsString)> {
    environment.iter().map(|(name, value)| (name, value)).filter(|(name, _)| {
        name.to_str().is_some_and(|name| ENVIRONMENT.contains(&name) || name.starts_with("XDG_"))
    })
}

impl Spawned {
    /// Tells the supervisor what it must know. One that does not read it to its end is given back, to be ended.
    pub(super) async fn tell(self, launch: &[u8]) -> Result<(Child, OwnedFd), (io::Error, Child)> {
        let Self { child, pidfd, input, .. } = self;
        match tokio::time::timeout(READING, write(input, launch)).await {
            Ok(Ok(())) => Ok((child, pidfd)),
            Ok(Err(error)) => Err((error, child)),
            Err(_) => Err((io::ErrorKind::TimedOut.into(), child)),
        }
    }
}

async fn write(input: ChildStdin, launch: &[u8]) -> io::Result<()> {
    let mut input = pipe::Sender::from_owned_fd(OwnedFd::from(input))?;
    input.write_all(launch).await
}

/// Ends a child at once and reaps it.
pub(super) fn end(child: &mut Child) -> String {
    let ended = child.kill().and_then(|()| child.wait());
    match ended {
        Ok(status) => super::watch::status_in_words(status),
        Err(error) => format!("it could not be ended: {error}"),
    }
}
