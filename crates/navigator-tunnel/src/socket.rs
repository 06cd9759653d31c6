//! The sockets that bytes are carried between.

use std::io;
use std::os::fd::AsFd;

use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

/// A connected stream socket.
pub trait Socket: AsFd + Sync {
    /// Waits until there is something to read, or its end.
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send;

    /// Waits until there is room for more.
    fn writable(&self) -> impl Future<Output = io::Result<()>> + Send;

    /// Does one step that may find that it must wait.
    ///
    /// # Errors
    /// Those of the step; [`io::ErrorKind::WouldBlock`] when waiting is next.
    fn step<T>(&self, interest: Interest, step: impl FnOnce() -> io::Result<T>) -> io::Result<T>;
}

impl Socket for TcpStream {
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.readable()
    }

    fn writable(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.writable()
    }

    fn step<T>(&self, interest: Interest, step: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.try_io(interest, step)
    }
}

impl Socket for UnixStream {
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.readable()
    }

    fn writable(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.writable()
    }

    fn step<T>(&self, interest: Interest, step: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.try_io(interest, step)
    }
}
