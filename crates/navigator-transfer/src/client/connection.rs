//! Requests on their way: one task writes them, one reads answers and hands each to who asked.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use navigator_sftp::wire::{MAX_DATA, MAX_PACKET, Reader, VERSION, Writer, kind};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::ClientError;
use super::content::{Landing, Piece};
use super::handle::{Handle, Left};
use super::input::Input;

/// Requests that wait to be written; who asks more waits with them.
const QUEUE: usize = 64;
/// Bytes of small requests that are written together.
const TOGETHER: usize = 32 * 1024;

/// What came back.
#[derive(Debug)]
pub(super) enum Answer {
    /// A packet without its id.
    Packet { kind: u8, body: Bytes },
    /// What was opened.
    Opened(Handle),
    /// That much content, which is in its file.
    Landed(usize),
}

/// A request, and whose answer fails when its content cannot be read.
#[derive(Debug)]
struct Request {
    id: u32,
    header: Vec<u8>,
    content: Option<Piece>,
}

/// Who waits for an answer to which kind of request, and where its content goes.
#[derive(Debug)]
struct Waiter {
    asked: u8,
    sender: oneshot::Sender<Result<Answer, ClientError>>,
    landing: Option<Landing>,
}

/// Who waits for which answer; nothing once the connection has ended.
#[derive(Debug)]
struct Waiting {
    next: u32,
    answers: Option<HashMap<u32, Waiter>>,
}

impl Waiting {
    fn insert(&mut self, waiter: Waiter) -> Result<u32, ClientError> {
        self.next = self.next.wrapping_add(1);
        self.answers.as_mut().ok_or(ClientError::Closed)?.insert(self.next, waiter);
        Ok(self.next)
    }

    fn take(&mut self, id: u32) -> Option<Waiter> {
        self.answers.as_mut().and_then(|answers| answers.remove(&id))
    }
}

/// Both tasks of a connection; they end with it.
#[derive(Debug)]
pub(super) struct Connection {
    requests: mpsc::Sender<Request>,
    waiting: Arc<Mutex<Waiting>>,
    left: Left,
    _tasks: JoinSet<()>,
}

impl Connection {
    /// Exchanges versions and starts the tasks; gives what comes behind the server's version.
    pub(super) async fn open(
        stream: impl AsyncRead + AsyncWrite + Send + 'static,
    ) -> Result<(Self, Vec<u8>), ClientError> {
        let (input, mut output) = tokio::io::split(stream);
        let mut input = Input::new(input);
        let mut hello = vec![];
        Writer::begin(&mut hello, kind::INIT).u32(VERSION).end();
        output.write_all(&hello).await.map_err(ClientError::Stream)?;
        output.flush().await.map_err(ClientError::Stream)?;
        let answer = input.next().await?.ok_or(ClientError::Closed)?;
        let mut reader = Reader::new(answer);
        if reader.u8()? != kind::VERSION || reader.u32()? != VERSION {
            return Err(ClientError::Protocol);
        }
        let announced = answer[5..].to_vec();
        let (requests, queue) = mpsc::channel(QUEUE);
        let waiting = Arc::new(Mutex::new(Waiting { next: 0, answers: Some(HashMap::new()) }));
        let left = Left::default();
        let mut tasks = JoinSet::new();
        let (reading, writing) = (Arc::clone(&waiting), Arc::clone(&waiting));
        let opened = left.clone();
        tasks.spawn(async move {
            // Whatever ended it, all who wait learn that their answers do not come.
            let _ = deliver(input, &reading, &opened).await;
            lock(&reading).answers = None;
        });
        tasks.spawn(async move {
            if send(output, queue, &writing).await.is_err() {
                lock(&writing).answers = None;
            }
        });
        Ok((Self { requests, waiting, left, _tasks: tasks }, announced))
    }

