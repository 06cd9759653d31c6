//! Calls that wait: `connect(2)` and `execve(2)` in a sandbox stop in the kernel until the supervisor has looked at
//! the caller.
//!
//! A program that connects and at once becomes another one leaves nothing in `/proc` to tell it by, and neither does
//! one that forks and becomes another one leave anything in its child. So both are looked at while they cannot go on.
//! The filter is loaded into init, and every process inherits it. Whatever another filter refuses stays refused: a
//! refusal outranks a notification (seccomp(2)). A run that is watched waits in calls that name files, too.
//!
//! Source: seccomp_unotify(2).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};

use crate::spec::Observe;
use crate::sys;

/// The supervisor's side of the filter.
#[derive(Debug)]
pub struct Connects(OwnedFd);

/// One thread that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The kernel's number for this wait; never given twice.
    pub id: u64,
    /// The thread, by its id outside the sandbox.
    pub thread: u32,
    /// In which call.
    pub call: Call,
}

/// A call that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `connect(2)` of this descriptor.
    Connect(i32),
    /// `execve(2)` or `execveat(2)` of this file.
    Exec(Named),
    /// A call that opens this file; [`Observe::Files`] only.
    Open(Named),
    /// A call that asks about this file; [`Observe::Files`] only.
    Look(Named),
}

/// A file as the arguments of a call name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// The descriptor of the directory that a relative path begins at; `None` for the working directory.
    pub directory: Option<i32>,
    /// Where the path is in the caller's memory.
    pub pointer: u64,
}

/// Where a call has what it names.
#[derive(Clone, Copy)]
enum Arguments {
    Path,
    DirectoryAndPath,
}

/// Calls that open a file.
const OPENING: &[(libc::c_long, Arguments)] = &[
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, Arguments::Path),
    (libc::SYS_openat, Arguments::DirectoryAndPath),
    (libc::SYS_openat2, Arguments::DirectoryAndPath),
];
/// Calls that ask about a file.
const LOOKING: &[(libc::c_long, Arguments)] = &[
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_stat, Arguments::Path),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_lstat, Arguments::Path),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_access, Arguments::Path),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_readlink, Arguments::Path),
    (libc::SYS_newfstatat, Arguments::DirectoryAndPath),
    (libc::SYS_statx, Arguments::DirectoryAndPath),
    (libc::SYS_faccessat, Arguments::DirectoryAndPath),
    (libc::SYS_faccessat2, Arguments::DirectoryAndPath),
    (libc::SYS_readlinkat, Arguments::DirectoryAndPath),
    (libc::SYS_chdir, Arguments::Path),
];

impl Named {
    fn read(arguments: Arguments, values: &[u64; 6]) -> Self {
        match arguments {
            Arguments::Path => Self { directory: None, pointer: values[0] },
            Arguments::DirectoryAndPath => {
                let directory = values[0] as i32;
                let directory = (directory != libc::AT_FDCWD).then_some(directory);
                Self { directory, pointer: values[1] }
            }
        }
    }
}

/// Loads the filter into this process and into all that it will fork.
pub(crate) fn install(observe: Observe) -> io::Result<OwnedFd> {
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let equals = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let answer = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    // The architecture is not looked at: calls of another one end the process by the other filters.
    let mut calls = vec![libc::SYS_connect, libc::SYS_execve, libc::SYS_execveat];
    if observe == Observe::Files {
        calls.extend(OPENING.iter().chain(LOOKING).map(|(call, _)| call));
    }
    // Offset 0 of struct seccomp_data is the call's number.
    let mut steps = vec![step(load, 0, 0, 0)];
    for (place, call) in calls.iter().enumerate() {
        // Over the rest of the list and the answer that lets pass.
        let waits = u8::try_from(calls.len() - place).map_err(io::Error::other)?;
        steps.push(step(equals, waits, 0, *call as u32));
    }
    steps.push(step(answer, 0, 0, libc::SECCOMP_RET_ALLOW));
    steps.push(step(answer, 0, 0, libc::SECCOMP_RET_USER_NOTIF));
    let program =
        libc::sock_fprog { len: steps.len() as libc::c_ushort, filter: steps.as_mut_ptr() };
    // Signals that a program handles must not restart its connect while it is examined; Linux 5.19 has that.
    let patient = libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    match load_with(&program, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | patient) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            load_with(&program, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER)
        }
        other => other,
    }
}

