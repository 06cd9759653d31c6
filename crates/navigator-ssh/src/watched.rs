//! Our end of a pipe or terminal, read and written without blocking.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::Bytes;
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

/// Bytes read at once: what a pipe holds.
const CHUNK: usize = 64 << 10;

/// A watched descriptor; the two directions of a terminal share one.
pub(crate) type Watched = Arc<AsyncFd<OwnedFd>>;

#[expect(
    deprecated,
    reason = "the replacement is unsafe; this descriptor is owned and stays open as long as its registration"
)]
pub(crate) fn watch(fd: OwnedFd) -> io::Result<Watched> {
    rustix::io::ioctl_fionbio(&fd, true)?;
    AsyncFd::new(fd).map(Arc::new)
}

/// The next part; empty at the end. Memory is taken only when there is something.
pub(crate) async fn read(source: &Watched) -> io::Result<Bytes> {
    loop {
        let mut ready = source.readable().await?;
        let mut chunk = Vec::with_capacity(CHUNK);
        let read = ready.try_io(|source| {
            let space = rustix::buffer::spare_capacity(&mut chunk);
            rustix::io::read(source.get_ref(), space).map_err(io::Error::from)
        });
        match read {
            Ok(Ok(_)) => return Ok(chunk.into()),
            // Nobody holds the terminal any more.
            Ok(Err(error)) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => {
                return Ok(Bytes::new());
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(Err(error)) => return Err(error),
            Err(_would_block) => {}
        }
    }
}

pub(crate) async fn write_all(target: &Watched, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let mut ready = target.writable().await?;
        let written = ready
            .try_io(|target| rustix::io::write(target.get_ref(), bytes).map_err(io::Error::from));
        match written {
            Ok(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(Ok(length)) => bytes = &bytes[length..],
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(Err(error)) => return Err(error),
            Err(_would_block) => {}
        }
    }
    Ok(())
}
