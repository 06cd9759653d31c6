//! Descriptors that the event loop waits for.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;

/// Has the event loop watch a descriptor that reads and writes without waiting.
#[expect(
    deprecated,
    reason = "the replacement is unsafe; this descriptor is owned and stays open as long as its registration"
)]
pub(crate) fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(fd)
}
