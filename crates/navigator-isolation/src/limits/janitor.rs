//! A small process that removes a sandbox's cgroups after its supervisor, however that ended.
//!
//! A killed process cannot clean up, and an empty cgroup stays for ever. The janitor waits for the end of a
//! pipe that only the supervisor holds.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Signal, WaitOptions};

use crate::confine::raw;
use crate::sys;

/// How often removal is tried: the kernel empties a group shortly after its last process ended.
const TRIES: u32 = 200;
/// Time between two tries.
const PAUSE: Duration = Duration::from_millis(5);

/// The janitor of this process. Dropping it lets it do its work and waits for that.
#[derive(Debug)]
pub(super) struct Janitor {
    pid: Pid,
    supervisor: Option<OwnedFd>,
    groups: Vec<PathBuf>,
}

/// Starts the janitor for these groups, which need not exist yet.
pub(super) fn hire(groups: &[PathBuf]) -> io::Result<Janitor> {
    let (waits, supervisor) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    match sys::fork()? {
        Some(pid) => Ok(Janitor { pid, supervisor: Some(supervisor), groups: groups.to_vec() }),
        None => sys::exit_now(i32::from(work(&waits, groups).is_err())),
    }
}

fn work(waits: &OwnedFd, groups: &[PathBuf]) -> io::Result<()> {
    // It outlives its supervisor by a moment, also when somebody ends both by name or by group.
    sys::block_signals()?;
    // Out of reach of the terminal's signals, and holding nothing that somebody else waits for.
    rustix::process::setsid()?;
    rustix::process::chdir(c"/")?;
    sys::close_all_but(&[raw(waits)])?;
    rustix::thread::set_name(c"navigator-tidy")?;
    while let Err(rustix::io::Errno::INTR) = rustix::io::read(waits, &mut [0]) {}
    remove(groups)
}

fn remove(groups: &[PathBuf]) -> io::Result<()> {
    for _ in 0..TRIES {
        if groups.iter().filter(|group| !removed(group)).count() == 0 {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// Removes a group; what still runs in it is killed first.
fn removed(group: &Path) -> bool {
    match rustix::fs::rmdir(group) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => return true,
        Err(_) => {}
    }
    let Ok(processes) = std::fs::read_to_string(group.join("cgroup.procs")) else { return false };
    let pids = processes.lines().filter_map(|line| line.parse().ok()).filter_map(Pid::from_raw);
    for pid in pids {
        // One that ended in between is what is wanted.
        match rustix::process::kill_process(pid, Signal::KILL) {
            Ok(()) | Err(_) => {}
        }
    }
    false
}

impl Drop for Janitor {
    fn drop(&mut self) {
        drop(self.supervisor.take());
        while let Err(rustix::io::Errno::INTR) =
            rustix::process::waitpid(Some(self.pid), WaitOptions::empty())
        {}
        // The janitor did this, unless it was killed itself. A group that stays now stays for good.
        match remove(&self.groups) {
            Ok(()) | Err(_) => {}
        }
    }
}
