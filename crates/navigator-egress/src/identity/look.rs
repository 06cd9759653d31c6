//! A look at a program while it waits in `connect(2)` or `execve(2)`.

use std::io;

use super::births::Image;
use super::error::IdentityError;
use super::procfs::ProcStat;
use super::{Identifier, Program, Step};
use crate::authorise::error_chain;
use crate::gate::{Call, ConnectGate, Waiting};
use crate::limits::{MAX_ANCESTORS, MAX_HOLDERS};

/// A thread that connects a socket.
struct Connecting {
    process: u32,
    inode: u64,
}

impl Identifier {
    /// Looks at a waiting program, remembers it and lets it go on; false when it must be hashed first.
    pub(crate) fn look(&self, gate: &dyn ConnectGate, waiting: &Waiting) -> io::Result<bool> {
        let descriptor = match waiting.call {
            Call::Connect(descriptor) => descriptor,
            Call::Open(_) | Call::Look(_) => {
                gate.proceed(waiting)?;
                return Ok(true);
            }
            Call::Exec(_) => {
                self.look_at_birth(gate, waiting);
                gate.proceed(waiting)?;
                return Ok(true);
            }
        };
        match self.connecting(waiting, descriptor) {
            Ok(Some(connecting)) => match self.program(connecting.process) {
                Ok(Step::Hash(_)) => return Ok(false),
                Ok(Step::Done(program)) => self.remember(gate, waiting, &connecting, Ok(program)),
                Err(error) => self.remember(gate, waiting, &connecting, Err(error)),
            },
            // Not a socket: the call will fail.
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "a connecting thread was not found"),
        }
        gate.proceed(waiting)?;
        Ok(true)
    }

    /// The same for a program whose files are not known yet.
    pub(crate) async fn look_and_hash(
        &self,
        gate: &dyn ConnectGate,
        waiting: &Waiting,
    ) -> io::Result<()> {
        let Call::Connect(descriptor) = waiting.call else { return gate.proceed(waiting) };
        // Found anew: what the numbers meant is only certain as long as the thread waits.
        match self.connecting(waiting, descriptor) {
            Ok(Some(connecting)) => {
                let program = self.program_hashed(connecting.process).await;
                self.remember(gate, waiting, &connecting, program);
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "a connecting thread was not found"),
        }
        gate.proceed(waiting)
    }

    /// Remembers as which program a process was born, when it is about to become its first other one.
    fn look_at_birth(&self, gate: &dyn ConnectGate, waiting: &Waiting) {
        let image = || -> Result<Option<(ProcStat, Image)>, IdentityError> {
            let stat = self.proc.stat(self.outside.inside(waiting.thread)?.process)?;
            Ok(if stat.is_unchanged_fork { Some((stat, self.image(&stat)?)) } else { None })
        };
        match image() {
            Ok(Some((stat, image))) if gate.waits(waiting) => {
                self.births.add(&self.proc, &stat, image);
            }
            Ok(_) => {}
            // Without a birth it gets no right from its ancestors.
            Err(error) => {
                tracing::debug!(%error, "a process was not seen before its first program")
            }
        }
    }

    fn connecting(
        &self,
        waiting: &Waiting,
        descriptor: i32,
    ) -> Result<Option<Connecting>, IdentityError> {
        let inside = self.outside.inside(waiting.thread)?;
        let inode = self.proc.socket(inside.thread, descriptor)?;
        Ok(inode.map(|inode| Connecting { process: inside.process, inode }))
    }

    /// Every round settles one executable for good, so the rounds are bounded by the programs.
    async fn program_hashed(&self, process: u32) -> Result<Program, IdentityError> {
        for _ in 0..MAX_HOLDERS * MAX_ANCESTORS {
            match self.program(process)? {
                Step::Done(program) => return Ok(program),
                Step::Hash(unhashed) => self.hash(unhashed).await?,
            }
        }
        Err(IdentityError::Unsettled)
    }

    /// All that was read about the thread is worth something only if it waited all the time.
    fn remember(
        &self,
        gate: &dyn ConnectGate,
        waiting: &Waiting,
        connecting: &Connecting,
        program: Result<Program, IdentityError>,
    ) {
        if gate.waits(waiting) {
            let connector = program.map_err(|error| error_chain(&error).into());
            if let Some(connectors) = &self.connectors {
                connectors.add(connecting.inode, connector);
            }
        }
    }
}
