//! Which processes hold a socket: every one of them, not the first that is found.
//!
//! A thread can have a descriptor table of its own (`unshare(CLONE_FILES)`), so a process with
//! several threads is searched thread by thread; otherwise a socket could be hidden in one.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;

use super::error::IdentityError;
use super::procfs::{ListError, Proc, descriptor_link, each_number};
use crate::limits::{MAX_DESCRIPTORS, MAX_HOLDERS, MAX_PROCESSES};

/// The first process of a sandbox is ours and gives its connections to nobody.
const INIT: u32 = 1;

/// The processes that hold the socket with this inode, by pid inside the sandbox.
pub(super) fn of(proc: &Proc, inode: u64) -> Result<Vec<u32>, IdentityError> {
    let mut search = Search { wanted: format!("socket:[{inode}]"), descriptors: 0 };
    let mut holders = Vec::new();
    let mut processes = 0usize;
    proc.each_process(|pid| {
        processes += 1;
        if processes > MAX_PROCESSES {
            return Err(IdentityError::TooMany { what: "processes", limit: MAX_PROCESSES });
        }
        if search.process(proc, pid)? {
            holders.push(pid);
        }
        if holders.len() > MAX_HOLDERS {
            return Err(IdentityError::TooMany { what: "owners", limit: MAX_HOLDERS });
        }
        Ok(())
    })?;
    Ok(holders)
}

struct Search {
    wanted: String,
    descriptors: usize,
}

impl Search {
    fn process(&mut self, proc: &Proc, pid: u32) -> Result<bool, IdentityError> {
        let fail = |source| IdentityError::Process { pid, what: "fd", source };
        match proc.open_dir(pid, "fd") {
            Ok(table) => {
                if self.table(pid, table.as_fd())? {
                    return Ok(true);
                }
            }
            // It cannot be looked into, and need not be.
            Err(source) if is_gone(source) || pid == INIT => return Ok(false),
            Err(source) if is_ending(proc, pid, source) => {}
            Err(source) => return Err(fail(source)),
        }
        match proc.has_more_threads(pid) {
            Ok(true) => self.threads(proc, pid),
            Ok(false) => Ok(false),
            Err(source) if is_gone(source) => Ok(false),
            Err(source) => Err(fail(source)),
        }
    }

    fn threads(&mut self, proc: &Proc, pid: u32) -> Result<bool, IdentityError> {
        let fail = |source| IdentityError::Process { pid, what: "task", source };
        let tasks = match proc.open_dir(pid, "task") {
            Ok(tasks) => tasks,
            Err(source) if is_gone(source) => return Ok(false),
            Err(source) => return Err(fail(source)),
        };
        let mut found = false;
        let listed = each_number(tasks.as_fd(), |thread| {
            if found || thread == pid {
                return Ok(());
            }
            match proc.open_dir(pid, &format!("task/{thread}/fd")) {
                Ok(table) => found = self.table(pid, table.as_fd())?,
                Err(source) if is_gone(source) || is_ending(proc, thread, source) => {}
                Err(source) => return Err(fail(source)),
            }
            Ok(())
        });
        finish(listed, fail)?;
        Ok(found)
    }

    fn table(&mut self, pid: u32, table: BorrowedFd<'_>) -> Result<bool, IdentityError> {
        let fail = |source| IdentityError::Process { pid, what: "fd", source };
        let mut found = false;
        let mut buffer = [MaybeUninit::<u8>::uninit(); 64];
        let listed = each_number(table, |descriptor| {
            self.descriptors += 1;
            if self.descriptors > MAX_DESCRIPTORS {
                return Err(IdentityError::TooMany { what: "descriptors", limit: MAX_DESCRIPTORS });
            }
            if !found {
                found = match descriptor_link(table, descriptor, &mut buffer) {
                    Ok(link) => link == self.wanted.as_bytes(),
                    Err(source) if is_gone(source) || pid == INIT => false,
                    // A process can forbid it at any moment; what it holds then is not known.
                    Err(source) => return Err(fail(source)),
                };
            }
            Ok(())
        });
        finish(listed, fail)?;
        Ok(found)
    }
}

fn finish(
    listed: Result<(), ListError>,
    fail: impl FnOnce(Errno) -> IdentityError,
) -> Result<(), IdentityError> {
    match listed {
        Ok(()) => Ok(()),
        Err(ListError::List(source)) if is_gone(source) => Ok(()),
        Err(ListError::List(source)) => Err(fail(source)),
        Err(ListError::Each(error)) => Err(error),
    }
}

/// An ordinary user may not look at a thread that ends. It uses no descriptor any more; others of its process may.
fn is_ending(proc: &Proc, thread: u32, error: Errno) -> bool {
    error == Errno::ACCESS
        && proc.stat(thread).map_or_else(|error| error.is_gone(), |stat| stat.is_ending)
}

fn is_gone(error: Errno) -> bool {
    error == Errno::NOENT || error == Errno::SRCH
}
