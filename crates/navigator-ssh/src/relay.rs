//! A connection in the sandbox, joined with a channel.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::Sandbox;
use crate::channels::Output;
use crate::flow::Input;

/// How long a connection within one machine may take.
const DIAL: Duration = Duration::from_secs(10);
/// Bytes read at once: two packets of the largest usual size.
const CHUNK: usize = 64 << 10;

/// Connects to the first address that answers.
pub(crate) async fn dial<S: Sandbox>(
    sandbox: &S,
    targets: Vec<SocketAddr>,
) -> io::Result<TcpStream> {
    let mut last = io::ErrorKind::AddrNotAvailable.into();
    for target in targets {
        match tokio::time::timeout(DIAL, sandbox.dial(target)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_late) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

/// Passes bytes on both ways until both have ended or one has failed.
pub(crate) async fn join(stream: TcpStream, output: &Output, input: &Input) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "failed to send small packets at once");
    }
    let (reads, writes) = stream.into_split();
    // A connection that failed has nothing to say any more.
    let _failed = tokio::try_join!(up(reads, output), down(writes, input));
    input.refuse();
}

async fn up(mut stream: OwnedReadHalf, output: &Output) -> io::Result<()> {
    loop {
        // Memory is taken only when there is something.
        stream.readable().await?;
        let mut chunk = BytesMut::with_capacity(CHUNK);
        if stream.read_buf(&mut chunk).await? == 0 {
            return output.eof().await.map_err(io::Error::other);
        }
        output.data_bytes(chunk.freeze()).await.map_err(io::Error::other)?;
    }
}

async fn down(mut stream: OwnedWriteHalf, input: &Input) -> io::Result<()> {
    while let Some(bytes) = input.next().await {
        stream.write_all(&bytes).await?;
    }
    stream.shutdown().await
}
