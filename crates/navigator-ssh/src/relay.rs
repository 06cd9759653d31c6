//! A connection in the sandbox, joined with a channel.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_util::sync::CancellationToken;

use crate::Sandbox;
use crate::channels::Output;
use crate::flow::Input;

/// How long a connection within one machine may take.
const DIAL: Duration = Duration::from_secs(10);
/// How long what a client sent before it closed its channel may take to be read.
const LINGER: Duration = Duration::from_secs(30);
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

/// Passes bytes on both ways until both have ended, or the client has closed the channel and what it sent is passed on.
pub(crate) async fn join(
    stream: TcpStream,
    output: &Output,
    input: &Input,
    closed: &CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "failed to send small packets at once");
    }
    let (reads, writes) = stream.into_split();
    let up = async {
        let passed = tokio::select! {
            passed = up(reads, output) => passed,
            () = closed.cancelled() => return,
        };
        if passed.is_err() {
            // It is reset, for both directions.
            input.refuse();
        }
    };
    let down = async {
        if down(writes, input).await.is_err() {
            // Nobody reads any more; an answer may still come.
            input.refuse();
        }
    };
    let late = async {
        closed.cancelled().await;
        tokio::time::sleep(LINGER).await;
    };
    tokio::select! {
        ((), ()) = async { tokio::join!(up, down) } => {}
        () = late => {}
    }
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
