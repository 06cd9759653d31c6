//! Tries something inside a fresh set of a sandbox's namespaces.
//!
//! Making the namespaces proves little: under AppArmor's restriction of user namespaces they can be made, and
//! it is the first use of a capability inside that is refused.

use std::io;
use std::os::fd::OwnedFd;

use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};
use rustix::net::netlink::SOCK_DIAG;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::pipe::PipeFlags;
use rustix::process::WaitOptions;

use crate::ids::IdMap;
use crate::sandbox::NAMESPACES;
use crate::spec::User;
use crate::sys::{self, Cloned};

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// Using a capability.
    Capability,
    /// Mounting a `/proc` of the new pid namespace.
    Proc,
    /// Opening the socket that tells whose a connection is.
    SockDiag,
}

/// What was refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum TrialError {
    /// Making the namespaces.
    #[error("cannot be made: {0}")]
    Namespaces(#[source] io::Error),
    /// Writing the id maps.
    #[error("ids cannot be mapped: {0}")]
    Ids(#[source] io::Error),
    /// The attempt itself.
    #[error("refused inside: {0}")]
    Inside(#[source] io::Error),
}

/// Makes the namespaces, with mapped ids, and tries it there. The process must have one thread.
pub(super) fn inside(attempt: Attempt) -> Result<(), TrialError> {
    let (mapped, go) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)
        .map_err(|e| TrialError::Namespaces(e.into()))?;
    match sys::clone_into(NAMESPACES, None).map_err(TrialError::Namespaces)? {
        Cloned::Child => {
            drop(go);
            sys::exit_now(child(&mapped, attempt))
        }
        Cloned::Parent { pid, pidfd: _pidfd } => {
            drop(mapped);
            let ids = IdMap::choose().and_then(|ids| ids.write(pid, &user()));
            drop(go);
            let ended = rustix::process::waitpid(Some(pid), WaitOptions::empty())
                .map_err(|error| TrialError::Inside(error.into()))?;
            ids.map_err(TrialError::Ids)?;
            match ended.and_then(|(_, status)| status.exit_status()) {
                Some(0) => Ok(()),
                Some(number) => Err(TrialError::Inside(io::Error::from_raw_os_error(number))),
                None => Err(TrialError::Inside(io::ErrorKind::Interrupted.into())),
            }
        }
    }
}

/// Waits for the id maps, tries, and returns the error number or 0. Allocates nothing.
fn child(mapped: &OwnedFd, attempt: Attempt) -> i32 {
    while let Err(rustix::io::Errno::INTR) = rustix::io::read(mapped, &mut [0]) {}
    match attempt.make() {
        Ok(()) => 0,
        Err(error) => error.raw_os_error(),
    }
}

impl Attempt {
    fn make(self) -> rustix::io::Result<()> {
        match self {
            Self::Capability => rustix::system::sethostname(b"navigator"),
            Self::Proc => {
                let context = rustix::mount::fsopen(c"proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
                rustix::mount::fsconfig_create(&context)?;
                let attributes = MountAttrFlags::empty();
                let flags = FsMountFlags::FSMOUNT_CLOEXEC;
                rustix::mount::fsmount(&context, flags, attributes).map(drop)
            }
            Self::SockDiag => {
                let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
                let flags = SocketFlags::CLOEXEC;
                rustix::net::socket_with(family, kind, flags, Some(SOCK_DIAG)).map(drop)
            }
        }
    }
}

/// Somebody to map; who it is makes no difference here.
fn user() -> User {
    User {
        name: "sandbox".into(),
        uid: 1000,
        group: "sandbox".into(),
        gid: 1000,
        home: "/".into(),
        shell: "/bin/sh".into(),
    }
}
