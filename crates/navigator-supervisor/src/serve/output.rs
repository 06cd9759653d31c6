//! What a process prints, on its way to the gateway.

use std::io;
use std::time::Duration;

use navigator_proto::session::v1::{FromProcess, from_process};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::start::Watched;

/// Most that one message carries; as much as a pipe holds.
const CHUNK: usize = 64 * 1024;
/// How long the last output may take to arrive after the end of a process: another that it left behind may hold its
/// output open for ever.
const LAST_OUTPUT: Duration = Duration::from_millis(500);

/// Where the messages of a process go.
pub(super) type Sender = mpsc::Sender<FromProcess>;

/// A part of the standard output.
pub(super) fn stdout(bytes: Vec<u8>) -> from_process::Message {
    from_process::Message::Stdout(bytes)
}

/// A part of the standard error.
pub(super) fn stderr(bytes: Vec<u8>) -> from_process::Message {
    from_process::Message::Stderr(bytes)
}

/// Sends everything that is printed. Whoever reads slowly stops this, and a full pipe stops the process.
///
/// After the process has ended, what was in the pipe then is sent however long that takes. What others print goes on
/// being sent until they close it, or for [`LAST_OUTPUT`].
pub(super) async fn pump(
    source: Option<Watched>,
    kind: fn(Vec<u8>) -> from_process::Message,
    sender: &Sender,
    exited: &CancellationToken,
) {
    let Some(source) = source else { return };
    loop {
        tokio::select! {
            chunk = next(&source) => if !pass_on(chunk, kind, sender).await {
                return;
            },
            () = exited.cancelled() => break,
        }
    }
    let owed = rustix::io::ioctl_fionread(source.get_ref()).unwrap_or(0);
    let mut owed = usize::try_from(owed).unwrap_or(usize::MAX);
    let deadline = Instant::now() + LAST_OUTPUT;
    while owed > 0 || Instant::now() < deadline {
        let Ok(chunk) = tokio::time::timeout_at(deadline, next(&source)).await else { return };
        owed = owed.saturating_sub(chunk.as_ref().map_or(0, Vec::len));
        if !pass_on(chunk, kind, sender).await {
            return;
        }
    }
}

/// Shows everything that is printed on a terminal, and its end as [`pump`] does. Nobody slows it down.
pub(super) async fn drain(
    source: Option<Watched>,
    exited: &CancellationToken,
    show: impl Fn(Vec<u8>),
) {
    let Some(source) = source else { return };
    let mut deadline = None;
    loop {
        let chunk = tokio::select! {
            chunk = next(&source) => chunk,
            () = exited.cancelled(), if deadline.is_none() => {
                deadline = Some(Instant::now() + LAST_OUTPUT);
                continue;
            }
            () = until(deadline) => return,
        };
        match chunk {
            Ok(chunk) if chunk.is_empty() => return,
            Ok(chunk) => show(chunk),
            Err(error) => {
                tracing::warn!(%error, "failed to read what a session prints");
                return;
            }
        }
        // Others need their turn: a program may print without a pause.
        tokio::task::yield_now().await;
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Sends a part; false when it was the end, or nobody reads any more.
async fn pass_on(
    chunk: io::Result<Vec<u8>>,
    kind: fn(Vec<u8>) -> from_process::Message,
    sender: &Sender,
) -> bool {
    match chunk {
        Ok(chunk) if chunk.is_empty() => false,
        Ok(chunk) => sender.send(FromProcess { message: Some(kind(chunk)) }).await.is_ok(),
        Err(error) => {
            tracing::warn!(%error, "failed to read what a process prints");
            false
        }
    }
}

/// The next part; empty at the end. Memory is taken only when there is something.
async fn next(source: &Watched) -> io::Result<Vec<u8>> {
    loop {
        let mut ready = source.readable().await?;
        let mut chunk = Vec::with_capacity(CHUNK);
        let read = ready.try_io(|source| {
            let space = rustix::buffer::spare_capacity(&mut chunk);
            rustix::io::read(source.get_ref(), space).map_err(io::Error::from)
        });
        match read {
            Ok(Ok(_)) => {
                chunk.shrink_to_fit();
                return Ok(chunk);
            }
            // Nobody holds the terminal any more.
            Ok(Err(error))
                if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) =>
            {
                return Ok(vec![]);
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(Err(error)) => return Err(error),
            Err(_would_block) => {}
        }
    }
}
