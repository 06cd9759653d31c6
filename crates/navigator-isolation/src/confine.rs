//! From fork to exec: what the new process does to itself, in order, before its program starts.
//!
//! Rule of this module: between fork and exec only system calls on data that was prepared before. Nothing is
//! allocated, nothing is locked, nothing is formatted.

use std::collections::BTreeMap;
use std::ffi::{CString, NulError, c_char};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt;

use ::landlock::RulesetCreated;
use rustix::process::{Resource, Rlimit};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, set_capabilities, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

use crate::channel::Stage;
use crate::probe::{self, Expectation};
use crate::seccomp::Filters;
use crate::spec::{Builtin, ProcessSpec, Program, User};
use crate::sys;

/// Open files per process; as high as service managers give.
const OPEN_FILES: u64 = 65_536;
/// Highest number that a capability may get (capabilities(7) has 41 today).
const CAPABILITIES: u32 = 64;
/// Where programs are looked for when the environment has no `PATH` (sandbox-environment).
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A process that is ready to be confined and started.
pub(crate) struct Launch<'a> {
    runs: Runs<'a>,
    cwd: CString,
    uid: u32,
    gid: u32,
    processes: u64,
    session: Session,
    drop_groups: bool,
    filters: &'a Filters,
    expected: Expectation,
}

/// What the process runs, with everything prepared.
enum Runs<'a> {
    /// The first of these files that exists.
    File { candidates: Vec<CString>, argv: CStrings, env: CStrings },
    /// A function of this program.
    Builtin { builtin: Builtin, input: &'a [u8] },
}

/// How the process relates to a terminal.
#[derive(Clone, Copy)]
pub(crate) enum Session {
    /// A session of its own, without a terminal.
    Own,
    /// A process group of its own in init's session, in the foreground of that terminal.
    Foreground(RawFd),
    /// A session of its own, with that terminal.
    Leader(RawFd),
}

/// What every process of a sandbox shares.
pub(crate) struct Confinement<'a> {
    /// The user to become.
    pub(crate) user: &'a User,
    /// Bound on the number of processes.
    pub(crate) processes: u64,
    /// Whether supplementary groups can be dropped.
    pub(crate) drop_groups: bool,
    /// The system-call filters.
    pub(crate) filters: &'a Filters,
    /// What the self-test expects.
    pub(crate) expected: Expectation,
    /// What built-in processes run.
    pub(crate) builtin: Option<Builtin>,
}

impl<'a> Launch<'a> {
    /// Prepares everything that needs memory.
    pub(crate) fn new(
        process: &'a ProcessSpec,
        session: Session,
        confinement: &Confinement<'a>,
    ) -> Result<Self, NulError> {
        Ok(Self {
            runs: Runs::new(process, confinement.builtin)?,
            cwd: CString::new(process.cwd.as_os_str().as_bytes())?,
            uid: confinement.user.uid,
            gid: confinement.user.gid,
            processes: confinement.processes,
            session,
            drop_groups: confinement.drop_groups,
            filters: confinement.filters,
            expected: confinement.expected,
        })
    }

