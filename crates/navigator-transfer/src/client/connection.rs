//! Requests on their way: one task writes them, one reads answers and hands each to who asked.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use navigator_sftp::wire::{MAX_PACKET, Reader, VERSION, Writer, kind};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::ClientError;

/// Requests that wait to be written; who asks more waits with them.
const QUEUE: usize = 64;
/// Bytes of small requests that are written together.
const TOGETHER: usize = 32 * 1024;
/// Room for answers that is made at once.
const ROOM: usize = 64 * 1024;

/// An answer without its id.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) kind: u8,
    pub(super) body: Bytes,
}

#[derive(Debug)]
struct Request {
    header: Vec<u8>,
    content: Bytes,
}

/// Who waits for which answer; nothing once the connection has ended.
#[derive(Debug)]
struct Waiting {
    next: u32,
    answers: Option<HashMap<u32, oneshot::Sender<Answer>>>,
}

type Shared = Arc<Mutex<Waiting>>;

/// Both tasks of a connection; they end with it.
#[derive(Debug)]
pub(super) struct Connection {
    requests: mpsc::Sender<Request>,
    waiting: Shared,
    _tasks: JoinSet<()>,
}

impl Connection {
    /// Exchanges versions and starts the tasks; gives what comes behind the server's version.
    pub(super) async fn open(
        stream: impl AsyncRead + AsyncWrite + Send + 'static,
    ) -> Result<(Self, Bytes), ClientError> {
        let (mut input, mut output) = tokio::io::split(stream);
        let mut hello = vec![];
        Writer::begin(&mut hello, kind::INIT).u32(VERSION).end();
        output.write_all(&hello).await.map_err(ClientError::Stream)?;
        output.flush().await.map_err(ClientError::Stream)?;
        let mut buffer = BytesMut::new();
        let answer = next_packet(&mut input, &mut buffer).await?.ok_or(ClientError::Closed)?;
        let mut reader = Reader::new(&answer);
        if reader.u8()? != kind::VERSION || reader.u32()? != VERSION {
            return Err(ClientError::Protocol);
        }
        let (requests, queue) = mpsc::channel(QUEUE);
        let waiting = Arc::new(Mutex::new(Waiting { next: 0, answers: Some(HashMap::new()) }));
        let mut tasks = JoinSet::new();
        let (reading, writing) = (Arc::clone(&waiting), Arc::clone(&waiting));
        tasks.spawn(async move {
            // Whatever ended it, all who wait learn that their answers do not come.
            let _ = deliver(input, buffer, &reading).await;
            lock(&reading).answers = None;
        });
        tasks.spawn(async move {
            if send(output, queue).await.is_err() {
                lock(&writing).answers = None;
            }
        });
        Ok((Self { requests, waiting, _tasks: tasks }, answer.slice(5..)))
    }

    /// Makes a request and waits for its answer.
    pub(super) async fn ask(
        &self,
        kind: u8,
        fill: impl FnOnce(Writer<'_>),
        content: Bytes,
    ) -> Result<Answer, ClientError> {
        let (sender, receiver) = oneshot::channel();
        let id = {
            let mut waiting = lock(&self.waiting);
            waiting.next = waiting.next.wrapping_add(1);
            waiting.next
        };
        let mut header = Vec::with_capacity(64);
        fill(Writer::begin(&mut header, kind).u32(id));
        if header.len() - 4 + content.len() > MAX_PACKET {
            return Err(ClientError::Failed("the request is too long".into()));
        }
        lock(&self.waiting).answers.as_mut().ok_or(ClientError::Closed)?.insert(id, sender);
        let request = Request { header, content };
        self.requests.send(request).await.map_err(|_| ClientError::Closed)?;
        receiver.await.map_err(|_| ClientError::Closed)
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hands answers to who waits, until the stream ends or the server breaks the protocol.
async fn deliver(
    mut input: impl AsyncRead + Unpin,
    mut buffer: BytesMut,
    waiting: &Mutex<Waiting>,
) -> Result<(), ClientError> {
    while let Some(packet) = next_packet(&mut input, &mut buffer).await? {
        let mut reader = Reader::new(&packet);
        let (kind, id) = (reader.u8()?, reader.u32()?);
        let sender = lock(waiting).answers.as_mut().and_then(|answers| answers.remove(&id));
        let sender = sender.ok_or(ClientError::Protocol)?;
        // Who asked may have gone; the answer is then nobody's.
        let _ = sender.send(Answer { kind, body: packet.slice(5..) });
    }
    Ok(())
}

/// The next packet without its length; nothing at the stream's end.
async fn next_packet(
    input: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> Result<Option<Bytes>, ClientError> {
    fill_to(input, buffer, 4).await?;
    let Some(prefix) = buffer.first_chunk::<4>() else {
        return if buffer.is_empty() { Ok(None) } else { Err(ClientError::Closed) };
    };
    let length = usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
    if !(5..=MAX_PACKET).contains(&length) {
        return Err(ClientError::Protocol);
    }
    fill_to(input, buffer, 4 + length).await?;
    if buffer.len() < 4 + length {
        return Err(ClientError::Closed);
    }
    Ok(Some(buffer.split_to(4 + length).freeze().slice(4..)))
}

/// Reads until there is that much, or the stream ends.
async fn fill_to(
    input: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    length: usize,
) -> Result<(), ClientError> {
    while buffer.len() < length {
        buffer.reserve((length - buffer.len()).max(ROOM));
        if input.read_buf(buffer).await.map_err(ClientError::Stream)? == 0 {
            break;
        }
    }
    Ok(())
}

/// Writes requests, small ones together.
async fn send(
    mut output: impl AsyncWrite + Unpin,
    mut queue: mpsc::Receiver<Request>,
) -> io::Result<()> {
    let mut together = Vec::with_capacity(TOGETHER);
    while let Some(request) = queue.recv().await {
        let mut next = Some(request);
        while let Some(request) = next.take() {
            together.extend_from_slice(&request.header);
            if !request.content.is_empty() || together.len() >= TOGETHER {
                write_both(&mut output, &together, &request.content).await?;
                together.clear();
            }
            next = queue.try_recv().ok();
        }
        output.write_all(&together).await?;
        together.clear();
        output.flush().await?;
    }
    output.shutdown().await
}

async fn write_both(
    output: &mut (impl AsyncWrite + Unpin),
    first: &[u8],
    second: &[u8],
) -> io::Result<()> {
    let mut written = 0;
    while written < first.len() {
        let slices = [IoSlice::new(&first[written..]), IoSlice::new(second)];
        match output.write_vectored(&slices).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => written += count,
        }
    }
    output.write_all(&second[written - first.len()..]).await
}
