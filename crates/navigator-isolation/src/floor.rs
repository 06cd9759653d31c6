//! What the kernel alone asks for a start: one process in all new namespaces that runs one program. Nothing confines
//! it, so it is no sandbox; starts of sandboxes are measured against it.

use std::ffi::CStr;
use std::io;

use rustix::process::{WaitOptions, waitpid};

use crate::sandbox::NAMESPACES;
use crate::sys::{self, Cloned};

/// Runs a program without arguments in namespaces of its own, waits for its end, and returns its exit code.
///
/// # Errors
/// When this process has more than one thread, when the kernel refuses the namespaces, or when a signal ended the
/// program.
pub fn run_in_namespaces(program: &CStr) -> io::Result<i32> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("a process with several threads cannot be copied safely"));
    }
    match sys::clone_into(NAMESPACES, None)? {
        Cloned::Child => {
            sys::execve(program, &[program.as_ptr(), std::ptr::null()], &[std::ptr::null()]);
            sys::exit_now(127)
        }
        Cloned::Parent { pid, .. } => loop {
            match waitpid(Some(pid), WaitOptions::empty()) {
                Err(rustix::io::Errno::INTR) | Ok(None) => {}
                Err(error) => return Err(error.into()),
                Ok(Some((_, status))) => {
                    return status
                        .exit_status()
                        .ok_or_else(|| io::Error::other("a signal ended it"));
                }
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_threads_is_not_copied() {
        // The test's own thread is the second one.
        assert!(run_in_namespaces(c"/bin/true").is_err());
    }
}