    /// Runs in the new process: confines it and starts its program. A failure is written to `report` as a
    /// stage and an error number; success closes it.
    pub(crate) fn run(
        &self,
        stdio: [RawFd; 3],
        domain: Option<RulesetCreated>,
        report: RawFd,
    ) -> ! {
        let (stage, error) = match self.confine(stdio, domain) {
            Ok(()) => self.runs.start(),
            Err(failure) => failure,
        };
        let number = Stage::ALL.iter().position(|known| *known == stage).unwrap_or(0) as i32;
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&number.to_ne_bytes());
        bytes[4..].copy_from_slice(&error.to_ne_bytes());
        // SAFETY: init keeps this pipe open until it has read it; the number was not given to anybody else.
        let report = unsafe { BorrowedFd::borrow_raw(report) };
        // When even this fails init sees an end without a program and reports that.
        let written = rustix::io::write(report, &bytes);
        sys::exit_now(if written.is_ok() { 125 } else { 126 })
    }

    fn confine(
        &self,
        stdio: [RawFd; 3],
        domain: Option<RulesetCreated>,
    ) -> Result<(), (Stage, i32)> {
        self.enter_session().map_err(stage(Stage::Session))?;
        sys::reset_signals();
        wire(stdio).map_err(stage(Stage::Descriptors))?;
        self.limit().map_err(stage(Stage::Limits))?;
        drop_bounding_set().map_err(stage(Stage::Privileges))?;
        self.become_user().map_err(stage(Stage::User))?;
        drop_capabilities().map_err(stage(Stage::Privileges))?;
        rustix::process::chdir(&*self.cwd).map_err(stage(Stage::WorkingDirectory))?;
        if domain.is_none() && matches!(self.runs, Runs::Builtin { .. }) {
            // Nothing else would keep the others from looking into a copy of init.
            return Err((Stage::Landlock, libc::EOPNOTSUPP));
        }
        if let Some(domain) = domain {
            // The library reports through an allocated error only when the call fails.
            domain.restrict_self().map_err(|_| (Stage::Landlock, sys::errno()))?;
        }
        self.filters.apply().map_err(|error| (Stage::Seccomp, error))?;
        probe::self_test(self.expected).map_err(|breach| (Stage::SelfTest, breach as i32))
    }

    fn enter_session(&self) -> rustix::io::Result<()> {
        match self.session {
            Session::Own => rustix::process::setsid().map(drop),
            Session::Leader(terminal) => {
                rustix::process::setsid()?;
                // SAFETY: init owns the terminal and this process is a copy of init.
                let terminal = unsafe { BorrowedFd::borrow_raw(terminal) };
                rustix::process::ioctl_tiocsctty(terminal)
            }
            Session::Foreground(terminal) => {
                rustix::process::setpgid(None, None)?;
                // SAFETY: init owns the terminal and this process is a copy of init.
                let terminal = unsafe { BorrowedFd::borrow_raw(terminal) };
                rustix::termios::tcsetpgrp(terminal, rustix::process::getpid())
            }
        }
    }

    fn limit(&self) -> rustix::io::Result<()> {
        set_limit(Resource::Core, 0)?;
        set_limit(Resource::Nproc, self.processes)?;
        let open_files = rustix::process::getrlimit(Resource::Nofile).maximum;
        set_limit(Resource::Nofile, open_files.unwrap_or(OPEN_FILES).min(OPEN_FILES))
    }

    fn become_user(&self) -> rustix::io::Result<()> {
        let gid = rustix::fs::Gid::from_raw(self.gid);
        let uid = rustix::fs::Uid::from_raw(self.uid);
        if self.drop_groups {
            set_thread_groups(&[gid])?;
        }
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)?;
        let holds = rustix::process::getuid() == uid
            && rustix::process::geteuid() == uid
            && rustix::process::getgid() == gid
            && rustix::process::getegid() == gid;
        if holds && self.uid != 0 { Ok(()) } else { Err(rustix::io::Errno::PERM) }
    }
}

impl<'a> Runs<'a> {
    fn new(process: &'a ProcessSpec, builtin: Option<Builtin>) -> Result<Self, NulError> {
        let env = process.env.iter().map(|(name, value)| format!("{name}={value}"));
        Ok(match (&process.program, builtin) {
            (Program::File(argv), _) => Self::File {
                candidates: candidates(argv, &process.env)?,
                argv: CStrings::new(argv.iter().cloned())?,
                env: CStrings::new(env)?,
            },
            (Program::Builtin(input), Some(builtin)) => Self::Builtin { builtin, input },
            // What does not exist is not found.
            (Program::Builtin(_), None) => {
                Self::File { candidates: vec![], argv: CStrings::none(), env: CStrings::none() }
            }
        })
    }

    /// Runs it. Returns only when it could not be started.
    fn start(&self) -> (Stage, i32) {
        match self {
            Self::File { candidates, argv, env } => exec(candidates, argv, env),
            Self::Builtin { builtin, input } => match become_program() {
                Ok(()) => {
                    let run = std::panic::AssertUnwindSafe(|| builtin(input));
                    sys::exit_now(std::panic::catch_unwind(run).unwrap_or(101).into())
                }
                Err(error) => (Stage::Exec, error.raw_os_error().unwrap_or(libc::EIO)),
            },
        }
    }
}

/// What exec does for a program that is a file. Nobody inside may look at this process all the same: it is in a Landlock
/// domain of its own, and theirs is not above that (ptrace(2), landlock(7)).
fn become_program() -> io::Result<()> {
    sys::close_all_but(&[0, 1, 2])?;
    // As for every program: who holds a connection must be told.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable)?;
    rustix::thread::set_name(c"navigator").map_err(Into::into)
}

/// Starts the first candidate that exists. Returns only when none could be started.
fn exec(candidates: &[CString], argv: &CStrings, env: &CStrings) -> (Stage, i32) {
    let mut error = libc::ENOENT;
    for path in candidates {
        match sys::execve(path, &argv.pointers, &env.pointers) {
            libc::ENOENT | libc::ENOTDIR => {}
            other => error = other,
        }
        // As a shell does: what exists but cannot be run is remembered, and the search goes on.
    }
    (Stage::Exec, error)
}

