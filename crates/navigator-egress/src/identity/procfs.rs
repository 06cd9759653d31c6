//! Bounded reads below the sandbox's own `/proc`, by descriptor, never by a path of the host.

use std::ffi::CStr;
use std::fmt::Write as _;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, Mode, OFlags, RawDir, SeekFrom, Stat, open, openat, readlinkat, readlinkat_raw, seek,
    statat,
};
use rustix::io::{Errno, read};

use super::error::IdentityError;
use crate::limits::{MAX_CMDLINE, MAX_ENVIRON, MAX_MAPS};

/// "Forked but did not exec", in the flags of `proc_pid_stat(5)`; the same number since Linux 2.6.
const PF_FORKNOEXEC: u64 = 0x40;
/// Longest path (`PATH_MAX`), and the size of a page of memory at least.
const PATH_MAX: usize = 4096;
const PAGE: usize = 4096;
/// "Getting shut down", in the same flags.
const PF_EXITING: u64 = 0x4;

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
    /// Where its stack begins: each exec draws another place for it.
    pub(super) stack: u64,
    /// It has executed nothing since it was forked.
    pub(super) is_unchanged_fork: bool,
    /// It runs no code of its own any more.
    pub(super) is_ending: bool,
}

/// A thread, by its numbers inside the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Thread {
    pub(super) process: u32,
    pub(super) thread: u32,
}