    /// Makes a request, whose content may come from a file, and waits for its answer, whose content may go to one.
    pub(super) async fn ask(
        &self,
        kind: u8,
        fill: impl FnOnce(Writer<'_>),
        content: Option<Piece>,
        landing: Option<Landing>,
    ) -> Result<Answer, ClientError> {
        let place = self.requests.reserve().await.map_err(|_| ClientError::Closed)?;
        let mut header = Vec::with_capacity(64);
        fill(Writer::begin(&mut header, kind).u32(0));
        if header.len() - 4 + content.as_ref().map_or(0, |piece| piece.length) > MAX_PACKET {
            return Err(ClientError::Failed("the request is too long".into()));
        }
        let (sender, receiver) = oneshot::channel();
        let id = lock(&self.waiting).insert(Waiter { asked: kind, sender, landing })?;
        header[5..9].copy_from_slice(&id.to_be_bytes());
        place.send(Request { id, header, content });
        receiver.await.map_err(|_| ClientError::Closed)?
    }

    /// A handle that is open although nobody has it any more.
    pub(super) fn left(&self) -> Option<Handle> {
        self.left.pop()
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hands answers to who waits, until the stream ends or the server breaks the protocol.
async fn deliver(
    mut input: Input<impl AsyncRead + Unpin>,
    waiting: &Mutex<Waiting>,
    left: &Left,
) -> Result<(), ClientError> {
    while let Some(packet) = input.next().await? {
        let mut reader = Reader::new(packet);
        let (kind, id) = (reader.u8()?, reader.u32()?);
        let waiter = lock(waiting).take(id).ok_or(ClientError::Protocol)?;
        let answer = waiter.answer(kind, &packet[5..], left);
        // Who asked may have gone; the answer is then nobody's.
        let _ = waiter.sender.send(answer);
    }
    Ok(())
}

impl Waiter {
    fn answer(&self, kind: u8, body: &[u8], left: &Left) -> Result<Answer, ClientError> {
        match (self.asked, kind, &self.landing) {
            // Only what opens has a handle for its answer, so that closing never leaves one to be closed.
            (kind::OPEN | kind::OPENDIR, kind::HANDLE, _) => {
                return Handle::new(body, left).map(Answer::Opened);
            }
            // Nothing is written for who has gone.
            (_, kind::DATA, Some(landing)) if !self.sender.is_closed() => {
                if let Some(length) = landing.land(body)? {
                    return Ok(Answer::Landed(length));
                }
            }
            _ => {}
        }
        Ok(Answer::Packet { kind, body: Bytes::copy_from_slice(body) })
    }
}

/// Writes requests, small ones together.
async fn send(
    mut output: impl AsyncWrite + Unpin,
    mut queue: mpsc::Receiver<Request>,
    waiting: &Mutex<Waiting>,
) -> io::Result<()> {
    let mut together = Vec::with_capacity(TOGETHER);
    let mut buffer = vec![0; MAX_DATA];
    while let Some(request) = queue.recv().await {
        let mut next = Some(request);
        while let Some(request) = next.take() {
            let content = request.content.map_or(Ok(&[][..]), |piece| piece.read(&mut buffer));
            match content {
                Ok(content) => {
                    together.extend_from_slice(&request.header);
                    if !content.is_empty() || together.len() >= TOGETHER {
                        write_both(&mut output, &together, content).await?;
                        together.clear();
                    }
                }
                Err(reason) => refuse(waiting, request.id, reason),
            }
            next = queue.try_recv().ok();
        }
        output.write_all(&together).await?;
        together.clear();
        output.flush().await?;
    }
    output.shutdown().await
}

/// Answers a request whose content could not be read, and which therefore is not sent.
fn refuse(waiting: &Mutex<Waiting>, id: u32, reason: io::Error) {
    if let Some(waiter) = lock(waiting).take(id) {
        // Who asked may have gone.
        let _ = waiter.sender.send(Err(ClientError::File(reason)));
    }
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
