//! Who is asking: from a client socket to the programs that hold it.
//!
//! Socket → inode (`sock_diag`) → whoever connected it, seen while it did, and every process of the
//! sandbox that holds it → executable, ancestors and scripts, each verified. Whatever cannot be
//! established is an error, and an error is a denial; an ancestor that cannot be verified merely
//! gives no right.

mod births;
mod connectors;
mod elf;
mod error;
mod executable;
mod files;
mod holders;
mod look;
mod mappings;
mod pins;
mod preload;
mod procfs;
mod script;
mod settled;
mod sock_diag;

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::Errno;

use crate::audit::AuditProgram;
use crate::gate::ConnectGate;
use crate::intent::ClientSocket;
use crate::limits::{MAX_ANCESTORS, MAX_HOLDERS};
use crate::ways::Ways;

pub use error::IdentityError;
pub use pins::Pins;
pub use sock_diag::{SockDiagError, inode_of};

use births::{Births, Image};
use connectors::Connectors;
use executable::{Examined, Executables, Pinned, Unhashed, file_id};
use preload::is_below;
use procfs::{Proc, ProcStat};
use settled::Clock;

/// One program that connected or holds a client socket, as far as it could be verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Process id inside the sandbox.
    pub pid: u32,
    /// When the process started, in clock ticks since boot: tells a reused pid from the same one.
    pub started: u64,
    /// Where its stack begins: tells a program from the next one that the same process runs.
    pub stack: u64,
    /// Path of its executable inside the sandbox.
    pub executable: Arc<str>,
    /// SHA-256 of the executable, hexadecimal.
    pub sha256: Arc<str>,
    /// Verified executables of its ancestors, nearest first.
    pub ancestors: Vec<Arc<str>>,
    /// Scripts that it or its ancestors run by a `#!` line.
    pub scripts: Vec<String>,
}

impl Program {
    /// The form in which audit records show it.
    pub fn to_audit(&self) -> AuditProgram {
        AuditProgram {
            pid: self.pid,
            executable: self.executable.to_string(),
            sha256: self.sha256.to_string(),
            ancestors: self.ancestors.iter().map(ToString::to_string).collect(),
            scripts: self.scripts.clone(),
        }
    }
}

/// Finds and verifies the programs behind client sockets of one sandbox.
#[derive(Debug)]
pub struct Identifier {
    netlink: OwnedFd,
    sequence: AtomicU32,
    proc: Proc,
    outside: Proc,
    /// `None` where no gate is served, and connectors are not asked for.
    connectors: Option<Connectors>,
    births: Births,
    clock: Clock,
    executables: Mutex<Executables>,
    read_only: Vec<String>,
    hashing: tokio::sync::Mutex<()>,
}

/// A step of identification that either ended or waits for one file to be hashed.
enum Step<T> {
    Done(T),
    Hash(Unhashed),
}

/// One process of a chain after its executable was examined.
struct Member {
    executable: Arc<str>,
    sha256: Arc<str>,
    script: Option<String>,
}

impl Identifier {
    /// Takes over the descriptors that examine the sandbox.
    ///
    /// # Errors
    /// When the sandbox's `/proc`, or this program's own, cannot be listed.
    pub fn new(
        ways: Examination,
        pins: Arc<Pins>,
        read_only: Vec<String>,
    ) -> Result<Identifier, Errno> {
        Ok(Identifier {
            netlink: ways.sock_diag,
            sequence: AtomicU32::new(1),
            proc: Proc::new(ways.proc_dir)?,
            outside: Proc::own()?,
            births: Births::default(),
            connectors: ways.sees_connects.then(Connectors::default),
            clock: Clock::new(),
            executables: Mutex::new(Executables::new(ways.root_dir, pins)),
            read_only,
            hashing: tokio::sync::Mutex::new(()),
        })
    }

    /// Every program that connected or holds the client's end of a connection.
    ///
    /// # Errors
    /// [`IdentityError`] when the owner cannot be found or verified.
    pub async fn identify(&self, socket: &ClientSocket) -> Result<Vec<Program>, IdentityError> {
        let inode = self.inode(socket)?;
        let connectors = match &self.connectors {
            Some(connectors) => connectors.take(inode)?,
            None => vec![],
        };
        // Every round settles one executable for good, so the rounds are bounded by the programs.
        for _ in 0..MAX_HOLDERS * MAX_ANCESTORS {
            match self.attempt(socket, inode, &connectors)? {
                Step::Done(programs) => return Ok(programs),
                Step::Hash(unhashed) => self.hash(unhashed).await?,
            }
        }
        Err(IdentityError::Unsettled)
    }

