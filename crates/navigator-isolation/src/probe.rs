//! The self-test: a process that has just been confined tries what must be forbidden, and starts its program
//! only when each attempt was refused. It costs a few system calls, so every process does it.

use crate::mounts::CANARY;
use crate::sys::{pointer, probe_call};

/// Something that a confined process could do although it must not. The number is shown to users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Breach {
    /// Read a file that no policy grants.
    ReadOutside = 1,
    /// Write to the root filesystem.
    WriteReadOnly = 2,
    /// Open a raw socket.
    RawSocket = 3,
    /// Reach an address without the supervisor, or open an IP socket where there must be none.
    DirectConnect = 4,
    /// Become root again.
    RegainRoot = 5,
    /// Make a namespace.
    NewNamespace = 6,
}

impl Breach {
    const ALL: [Self; 6] = [
        Self::ReadOutside,
        Self::WriteReadOnly,
        Self::RawSocket,
        Self::DirectConnect,
        Self::RegainRoot,
        Self::NewNamespace,
    ];

    /// What the number on the report pipe stands for.
    pub(crate) fn describe(number: i32) -> &'static str {
        match Self::ALL.into_iter().find(|breach| *breach as i32 == number) {
            Some(Self::ReadOutside) => "a file outside the policy could be read",
            Some(Self::WriteReadOnly) => "the root filesystem could be written",
            Some(Self::RawSocket) => "a raw socket could be opened",
            Some(Self::DirectConnect) => "an address could be reached without the supervisor",
            Some(Self::RegainRoot) => "root could be regained",
            Some(Self::NewNamespace) => "a namespace could be made",
            None => "an unknown test failed",
        }
    }
}

/// Which parts of the self-test apply.
#[derive(Clone, Copy)]
pub(crate) struct Expectation {
    /// Landlock is in force.
    pub(crate) landlock: bool,
    /// There are IP sockets, captured by the supervisor, which does not listen on this port.
    pub(crate) network: Option<u16>,
}

/// A socket address that nobody may reach: TEST-NET-1 (RFC 5737).
fn elsewhere(port: u16) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes([192, 0, 2, 1]) },
        sin_zero: [0; 8],
    }
}

/// Tries everything; the first attempt that is not refused is the answer. Allocates nothing.
pub(crate) fn self_test(expected: Expectation) -> Result<(), Breach> {
    let refused = |result: Result<i64, i32>, breach| match result {
        Ok(_) => Err(breach),
        Err(_) => Ok(()),
    };
    if expected.landlock {
        refused(open(CANARY, libc::O_RDONLY), Breach::ReadOutside)?;
    }
    let write = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;
    refused(open(c"/self-test", write), Breach::WriteReadOnly)?;
    refused(socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_RAW), Breach::RawSocket)?;
    refused(socket(libc::AF_PACKET, libc::SOCK_RAW, 0), Breach::RawSocket)?;
    refused(direct_connect(expected), Breach::DirectConnect)?;
    refused(probe_call(libc::SYS_setuid, [0; 6]), Breach::RegainRoot)?;
    refused(probe_call(libc::SYS_setgid, [0; 6]), Breach::RegainRoot)?;
    let namespace = [libc::CLONE_NEWUSER as usize, 0, 0, 0, 0, 0];
    refused(probe_call(libc::SYS_unshare, namespace), Breach::NewNamespace)
}

fn open(path: &std::ffi::CStr, flags: libc::c_int) -> Result<i64, i32> {
    let at = libc::AT_FDCWD as isize as usize;
    probe_call(libc::SYS_openat, [at, path.as_ptr() as usize, flags as usize, 0o600, 0, 0])
}

fn socket(family: i32, kind: i32, protocol: i32) -> Result<i64, i32> {
    let kind = kind | libc::SOCK_CLOEXEC;
    probe_call(libc::SYS_socket, [family as usize, kind as usize, protocol as usize, 0, 0, 0])
}

/// How long a connection attempt may take; a captured one is refused at once (SO_SNDTIMEO, socket(7)).
const PATIENCE: libc::timeval = libc::timeval { tv_sec: 1, tv_usec: 0 };

/// Nothing listens on that port inside, so anything but a refusal means that the attempt left.
fn direct_connect(expected: Expectation) -> Result<i64, i32> {
    let opened = socket(libc::AF_INET, libc::SOCK_STREAM, 0);
    let (socket, address) = match (opened, expected.network) {
        (Ok(socket), Some(port)) => (socket as usize, elsewhere(port)),
        (Err(error), None) => return Err(error),
        // A socket where there must be none, or none where there must be one: not what was built.
        (Ok(_), None) | (Err(_), Some(_)) => return Ok(0),
    };
    let (level, option) = (libc::SOL_SOCKET as usize, libc::SO_SNDTIMEO as usize);
    let patience = [socket, level, option, pointer(&PATIENCE), size_of::<libc::timeval>(), 0];
    if probe_call(libc::SYS_setsockopt, patience).is_err() {
        return Ok(0);
    }
    let address = [socket, pointer(&address), size_of::<libc::sockaddr_in>(), 0, 0, 0];
    let connected = probe_call(libc::SYS_connect, address);
    // The descriptor is close-on-exec in any case.
    let closed = probe_call(libc::SYS_close, [socket, 0, 0, 0, 0, 0]);
    match (connected, closed) {
        (Err(libc::ECONNREFUSED), Ok(_)) => Err(libc::ECONNREFUSED),
        _ => Ok(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_breach_has_words_of_its_own() {
        let words: std::collections::BTreeSet<_> =
            Breach::ALL.iter().map(|breach| Breach::describe(*breach as i32)).collect();
        assert_eq!(words.len(), Breach::ALL.len());
        assert!(!words.contains(Breach::describe(99)));
    }

    #[test]
    fn an_unconfined_process_fails_the_self_test() {
        let expected = Expectation { landlock: false, network: None };
        assert!(self_test(expected).is_err());
    }
}
