//! Bounded reads below the sandbox's own `/proc`, by descriptor, never by a path of the host.

use std::ffi::CStr;
use std::fmt::Write as _;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, Mode, OFlags, RawDir, SeekFrom, Stat, openat, readlinkat_raw, seek, statat,
};
use rustix::io::{Errno, read};

use super::error::IdentityError;
use crate::limits::{MAX_CMDLINE, MAX_ENVIRON};

/// The sandbox's `/proc`.
#[derive(Debug)]
pub(super) struct Proc {
    dir: OwnedFd,
    list: OwnedFd,
}

/// What `/proc/PID/stat` says about a process's place in time and in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProcStat {
    pub(super) pid: u32,
    pub(super) parent: u32,
    pub(super) started: u64,
    /// Whether it is ending: its memory is gone or about to go, and it never runs its program again.
    pub(super) ending: bool,
}

/// `PF_EXITING` among the flags of `stat` (`proc_pid_stat(5)`).
const ENDING: u32 = 0x4;

impl Proc {
    pub(super) fn new(dir: OwnedFd) -> Result<Proc, Errno> {
        let list = openat(&dir, c".", directory(), Mode::empty())?;
        Ok(Proc { dir, list })
    }

    /// Calls `each` for every process of the sandbox.
    pub(super) fn each_process(
        &self,
        each: impl FnMut(u32) -> Result<(), IdentityError>,
    ) -> Result<(), IdentityError> {
        let fail = |source| IdentityError::Process { pid: 0, what: "the process list", source };
        seek(&self.list, SeekFrom::Start(0)).map_err(fail)?;
        each_number(self.list.as_fd(), each).map_err(|error| error.or(fail))
    }

    /// Threads of a process beside its first: the link count of `task` is two more than threads.
    pub(super) fn has_more_threads(&self, pid: u32) -> Result<bool, Errno> {
        let stat = statat(&self.dir, &*path(pid, "task"), AtFlags::empty())?;
        Ok(stat.st_nlink > 3)
    }

    pub(super) fn open_dir(&self, pid: u32, name: &str) -> Result<OwnedFd, Errno> {
        openat(&self.dir, &*path(pid, name), directory(), Mode::empty())
    }

    pub(super) fn stat(&self, pid: u32) -> Result<ProcStat, IdentityError> {
        let mut buffer = [0u8; 1024];
        let read = self.read_once(pid, "stat", &mut buffer)?;
        parse_stat(pid, &buffer[..read]).ok_or(IdentityError::Unreadable { pid, what: "stat" })
    }

    /// Whether a thread is ending or gone.
    pub(super) fn thread_has_ended(&self, pid: u32, thread: u32) -> bool {
        let mut buffer = [0u8; 1024];
        let read = self.open_file(pid, &format!("task/{thread}/stat")).and_then(|file| {
            let length = read(&file, &mut buffer)?;
            Ok(parse_stat(thread, &buffer[..length]))
        });
        match read {
            Ok(stat) => stat.is_some_and(|stat| stat.ending),
            Err(error) => error == Errno::NOENT || error == Errno::SRCH,
        }
    }

    /// The arguments as the process shows them; only the beginning, which is where a script is.
    pub(super) fn arguments(&self, pid: u32) -> Result<Vec<u8>, IdentityError> {
        self.read_bounded(pid, "cmdline", MAX_CMDLINE)
    }

    pub(super) fn environment(&self, pid: u32) -> Result<Vec<u8>, IdentityError> {
        let environment = self.read_bounded(pid, "environ", MAX_ENVIRON)?;
        if environment.len() == MAX_ENVIRON {
            return Err(IdentityError::TooMany {
                what: "bytes of environment",
                limit: MAX_ENVIRON,
            });
        }
        Ok(environment)
    }