    /// Whether programs that were identified earlier still hold the connection as the same programs: a process that
    /// has started another executable since then is not the one that connected.
    ///
    /// # Errors
    /// [`IdentityError::Changed`], or why one of them can no longer be examined.
    pub fn unchanged(
        &self,
        socket: &ClientSocket,
        programs: &[Program],
    ) -> Result<(), IdentityError> {
        self.inode(socket)?;
        for known in programs {
            if !self.is_still(known)? {
                return Err(IdentityError::Changed);
            }
        }
        Ok(())
    }

    /// Whether a process is still the program that it was.
    fn is_still(&self, known: &Program) -> Result<bool, IdentityError> {
        let stat = self.proc.stat(known.pid)?;
        let mut executables = self.executables.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(match executables.examine(&self.proc, &stat)? {
            Examined::Verified(now) => {
                stat.started == known.started
                    && stat.stack == known.stack
                    && now.path == known.executable
                    && now.sha256 == known.sha256
            }
            Examined::Unhashed(_) => false,
        })
    }

    /// A connector counts whether it still holds the socket or not: what it wrote is on its way.
    fn attempt(
        &self,
        socket: &ClientSocket,
        inode: u64,
        connectors: &[Program],
    ) -> Result<Step<Vec<Program>>, IdentityError> {
        let pids = holders::of(&self.proc, inode)?;
        if pids.is_empty() {
            return Err(IdentityError::NoOwner);
        }
        let mut programs = connectors.to_vec();
        for pid in pids {
            let known = connectors.iter().find(|connector| connector.pid == pid);
            if let Some(known) = known
                && self.is_still(known)?
            {
                continue;
            }
            match self.program(pid)? {
                Step::Done(program) => programs.push(program),
                Step::Hash(unhashed) => return Ok(Step::Hash(unhashed)),
            }
        }
        self.confirm(socket, inode, &programs)?;
        Ok(Step::Done(programs))
    }

    fn inode(&self, socket: &ClientSocket) -> Result<u64, IdentityError> {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        Ok(inode_of(self.netlink.as_fd(), socket, sequence)?)
    }

    /// What was read is only worth something if the socket and the processes are still the same.
    fn confirm(
        &self,
        socket: &ClientSocket,
        inode: u64,
        programs: &[Program],
    ) -> Result<(), IdentityError> {
        if self.inode(socket)? != inode {
            return Err(IdentityError::Changed);
        }
        for program in programs {
            let stat = self.proc.stat(program.pid)?;
            if stat.started != program.started || stat.stack != program.stack {
                return Err(IdentityError::Changed);
            }
        }
        Ok(())
    }

    fn program(&self, pid: u32) -> Result<Step<Program>, IdentityError> {
        let stat = self.proc.stat(pid)?;
        let member = match self.member(&stat)? {
            Step::Done(member) => member,
            Step::Hash(unhashed) => return Ok(Step::Hash(unhashed)),
        };
        let mut program = Program {
            pid,
            started: stat.started,
            stack: stat.stack,
            executable: member.executable,
            sha256: member.sha256,
            ancestors: Vec::new(),
            scripts: member.script.into_iter().collect(),
        };
        Ok(match self.add_ancestors(&mut program, stat)? {
            Step::Done(()) => Step::Done(program),
            Step::Hash(unhashed) => Step::Hash(unhashed),
        })
    }

    /// Follows parents up to, not including, pid 1. The chain ends at a "parent" that is not the program that made
    /// its child: one that started after it is a reused pid, and one may have become another program since.
    fn add_ancestors(
        &self,
        program: &mut Program,
        mut child: ProcStat,
    ) -> Result<Step<()>, IdentityError> {
        for _ in 0..MAX_ANCESTORS {
            if child.parent <= 1 {
                break;
            }
            let Ok(parent) = self.proc.stat(child.parent) else { break };
            if parent.started > child.started || !self.made(&parent, &child) {
                break;
            }
            let member = self.member(&parent);
            // An exec in between would have moved its stack: then what was read is of two programs.
            if self.proc.stat(parent.pid).ok() != Some(parent) {
                break;
            }
            match member {
                Ok(Step::Done(member)) => {
                    program.ancestors.push(member.executable);
                    program.scripts.extend(member.script);
                }
                Ok(Step::Hash(unhashed)) => return Ok(Step::Hash(unhashed)),
                // An ancestor that cannot be verified gives no right; the caller itself was.
                Err(error) => tracing::debug!(pid = parent.pid, %error, "ancestor not verified"),
            }
            child = parent;
        }
        Ok(Step::Done(()))
    }