fn stage<E: Into<io::Error>>(stage: Stage) -> impl FnOnce(E) -> (Stage, i32) {
    move |error| (stage, error.into().raw_os_error().unwrap_or(libc::EIO))
}

/// Makes the three descriptors 0, 1 and 2 and marks all others to be closed by exec.
fn wire(stdio: [RawFd; 3]) -> io::Result<()> {
    // First out of the way of 0 to 2, so that no copy overwrites one that is still needed.
    let mut high = [0; 3];
    for (place, fd) in high.iter_mut().zip(stdio) {
        // SAFETY: the descriptor is open; the new number is ours alone.
        *place = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 10) };
        if *place < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    for (number, fd) in high.into_iter().enumerate() {
        // SAFETY: replaces a standard descriptor of this process, which nothing else uses any more.
        if unsafe { libc::dup2(fd, number as RawFd) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    sys::cloexec_from(3)
}

fn set_limit(resource: Resource, value: u64) -> rustix::io::Result<()> {
    let maximum = rustix::process::getrlimit(resource).maximum;
    let value = Some(maximum.map_or(value, |maximum| maximum.min(value)));
    rustix::process::setrlimit(resource, Rlimit { current: value, maximum: value })
}

/// Empties the bounding set while this process may still do so. Source: capabilities(7).
fn drop_bounding_set() -> rustix::io::Result<()> {
    for number in 0..CAPABILITIES {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // Above the last capability that this kernel knows.
            Err(rustix::io::Errno::INVAL) => break,
            Err(error) => return Err(error),
        }
    }
    rustix::thread::clear_ambient_capability_set()?;
    rustix::thread::set_capabilities_secure_bits(
        CapabilitiesSecureBits::NO_ROOT | CapabilitiesSecureBits::NO_ROOT_LOCKED,
    )
}

fn drop_capabilities() -> rustix::io::Result<()> {
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    rustix::thread::set_no_new_privs(true)
}

/// Every path that the program's name may stand for, best first.
fn candidates(argv: &[String], env: &BTreeMap<String, String>) -> Result<Vec<CString>, NulError> {
    let Some(name) = argv.first() else { return Ok(vec![]) };
    if name.is_empty() {
        return Ok(vec![]);
    }
    if name.contains('/') {
        return Ok(vec![CString::new(name.as_str())?]);
    }
    let path = env.get("PATH").map_or(DEFAULT_PATH, String::as_str);
    path.split(':')
        .map(|dir| if dir.is_empty() { "." } else { dir })
        .map(|dir| CString::new(format!("{}/{name}", dir.trim_end_matches('/'))))
        .collect()
}

/// A list of C strings with the null-terminated list of pointers that exec wants.
struct CStrings {
    _owned: Vec<CString>,
    pointers: Vec<*const c_char>,
}

impl CStrings {
    fn none() -> Self {
        Self { _owned: vec![], pointers: vec![std::ptr::null()] }
    }

    fn new(strings: impl Iterator<Item = String>) -> Result<Self, NulError> {
        let owned = strings.map(CString::new).collect::<Result<Vec<_>, _>>()?;
        // Moving the list does not move the strings' own memory, so the pointers stay good.
        let pointers =
            owned.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect();
        Ok(Self { _owned: owned, pointers })
    }
}

/// The descriptor's number, for use between fork and exec.
pub(crate) fn raw(fd: &impl AsRawFd) -> RawFd {
    fd.as_raw_fd()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(argv: &[&str], path: Option<&str>) -> Vec<String> {
        let argv: Vec<_> = argv.iter().map(|word| (*word).to_owned()).collect();
        let env = path.map(|path| ("PATH".to_owned(), path.to_owned())).into_iter().collect();
        let candidates = candidates(&argv, &env).unwrap();
        candidates.into_iter().map(|path| path.into_string().unwrap()).collect()
    }

    #[test]
    fn a_bare_name_is_looked_up_in_path_order() {
        assert_eq!(paths(&["ls"], Some("/a:/b/:")), ["/a/ls", "/b/ls", "./ls"]);
    }

    #[test]
    fn a_name_with_a_slash_is_taken_as_it_is() {
        assert_eq!(paths(&["./ls"], Some("/a")), ["./ls"]);
    }

    #[test]
    fn without_a_path_the_usual_directories_are_searched() {
        assert_eq!(paths(&["ls"], None)[0], "/usr/local/bin/ls");
    }

    #[test]
    fn an_empty_command_has_no_candidates() {
        assert!(paths(&[], None).is_empty());
        assert!(paths(&[""], None).is_empty());
    }
}
