//! Transfers with the real server, and with servers that mean harm.

mod hostile;
mod killed;
mod races;
mod random;
mod read_only;
mod transfers;

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use navigator_transfer::Client;

/// A client of the real server, which works in a directory until the client goes.
async fn connect(directory: &Path) -> Client {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let directory = directory.to_owned();
    std::thread::spawn(move || {
        navigator_sftp::serve(&[], theirs.as_fd(), theirs.as_fd(), &directory).unwrap();
    });
    open(ours).await
}

async fn open(stream: UnixStream) -> Client {
    stream.set_nonblocking(true).unwrap();
    Client::open(tokio::net::UnixStream::from_std(stream).unwrap()).await.unwrap()
}