    /// Whether what a process runs now is what forked another one. Where no gate is served, that is not known and
    /// taken for granted.
    fn made(&self, parent: &ProcStat, child: &ProcStat) -> bool {
        if self.connectors.is_none() {
            return true;
        }
        let born =
            if child.is_unchanged_fork { self.image(child).ok() } else { self.births.of(child) };
        born.is_some() && born == self.image(parent).ok()
    }

    fn image(&self, stat: &ProcStat) -> Result<Image, IdentityError> {
        let file = file_id(&self.proc.executable_stat(stat.pid)?);
        Ok(Image { file, stack: stat.stack })
    }

    fn member(&self, stat: &ProcStat) -> Result<Step<Member>, IdentityError> {
        let mut executables = self.executables.lock().unwrap_or_else(PoisonError::into_inner);
        let verified = match executables.examine(&self.proc, stat)? {
            Examined::Verified(verified) => verified,
            Examined::Unhashed(unhashed) => return Ok(Step::Hash(unhashed)),
        };
        let environment = self.proc.environment(stat.pid)?;
        preload::check(&environment, &self.read_only)?;
        // What a program that the sandbox can write does was the agent's choice from the start.
        let is_fixed = verified.is_mounted_read_only || is_below(&verified.path, &self.read_only);
        if is_fixed && !verified.loads_modules {
            mappings::check(&verified.path, &self.proc.mappings(stat.pid)?, &self.read_only)?;
        }
        let arguments = self.proc.arguments(stat.pid)?;
        let found = script::Interpreted {
            root: executables.root(),
            executable: verified.file,
            environment: &environment,
            read_only: &self.read_only,
        }
        .script(&arguments)
        .filter(|script| {
            let moment = self.clock.before_start(stat.started);
            settled::since(moment, executables.root(), &script.opened, &self.read_only)
        });
        let script = match found.map(|script| (executables.examine_script(&script.opened), script))
        {
            Some((Ok(Pinned::Same), script)) => Some(script.name),
            Some((Ok(Pinned::Unhashed(unhashed)), _)) => return Ok(Step::Hash(unhashed)),
            // Another content than at first use gives no right; the interpreter is what it is.
            Some((Ok(Pinned::Replaced) | Err(_), _)) | None => None,
        };
        Ok(Step::Done(Member { executable: verified.path, sha256: verified.sha256, script }))
    }

    /// Hashes off the runtime's thread, one file at a time: a burst of connections by a new
    /// program reads its executable once.
    async fn hash(&self, unhashed: Unhashed) -> Result<(), IdentityError> {
        let _turn = self.hashing.lock().await;
        let known = {
            let executables = self.executables.lock().unwrap_or_else(PoisonError::into_inner);
            executables.pins().knows(&unhashed.path, &unhashed.fingerprint)
        };
        if known {
            return Ok(());
        }
        let hashed = tokio::task::spawn_blocking(move || unhashed.hash())
            .await
            .map_err(|_| IdentityError::Unsettled)??;
        let executables = self.executables.lock().unwrap_or_else(PoisonError::into_inner);
        executables.pins().settle(hashed)
    }
}

/// The descriptors of [`Ways`] that identification needs.
#[derive(Debug)]
pub struct Examination {
    /// A `NETLINK_SOCK_DIAG` socket of the sandbox's network namespace.
    pub sock_diag: OwnedFd,
    /// The sandbox's own `/proc`.
    pub proc_dir: OwnedFd,
    /// The sandbox's root directory.
    pub root_dir: OwnedFd,
    /// Whether every connect of the sandbox is seen, so that one that was not is refused.
    pub sees_connects: bool,
}

/// [`Ways`] by what uses them.
pub(crate) struct Split {
    pub(crate) tcp: Vec<crate::ways::TcpWay>,
    pub(crate) dns: crate::dns::DnsWays,
    pub(crate) examination: Examination,
    pub(crate) connects: Option<Arc<dyn ConnectGate>>,
}

impl Ways {
    /// Splits off what examines the sandbox from what is listened on.
    pub(crate) fn split(self) -> Split {
        let dns = crate::dns::DnsWays { udp: self.dns_udp, tcp: self.dns_tcp };
        let examination = Examination {
            sock_diag: self.sock_diag,
            proc_dir: self.proc_dir,
            root_dir: self.root_dir,
            sees_connects: self.connects.is_some(),
        };
        Split { tcp: self.tcp, dns, examination, connects: self.connects }
    }
}

#[cfg(test)]
mod tests;
