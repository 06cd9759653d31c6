//! `navigator supervise`: what a gateway starts for each of its sandboxes; nobody else needs it.

use navigator_supervisor::SuperviseError;

/// Starts and serves the sandbox that standard input describes, until it ends.
pub fn run() -> Result<u8, SuperviseError> {
    navigator_supervisor::supervise().map(|()| 0)
}
