//! Signals to what a process has started: its group, or everything in its session.

use std::collections::BTreeSet;
use std::io;

use rustix::io::Errno;
use rustix::process::{Pid, Signal};

/// Sends a signal to the process group of a process that was not reaped yet.
pub(super) fn signal(leader: Pid, signal: i32) -> io::Result<()> {
    let Some(signal) = Signal::from_named_raw(signal) else { return Ok(()) };
    gone_is_fine(rustix::process::kill_process_group(leader, signal))
}

/// Kills the group of a process that was not reaped yet, and every other group of its session: a shell puts its jobs
/// into groups of their own.
///
/// A process with a pending SIGKILL cannot fork, so that nothing is left as soon as a look finds nobody new.
pub(super) fn kill(leader: Pid) -> io::Result<()> {
    gone_is_fine(rustix::process::kill_process_group(leader, Signal::KILL))?;
    let mut killed = BTreeSet::new();
    loop {
        let before = killed.len();
        for process in processes()? {
            if rustix::process::getsid(Some(process)) == Ok(leader) {
                gone_is_fine(rustix::process::kill_process(process, Signal::KILL))?;
                killed.insert(process.as_raw_nonzero());
            }
        }
        if killed.len() == before {
            return Ok(());
        }
    }
}

/// Every process of the sandbox but init.
fn processes() -> io::Result<Vec<Pid>> {
    let mut found = vec![];
    for entry in std::fs::read_dir("/proc")? {
        let number = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        found.extend(number.and_then(Pid::from_raw).filter(|pid| !pid.is_init()));
    }
    Ok(found)
}

fn gone_is_fine(result: rustix::io::Result<()>) -> io::Result<()> {
    match result {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
