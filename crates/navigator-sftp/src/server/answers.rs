//! Answers on their way to the client: small ones gathered, large content written from where it lies.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use super::Refusal;
use crate::wire::{Attributes, Writer, kind, status};

/// Answers gathered before they are written although more requests wait.
const GATHERED: usize = 64 * 1024;
/// Content that is cheaper to copy than to write alone.
const SMALL: usize = 16 * 1024;

/// The output and what has not been written to it.
pub(super) struct Answers<'a> {
    output: BorrowedFd<'a>,
    gathered: Vec<u8>,
}

impl<'a> Answers<'a> {
    pub(super) fn new(output: BorrowedFd<'a>) -> Self {
        Self { output, gathered: Vec::with_capacity(2 * GATHERED) }
    }

    /// One packet that `fill` completes.
    pub(super) fn packet(
        &mut self,
        kind: u8,
        id: u32,
        fill: impl FnOnce(Writer<'_>) -> Writer<'_>,
    ) -> Result<(), Refusal> {
        fill(Writer::begin(&mut self.gathered, kind).u32(id)).end();
        if self.gathered.len() >= GATHERED {
            self.flush().map_err(Refusal::Output)?;
        }
        Ok(())
    }

    pub(super) fn ok(&mut self, id: u32) -> Result<(), Refusal> {
        self.status(id, status::OK, "done")
    }

    pub(super) fn status(&mut self, id: u32, code: u32, message: &str) -> Result<(), Refusal> {
        self.packet(kind::STATUS, id, |packet| {
            packet.u32(code).string(message.as_bytes()).string(b"en")
        })
    }

    pub(super) fn attributes(&mut self, id: u32, found: &Attributes) -> Result<(), Refusal> {
        self.packet(kind::ATTRS, id, |packet| packet.attributes(found))
    }

    /// One name without attributes.
    pub(super) fn name(&mut self, id: u32, name: &[u8]) -> Result<(), Refusal> {
        self.packet(kind::NAME, id, |packet| {
            packet.u32(1).string(name).string(name).attributes(&Attributes::default())
        })
    }

    /// Content of a file.
    pub(super) fn data(&mut self, id: u32, content: &[u8]) -> Result<(), Refusal> {
        if content.len() <= SMALL {
            return self.packet(kind::DATA, id, |packet| packet.string(content));
        }
        let length = u32::try_from(content.len()).map_err(|_| Refusal::System(Errno::OVERFLOW))?;
        let packet = Writer::begin(&mut self.gathered, kind::DATA).u32(id).u32(length);
        packet.end_with(content.len());
        let written = write_all(self.output, &self.gathered, content);
        self.gathered.clear();
        written.map_err(Refusal::Output)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        let written = write_all(self.output, &self.gathered, &[]);
        self.gathered.clear();
        written
    }
}

/// Writes two buffers one after the other.
fn write_all(output: BorrowedFd<'_>, mut first: &[u8], mut second: &[u8]) -> io::Result<()> {
    while !first.is_empty() || !second.is_empty() {
        match rustix::io::writev(output, &[IoSlice::new(first), IoSlice::new(second)]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                second = second.get(count.saturating_sub(first.len())..).unwrap_or_default();
                first = first.get(count..).unwrap_or_default();
            }
            Err(Errno::INTR) => {}
            Err(reason) => return Err(reason.into()),
        }
    }
    Ok(())
}