impl Proc {
    /// The `/proc` of this program itself, which lists a sandbox's threads by their numbers outside.
    pub(super) fn own() -> Result<Proc, Errno> {
        let dir = open("/proc", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let own = readlinkat(&dir, "self", Vec::new())?;
        // Another pid namespace's numbers would mean other threads.
        if own.to_bytes() != rustix::process::getpid().to_string().as_bytes() {
            return Err(Errno::NODEV);
        }
        Proc::new(dir)
    }

    /// The numbers inside its own pid namespace of a thread that this `/proc` lists.
    pub(super) fn inside(&self, thread: u32) -> Result<Thread, IdentityError> {
        let mut buffer = [0u8; 4096];
        let read = self.read_once(thread, "status", &mut buffer)?;
        parse_inside(&buffer[..read])
            .ok_or(IdentityError::Unreadable { pid: thread, what: "status" })
    }

    /// The socket behind a descriptor of a thread; `None` when it is none.
    pub(super) fn socket(
        &self,
        thread: u32,
        descriptor: i32,
    ) -> Result<Option<u64>, IdentityError> {
        let mut buffer = [MaybeUninit::<u8>::uninit(); 64];
        let (link, _) =
            readlinkat_raw(&self.dir, &*path(thread, &format!("fd/{descriptor}")), &mut buffer[..])
                .map_err(|source| IdentityError::Process { pid: thread, what: "fd", source })?;
        let inode = link.strip_prefix(b"socket:[").and_then(|link| link.strip_suffix(b"]"));
        Ok(inode.and_then(|inode| std::str::from_utf8(inode).ok()?.parse().ok()))
    }

    /// A text in a thread's memory, up to its end or the longest path there is.
    pub(super) fn text(&self, thread: u32, pointer: u64) -> Result<String, IdentityError> {
        let fail = |source| IdentityError::Process { pid: thread, what: "mem", source };
        let memory = self.open_file(thread, "mem").map_err(fail)?;
        let mut text = Vec::new();
        while text.len() < PATH_MAX {
            let at = pointer + text.len() as u64;
            // Never over the end of a page: the next one may not be there.
            let rest = PAGE - usize::try_from(at % PAGE as u64).unwrap_or(0);
            let mut part = [0u8; PAGE];
            let read = rustix::io::pread(&memory, &mut part[..rest], at).map_err(fail)?;
            let part = part.get(..read).unwrap_or_default();
            if let Some(end) = part.iter().position(|byte| *byte == 0) {
                text.extend_from_slice(&part[..end]);
                return String::from_utf8(text)
                    .map_err(|_| IdentityError::Unreadable { pid: thread, what: "mem" });
            }
            if part.is_empty() {
                break;
            }
            text.extend_from_slice(part);
        }
        Err(IdentityError::Unreadable { pid: thread, what: "mem" })
    }

    /// Where a link below a thread's directory leads, as the sandbox would say it.
    pub(super) fn link(&self, thread: u32, name: &str) -> Result<String, IdentityError> {
        let link = readlinkat(&self.dir, &*path(thread, name), Vec::new())
            .map_err(|source| IdentityError::Process { pid: thread, what: "a link", source })?;
        link.into_string().map_err(|_| IdentityError::Unreadable { pid: thread, what: "a link" })
    }

    /// What a process has mapped.
    pub(super) fn mappings(&self, pid: u32) -> Result<Vec<u8>, IdentityError> {
        let fail = |source| IdentityError::Process { pid, what: "maps", source };
        let file = self.open_file(pid, "maps").map_err(fail)?;
        let mut text = Vec::with_capacity(32 * 1024);
        // One read gives a page at most.
        let mut page = [0u8; 8192];
        loop {
            let read = read(&file, &mut page).map_err(fail)?;
            text.extend_from_slice(&page[..read]);
            if read == 0 {
                return Ok(text);
            }
            if text.len() > MAX_MAPS {
                return Err(IdentityError::TooMany { what: "bytes of mappings", limit: MAX_MAPS });
            }
        }
    }

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
    let flags: u64 = fields.nth(4)?.parse().ok()?;
    let started = fields.nth(12)?.parse().ok()?;
    let stack = fields.nth(5)?.parse().ok()?;
    let is_unchanged_fork = flags & PF_FORKNOEXEC != 0;
    let is_ending = flags & PF_EXITING != 0;
    Some(ProcStat { pid, parent, started, stack, is_unchanged_fork, is_ending })
}

/// `proc_pid_status(5)`: `NStgid` and `NSpid` list a number for each pid namespace, the innermost last. A thread in
/// this program's own namespace has one only, and is none of a sandbox.
fn parse_inside(text: &[u8]) -> Option<Thread> {
    let innermost = |name: &str| {
        let line = text
            .split(|byte| *byte == b'\n')
            .find_map(|line| line.strip_prefix(name.as_bytes()))?;
        let mut numbers = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
        numbers.next()?;
        numbers.last()?.parse().ok()
    };
    Some(Thread { process: innermost("NStgid:")?, thread: innermost("NSpid:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_parent_and_start_time_behind_a_hostile_name() {
        let line =
            b"7 (a) S 99 (x) R 3 7 7 0 -1 4194368 1 2 3 4 5 6 7 8 20 0 1 0 4242 99 1 2 3 4 777 5\n";
        let stat = parse_stat(7, line).unwrap();
        assert_eq!(
            stat,
            ProcStat {
                pid: 7,
                parent: 3,
                started: 4242,
                stack: 777,
                is_unchanged_fork: true,
                is_ending: false
            }
        );
        let line = String::from_utf8_lossy(line).replace("4194368", "4194304");
        assert!(!parse_stat(7, line.as_bytes()).unwrap().is_unchanged_fork);
    }

    #[test]
    fn refuses_a_stat_line_that_is_cut_off() {
        assert_eq!(parse_stat(7, b"7 (sh) S 1 2 3"), None);
        assert_eq!(parse_stat(7, b""), None);
    }

    #[test]
    fn reads_the_innermost_numbers_of_a_thread_behind_a_hostile_name() {
        let text = b"Name:\tNStgid: 1 2\\nNSpid:\nTgid:\t90\nNStgid:\t90\t7\nNSpid:\t91\t8\n";
        assert_eq!(parse_inside(text), Some(Thread { process: 7, thread: 8 }));
        assert_eq!(parse_inside(b"NStgid:\t90\nNSpid:\t91\n"), None, "not in a sandbox");
        assert_eq!(parse_inside(b""), None);
    }
}
