//! The place where a sandbox's threads wait while they connect or start a program, as the egress sees it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use navigator_egress::{Call, ConnectGate, Named, Waiting};
use navigator_isolation::Connects;

/// Gives the egress what the sandbox's filter tells.
#[derive(Debug)]
pub(crate) struct Gate(pub(crate) Connects);

impl AsFd for Gate {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl ConnectGate for Gate {
    fn next(&self) -> io::Result<Option<Waiting>> {
        let waiting = self.0.next()?;
        Ok(waiting.map(|navigator_isolation::Waiting { id, thread, call }| Waiting {
            id,
            thread,
            call: match call {
                navigator_isolation::Call::Connect(descriptor) => Call::Connect(descriptor),
                navigator_isolation::Call::Exec(file) => Call::Exec(named(file)),
                navigator_isolation::Call::Open(file) => Call::Open(named(file)),
                navigator_isolation::Call::Look(file) => Call::Look(named(file)),
            },
        }))
    }

    fn waits(&self, waiting: &Waiting) -> bool {
        self.0.waits(waiting.id)
    }

    fn proceed(&self, waiting: &Waiting) -> io::Result<()> {
        self.0.proceed(waiting.id)
    }
}

fn named(navigator_isolation::Named { directory, pointer }: navigator_isolation::Named) -> Named {
    Named { directory, pointer }
}
