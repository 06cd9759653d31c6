//! The audit file: what a line says, how lines hold each other, and how they are read, checked and exported.
//!
//! A line is one JSON object. It carries its number and the SHA-256 of the line before it, so a line that was
//! altered, taken out or moved is found as long as the last hash is known. `docs/audit.md` is the schema.

mod chain;
#[cfg(test)]
mod documentation;
mod file;
mod history;
mod line;
pub mod ocsf;
mod reader;
mod redact;
mod rotate;
#[cfg(test)]
pub(crate) mod samples;
mod select;
mod verify;

pub use chain::{Digest, DigestError};
pub(crate) use file::ChainedFile;
pub use history::{History, ReadError};
pub use line::{Continued, End, Event, Line, LineError, PolicyChange, Rotated, Start};
pub use reader::{Lines, MAX_LINE, RawLine};
pub(crate) use redact::redact;
pub use rotate::{KEPT, ROTATE_AT};
pub use select::{Entry, Filter};
pub use verify::{Finding, Note, Place, Problem, Report, Span, Verifier, verify};