fn load_with(program: &libc::sock_fprog, flags: libc::c_ulong) -> io::Result<OwnedFd> {
    let args = [libc::SECCOMP_SET_MODE_FILTER as usize, flags as usize, sys::pointer(program)];
    let [mode, flags, program] = args;
    let fd = sys::probe_call(libc::SYS_seccomp, [mode, flags, program, 0, 0, 0])
        .map_err(io::Error::from_raw_os_error)?;
    // SAFETY: the kernel just returned this descriptor, which is close-on-exec, to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

impl Connects {
    /// Takes over the descriptor that init handed out.
    #[must_use]
    pub fn new(listener: OwnedFd) -> Self {
        Self(listener)
    }

    /// Takes the next thread that waits; `None` when there is none now.
    ///
    /// # Errors
    /// When the filter is gone, and every process of the sandbox with it.
    pub fn next(&self) -> io::Result<Option<Waiting>> {
        loop {
            let mut ready = [PollFd::new(&self.0, PollFlags::IN)];
            let at_once = rustix::event::Timespec::default();
            rustix::io::retry_on_intr(|| rustix::event::poll(&mut ready, Some(&at_once)))?;
            let events = ready[0].revents();
            if !events.contains(PollFlags::IN) {
                // Receiving would block: the kernel ignores O_NONBLOCK here.
                return if events.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::BrokenPipe.into())
                };
            }
            match self.receive() {
                Ok(waiting) => return Ok(Some(waiting)),
                // It was ended in between.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn receive(&self) -> io::Result<Waiting> {
        // SAFETY: the structure is plain integers, for which all zeroes is a valid value, and wanted by the kernel.
        let mut notice: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        self.request(libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut notice)?;
        let (number, values) = (libc::c_long::from(notice.data.nr), &notice.data.args);
        let named = |list: &[(libc::c_long, Arguments)]| {
            let (_, arguments) = list.iter().find(|(call, _)| *call == number)?;
            Some(Named::read(*arguments, values))
        };
        let call = match number {
            libc::SYS_connect => Call::Connect(values[0] as i32),
            libc::SYS_execve => Call::Exec(Named::read(Arguments::Path, values)),
            _ => match (named(OPENING), named(LOOKING)) {
                (Some(file), _) => Call::Open(file),
                (None, Some(file)) => Call::Look(file),
                (None, None) => Call::Exec(Named::read(Arguments::DirectoryAndPath, values)),
            },
        };
        Ok(Waiting { id: notice.id, thread: notice.pid, call })
    }

    /// Whether that thread still waits. While it does, its process has not become another program: the exec of
    /// another thread would have ended this one (execve(2)).
    #[must_use]
    pub fn waits(&self, id: u64) -> bool {
        let mut id = id;
        self.request(libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw mut id).is_ok()
    }

    /// Lets a thread go on with its call; one that was ended meanwhile is no error.
    ///
    /// # Errors
    /// When the kernel does not know this answer (before Linux 5.5).
    pub fn proceed(&self, id: u64) -> io::Result<()> {
        let flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;
        let mut answer = libc::seccomp_notif_resp { id, val: 0, error: 0, flags };
        match self.request(libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer) {
            Err(error) if error.raw_os_error() != Some(libc::ENOENT) => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn request<T>(&self, request: libc::Ioctl, argument: *mut T) -> io::Result<()> {
        loop {
            // SAFETY: each caller passes a live value of the type that its request reads or writes.
            let result = unsafe { libc::ioctl(self.0.as_raw_fd(), request, argument) };
            if result >= 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            // A signal to the supervisor is no reason to leave anybody waiting.
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }
}

impl AsFd for Connects {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::process::Command;
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    /// Runs `body` in a thread under the filter: it is the thread's alone, and the process's children's.
    fn filtered<T: Send + 'static>(
        body: impl FnOnce() -> T + Send + 'static,
    ) -> (Connects, thread::JoinHandle<T>) {
        let (send, receive) = channel();
        let thread = thread::spawn(move || {
            rustix::thread::set_no_new_privs(true).unwrap();
            send.send(install(Observe::Nothing).unwrap()).unwrap();
            body()
        });
        (Connects::new(receive.recv().unwrap()), thread)
    }

    fn next(connects: &Connects) -> Waiting {
        rustix::event::poll(&mut [PollFd::new(connects, PollFlags::IN)], None).unwrap();
        connects.next().unwrap().unwrap()
    }

    #[test]
    fn a_connect_waits_until_it_may_proceed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let (connects, thread) = filtered(move || UnixStream::connect(path).is_ok());
        let waiting = next(&connects);
        assert!(matches!(waiting.call, Call::Connect(descriptor) if descriptor > 2));
        assert!(connects.waits(waiting.id));
        assert!(listener.accept().is_err(), "nothing was connected yet");
        connects.proceed(waiting.id).unwrap();
        assert!(thread.join().unwrap());
        assert!(listener.accept().is_ok());
        assert!(!connects.waits(waiting.id));
        assert_eq!(connects.proceed(waiting.id).ok(), Some(()), "it is over, which is no error");
        assert!(connects.next().is_err(), "nobody is left under the filter");
    }

    #[test]
    fn signals_to_the_supervisor_end_nothing() {
        extern "C" fn nothing(_: libc::c_int) {}
        let handler = nothing as extern "C" fn(libc::c_int);
        // SAFETY: the handler does nothing, and nothing else in this program uses the signal.
        unsafe { libc::signal(libc::SIGUSR2, handler as libc::sighandler_t) };
        // SAFETY: always succeeds.
        let this = unsafe { libc::pthread_self() };
        let (end, ended) = channel::<()>();
        let (connects, thread) = filtered(move || ended.recv().is_err());
        let stop = std::sync::atomic::AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    // SAFETY: the thread waits for this one at the end of the scope.
                    unsafe { libc::pthread_kill(this, libc::SIGUSR2) };
                }
            });
            let quiet = (0..300_000).all(|_| matches!(connects.next(), Ok(None)));
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(quiet);
        });
        drop(end);
        assert!(thread.join().unwrap());
    }

    #[test]
    fn an_exec_waits_and_a_thread_that_was_ended_waits_no_more() {
        let (connects, thread) = filtered(|| Command::new("/bin/true").status());
        let waiting = next(&connects);
        assert!(matches!(waiting.call, Call::Exec(_)));
        let pid = rustix::process::Pid::from_raw(waiting.thread as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        while connects.waits(waiting.id) {
            thread::yield_now();
        }
        assert!(thread.join().unwrap().is_ok_and(|status| !status.success()));
    }
}
