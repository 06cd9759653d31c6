//! The control channel between the supervisor and init: packets of JSON, with descriptors attached.
//!
//! `SOCK_SEQPACKET` keeps message borders and tells each side at once when the other is gone.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::MemfdFlags;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::spec::{Family, LayerStatus, ProcessSpec, SkippedPath};

/// Largest packet; far above any message, since big payloads travel in a memory file.
const PACKET: usize = 64 * 1024;
/// Most descriptors in one packet; the kernel's own limit is 253 (`SCM_MAX_FD`).
pub(crate) const DESCRIPTORS: usize = 64;
/// Largest process description: the kernel's own bound on arguments and environment is about 6 MiB.
const PROCESS_BYTES: u64 = 8 * 1024 * 1024;

/// What the supervisor asks of init.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// The id maps are written: set the sandbox up.
    Proceed,
    /// Start the process described by the attached memory file; the descriptors after it are its own.
    Spawn {
        /// The supervisor's number for it.
        id: u64,
    },
    /// Send a signal to the process group of a process.
    Signal {
        /// The supervisor's number for it.
        id: u64,
        /// Signal number.
        signal: i32,
    },
    /// Kill the process group of a process, and every other group of the session that it leads.
    Kill {
        /// The supervisor's number for it.
        id: u64,
    },
    /// Make a TCP socket in the sandbox's network.
    Socket {
        /// The supervisor's number for it.
        id: u64,
        /// Of which kind.
        family: Family,
    },
    /// Send a signal to every process but init, and report when none is left.
    SignalAll {
        /// Signal number.
        signal: i32,
    },
}

/// What init reports.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// Sockets opened in the sandbox's network namespace, one attached descriptor for each.
    Ways(Vec<WayKind>),
    /// The sandbox is set up; `proc` and root directory descriptors are attached.
    Ready {
        /// How well each layer is in force.
        layers: Vec<LayerStatus>,
        /// Paths of the policy that are not there.
        skipped: Vec<SkippedPath>,
    },
    /// The sandbox cannot be set up.
    Failed {
        /// What failed and why.
        message: String,
    },
    /// A process was confined, tested and has started its program.
    Started {
        /// The supervisor's number for it.
        id: u64,
        /// Process id inside the sandbox.
        pid: i32,
    },
    /// A process could not be started.
    NotStarted {
        /// The supervisor's number for it.
        id: u64,
        /// The step that failed.
        stage: Stage,
        /// Error number of that step.
        errno: i32,
    },
    /// The terminal of a process; its controlling side is attached.
    Terminal {
        /// The supervisor's number for the process.
        id: u64,
    },
    /// A process was stopped by a signal from its terminal.
    Stopped {
        /// The supervisor's number for it.
        id: u64,
    },
    /// A process ended.
    Exited {
        /// The supervisor's number for it.
        id: u64,
        /// How it ended.
        status: ExitStatus,
    },
    /// The socket that was asked for, attached; none when it could not be made.
    Socket {
        /// The supervisor's number for it.
        id: u64,
    },
    /// After [`Request::SignalAll`]: no process but init is left.
    Empty,
}

/// What a descriptor that init hands out is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WayKind {
    /// A listening TCP socket on this port.
    Tcp(u16),
    /// A bound UDP socket that receives DNS queries.
    DnsUdp,
    /// A listening TCP socket that receives DNS queries.
    DnsTcp,
    /// A `NETLINK_SOCK_DIAG` socket.
    SockDiag,
    /// The listener of the filter that makes connects and execs wait ([`crate::Connects`]).
    Connects,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitStatus {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

/// A step between fork and the start of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Making the process.
    Fork,
    /// Its terminal.
    Terminal,
    /// Its session or process group.
    Session,
    /// Its standard descriptors.
    Descriptors,
    /// Its resource limits.
    Limits,
    /// Its groups and user.
    User,
    /// Its capabilities and `no_new_privs`.
    Privileges,
    /// Its working directory.
    WorkingDirectory,
    /// Its Landlock domain.
    Landlock,
    /// Its seccomp filter.
    Seccomp,
    /// The self-test: something forbidden was possible.
    SelfTest,
    /// Starting the program.
    Exec,
}

impl Stage {
    /// Every stage, in order; a stage's place is its number on the report pipe.
    pub(crate) const ALL: [Self; 12] = [
        Self::Fork,
        Self::Terminal,
        Self::Session,
        Self::Descriptors,
        Self::Limits,
        Self::User,
        Self::Privileges,
        Self::WorkingDirectory,
        Self::Landlock,
        Self::Seccomp,
        Self::SelfTest,
        Self::Exec,
    ];
}

/// One end of the control channel.
pub(crate) struct Channel(OwnedFd);

impl Channel {
    /// Makes both ends.
    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        let (ours, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok((Self(ours), Self(theirs)))
    }

    /// Sends one message with descriptors.
    pub(crate) fn send<M: Serialize>(&self, message: &M, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.send_with(message, fds, SendFlags::NOSIGNAL)
    }

    /// The same, but fails with `WouldBlock` when the other side has too many to read.
    pub(crate) fn try_send<M: Serialize>(
        &self,
        message: &M,
        fds: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        self.send_with(message, fds, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
    }

    fn send_with<M: Serialize>(
        &self,
        message: &M,
        fds: &[BorrowedFd<'_>],
        flags: SendFlags,
    ) -> io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        rustix::net::sendmsg(&self.0, &[IoSlice::new(&bytes)], &mut control, flags)?;
        Ok(())
    }

    /// Waits for one message; `None` when the other side is gone.
    pub(crate) fn receive<M: DeserializeOwned>(
        &self,
    ) -> io::Result<Option<(M, VecDeque<OwnedFd>)>> {
        self.receive_with(RecvFlags::CMSG_CLOEXEC)
    }

    /// Receives one message if there is one, and fails with `WouldBlock` otherwise.
    pub(crate) fn try_receive<M: DeserializeOwned>(
        &self,
    ) -> io::Result<Option<(M, VecDeque<OwnedFd>)>> {
        self.receive_with(RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT)
    }

    fn receive_with<M: DeserializeOwned>(
        &self,
        flags: RecvFlags,
    ) -> io::Result<Option<(M, VecDeque<OwnedFd>)>> {
        let mut bytes = vec![0; PACKET];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received =
            rustix::net::recvmsg(&self.0, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags);
        let received = match received {
            Err(rustix::io::Errno::CONNRESET) => return Ok(None),
            other => other?,
        };
        let mut fds = VecDeque::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(list) = message {
                fds.extend(list);
            }
        }
        if received.bytes == 0 {
            return Ok(None);
        }
        if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Some((serde_json::from_slice(&bytes[..received.bytes])?, fds)))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Puts a process description into a memory file, since it may be larger than a packet.
pub(crate) fn seal_process(process: &ProcessSpec) -> io::Result<OwnedFd> {
    let fd = rustix::fs::memfd_create(c"process", MemfdFlags::CLOEXEC)?;
    let mut file = std::fs::File::from(fd);
    file.write_all(&serde_json::to_vec(process)?)?;
    file.rewind()?;
    Ok(file.into())
}

/// Reads a process description back.
pub(crate) fn open_process(fd: OwnedFd) -> io::Result<ProcessSpec> {
    let mut bytes = Vec::new();
    std::fs::File::from(fd).take(PROCESS_BYTES).read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}
