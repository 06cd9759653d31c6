//! The system calls that rustix does not wrap, each as one small safe function.
//!
//! Everything unsafe about talking to the kernel in this crate lives here or in [`crate::confine`].

use std::ffi::{CStr, c_char, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::process::Pid;

/// Puts the child into the cgroup at once; libc's constant is cut to 32 bits (clone(2)).
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Which side of a clone the caller is on.
pub(crate) enum Cloned {
    /// The original process, with the new child.
    Parent {
        /// The child's process id.
        pid: Pid,
        /// A descriptor for the child, immune to pid reuse.
        pidfd: OwnedFd,
    },
    /// The new process.
    Child,
}

/// Turns a raw system-call return value into a result.
fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Creates a process in new namespaces (`CLONE_NEW*` flags), as clone3(2) does without sharing memory.
///
/// The caller must be single-threaded: then the child is an exact copy that may run ordinary code.
pub(crate) fn clone_into(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Cloned> {
    let mut pidfd: RawFd = -1;
    // SAFETY: clone_args is plain integers, for which all zeroes is a valid value.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags | libc::CLONE_PIDFD as u64;
    args.pidfd = (&raw mut pidfd) as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: `args` outlives the call; without CLONE_VM the child gets its own copy of memory.
    let result =
        unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) };
    match check(result)? {
        0 => Ok(Cloned::Child),
        pid => {
            let pid = Pid::from_raw(pid as i32).ok_or(io::ErrorKind::InvalidData)?;
            // SAFETY: the kernel stored a new descriptor there that nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Cloned::Parent { pid, pidfd })
        }
    }
}

/// Sets mount attributes (`MOUNT_ATTR_*`) on a mount and, when `recursive`, on all below it.
pub(crate) fn mount_setattr(
    mount: BorrowedFd<'_>,
    set: u64,
    depth: Depth,
    userns: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let attr = libc::mount_attr {
        attr_set: set,
        attr_clr: 0,
        propagation: 0,
        userns_fd: userns.map_or(0, |fd| fd.as_raw_fd() as u64),
    };
    let flags = libc::AT_EMPTY_PATH
        | match depth {
            Depth::This => 0,
            Depth::Below => libc::AT_RECURSIVE,
        };
    // SAFETY: the path is a static C string and `attr` outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    };
    check(result).map(drop)
}

/// How far a mount attribute reaches.
#[derive(Clone, Copy)]
pub(crate) enum Depth {
    /// This mount only.
    This,
    /// This mount and every mount below it.
    Below,
}

/// Marks every descriptor from `first` up close-on-exec.
pub(crate) fn cloexec_from(first: u32) -> io::Result<()> {
    close_range(first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC)
}

/// Closes every descriptor that is not in `keep`, which must be sorted.
pub(crate) fn close_all_but(keep: &[RawFd]) -> io::Result<()> {
    let mut next: u32 = 0;
    for &fd in keep {
        let fd = fd as u32;
        if fd > next {
            close_range(next, fd - 1, 0)?;
        }
        next = fd + 1;
    }
    close_range(next, u32::MAX, 0)
}

fn close_range(first: u32, last: u32, flags: u32) -> io::Result<()> {
    // SAFETY: takes integers only; callers own the descriptors they give up.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    check(result).map(drop)
}

/// Forks this single-threaded process; returns `None` in the child.
pub(crate) fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: the process is single-threaded, so the child may run ordinary code.
    let pid = unsafe { libc::fork() };
    check(libc::c_long::from(pid)).map(|pid| Pid::from_raw(pid as i32))
}

/// Sends a signal to every process that this one can see but itself and process 1 (kill(2)); none is no error.
pub(crate) fn signal_everything(signal: i32) -> io::Result<()> {
    // SAFETY: takes integers only.
    match check(libc::c_long::from(unsafe { libc::kill(-1, signal) })) {
        Err(error) if error.raw_os_error() != Some(libc::ESRCH) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Ends this process at once, running nothing on the way.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: _exit does not return and touches no memory.
    unsafe { libc::_exit(code) }
}

/// Replaces this process; returns only the error. Both lists end with a null pointer.
pub(crate) fn execve(path: &CStr, argv: &[*const c_char], envp: &[*const c_char]) -> i32 {
    // SAFETY: both lists are null-terminated and hold pointers to live C strings (see `Launch`).
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    errno()
}

/// The error number of the last failed call of this thread.
pub(crate) fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

/// A raw system call with integer arguments, for probing; returns 0 or the error number.
pub(crate) fn probe_call(number: libc::c_long, args: [usize; 6]) -> Result<i64, i32> {
    let [a, b, c, d, e, f] = args;
    // SAFETY: callers pass integers or pointers to static, correctly sized data.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result < 0 { Err(errno()) } else { Ok(result) }
}

/// Blocks every signal that can be blocked.
pub(crate) fn block_signals() -> io::Result<()> {
    let mut all = signal_set();
    // SAFETY: `all` is a valid signal set.
    unsafe { libc::sigfillset(&raw mut all) };
    // SAFETY: the set is valid and the old mask is not wanted.
    let result =
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut()) };
    check(libc::c_long::from(result)).map(drop)
}

/// Blocks every signal and returns a descriptor from which `SIGCHLD` can be read.
pub(crate) fn child_signals() -> io::Result<OwnedFd> {
    block_signals()?;
    let mut child = signal_set();
    // SAFETY: `child` is a valid signal set and SIGCHLD a valid signal.
    unsafe { libc::sigaddset(&raw mut child, libc::SIGCHLD) };
    // SAFETY: a new descriptor is made from a valid set.
    let fd =
        unsafe { libc::signalfd(-1, &raw const child, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    check(libc::c_long::from(fd))?;
    // SAFETY: the kernel just returned this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn signal_set() -> libc::sigset_t {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the whole set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: it was initialised by the line above.
    unsafe { set.assume_init() }
}

/// Gives every signal its default action and unblocks all. Async-signal-safe.
pub(crate) fn reset_signals() {
    for signal in 1..=64 {
        // SAFETY: SIG_DFL is valid for every signal; the kernel refuses the few that cannot change.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let none = signal_set();
    // SAFETY: the set is valid and the old mask is not wanted.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) };
}

/// The Landlock ABI version of this kernel, 0 when it has none.
///
/// Source: landlock_create_ruleset(2), `LANDLOCK_CREATE_RULESET_VERSION`.
#[must_use]
pub fn landlock_abi() -> u32 {
    const VERSION: usize = 1;
    match probe_call(libc::SYS_landlock_create_ruleset, [0, 0, VERSION, 0, 0, 0]) {
        Ok(version) => u32::try_from(version).unwrap_or(0),
        Err(_) => 0,
    }
}

/// A pointer to static or longer-lived data as a system-call argument.
pub(crate) fn pointer<T: ?Sized>(value: &T) -> usize {
    std::ptr::from_ref(value).cast::<c_void>() as usize
}