    /// The executable's path as the kernel shows it.
    pub(super) fn executable_link<'b>(
        &self,
        pid: u32,
        buffer: &'b mut [MaybeUninit<u8>],
    ) -> Result<&'b [u8], IdentityError> {
        let (link, rest) = readlinkat_raw(&self.dir, &*path(pid, "exe"), buffer)
            .map_err(|source| IdentityError::Process { pid, what: "exe", source })?;
        if rest.is_empty() {
            return Err(IdentityError::Unreadable { pid, what: "exe" });
        }
        Ok(link)
    }

    /// The file that really runs, through the kernel's own link.
    pub(super) fn executable_stat(&self, pid: u32) -> Result<Stat, IdentityError> {
        statat(&self.dir, &*path(pid, "exe"), AtFlags::empty())
            .map_err(|source| IdentityError::Process { pid, what: "exe", source })
    }

    fn read_once(
        &self,
        pid: u32,
        what: &'static str,
        buffer: &mut [u8],
    ) -> Result<usize, IdentityError> {
        let fail = |source| IdentityError::Process { pid, what, source };
        let file = self.open_file(pid, what).map_err(fail)?;
        read(&file, buffer).map_err(fail)
    }

    fn read_bounded(
        &self,
        pid: u32,
        what: &'static str,
        limit: usize,
    ) -> Result<Vec<u8>, IdentityError> {
        let fail = |source| IdentityError::Process { pid, what, source };
        let file = self.open_file(pid, what).map_err(fail)?;
        let mut content = vec![0u8; 8192.min(limit)];
        let mut filled = 0;
        loop {
            let read = read(&file, &mut content[filled..]).map_err(fail)?;
            filled += read;
            // procfs fills the whole buffer when there is more, so a short read is the end.
            if read == 0 || filled < content.len() || filled == limit {
                content.truncate(filled);
                return Ok(content);
            }
            content.resize((content.len() * 4).min(limit), 0);
        }
    }

    fn open_file(&self, pid: u32, what: &str) -> Result<OwnedFd, Errno> {
        openat(&self.dir, &*path(pid, what), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
    }
}

/// An error of the listing itself, or of the one who was called for each entry.
pub(super) enum ListError {
    List(Errno),
    Each(IdentityError),
}

impl ListError {
    fn or(self, fail: impl FnOnce(Errno) -> IdentityError) -> IdentityError {
        match self {
            ListError::List(source) => fail(source),
            ListError::Each(error) => error,
        }
    }
}

/// Calls `each` for every entry of a directory whose name is a number.
pub(super) fn each_number(
    dir: BorrowedFd<'_>,
    mut each: impl FnMut(u32) -> Result<(), IdentityError>,
) -> Result<(), ListError> {
    let mut buffer = [MaybeUninit::<u8>::uninit(); 8192];
    let mut entries = RawDir::new(dir, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry.map_err(ListError::List)?;
        if let Some(number) = number(entry.file_name()) {
            each(number).map_err(ListError::Each)?;
        }
    }
    Ok(())
}

/// What the link `fd/NUMBER` says, if it fits; a socket's always does.
pub(super) fn descriptor_link<'b>(
    dir: BorrowedFd<'_>,
    number: u32,
    buffer: &'b mut [MaybeUninit<u8>; 64],
) -> Result<&'b [u8], Errno> {
    let mut name = heapless(number);
    name.push('\0');
    let name = CStr::from_bytes_with_nul(name.as_bytes()).map_err(|_| Errno::INVAL)?;
    Ok(readlinkat_raw(dir, name, &mut buffer[..])?.0)
}

fn heapless(number: u32) -> String {
    let mut name = String::with_capacity(12);
    let _ = write!(name, "{number}");
    name
}

fn path(pid: u32, name: &str) -> String {
    let mut path = String::with_capacity(32);
    let _ = write!(path, "{pid}/{name}");
    path
}

fn directory() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC
}

fn number(name: &CStr) -> Option<u32> {
    let name = name.to_str().ok()?;
    name.starts_with(|first: char| first.is_ascii_digit()).then(|| name.parse().ok())?
}

/// `proc_pid_stat(5)`: the name in parentheses may hold anything, so fields count from its end.
fn parse_stat(pid: u32, text: &[u8]) -> Option<ProcStat> {
    let end = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(end + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let flags: u32 = fields.nth(4)?.parse().ok()?;
    let started = fields.nth(12)?.parse().ok()?;
    Some(ProcStat { pid, parent, started, ending: flags & ENDING != 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_parent_and_start_time_behind_a_hostile_name() {
        let line = b"7 (a) S 99 (x) R 3 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 99 1\n";
        let stat = parse_stat(7, line).unwrap();
        assert_eq!(stat, ProcStat { pid: 7, parent: 3, started: 4242, ending: false });
    }

    #[test]
    fn knows_a_process_that_has_ended_and_was_not_waited_for() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let id = rustix::process::Pid::from_child(&child);
        let ended = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        rustix::process::waitid(rustix::process::WaitId::Pid(id), ended).unwrap();
        let dir = openat(rustix::fs::CWD, c"/proc", directory(), Mode::empty()).unwrap();
        let proc = Proc::new(dir).unwrap();
        assert!(proc.stat(child.id()).unwrap().ending);
        assert!(!proc.stat(std::process::id()).unwrap().ending);
        child.wait().unwrap();
    }

    #[test]
    fn refuses_a_stat_line_that_is_cut_off() {
        assert_eq!(parse_stat(7, b"7 (sh) S 1 2 3"), None);
        assert_eq!(parse_stat(7, b""), None);
    }
}
