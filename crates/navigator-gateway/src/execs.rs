//! Processes that clients start: asked for over the session, carried by a stream of their own, so that each has its own
//! flow control and a slow reader slows down nobody else.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::future::Fuse;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use navigator_proto::session::v1 as proto;
use navigator_proto::session::v1::{from_process, to_process, to_supervisor};
use navigator_proto::v1 as api;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Status, Streaming};

use crate::awaited::Awaited;
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::metrics::Metrics;
use crate::records::Phase;

/// Pieces of input on their way to a process.
const INPUT: usize = 4;
/// Bytes of one piece of input.
const PIECE_BYTES: usize = 64 * 1024;
/// Most words of a command.
const WORDS: usize = 4096;
/// Most bytes of a command with its environment: half of what the kernel takes for certain (ARG_MAX).
const COMMAND_BYTES: usize = 1024 * 1024;
/// Largest side of a terminal, in cells.
const CELLS: u32 = u16::MAX as u32;

type Input = ReceiverStream<Result<proto::ToProcess, Status>>;
/// A process's stream.
pub(crate) struct Process {
    pub(crate) output: Streaming<proto::FromProcess>,
    input: mpsc::Sender<Result<proto::ToProcess, Status>>,
}

impl Awaited<Process> {
    /// A supervisor has opened a process's stream; what goes to the process comes out of the result.
    pub(crate) async fn joined(
        &self,
        mut output: Streaming<proto::FromProcess>,
    ) -> Result<Input, Status> {
        let first = output.message().await?.and_then(|first| first.message);
        let Some(from_process::Message::ExecId(id)) = first else {
            return Err(Status::invalid_argument("the first message must name the process"));
        };
        let (input, receiver) = mpsc::channel(INPUT);
        match self.arrived(&id, Process { output, input }) {
            true => Ok(ReceiverStream::new(receiver)),
            false => Err(Status::not_found("nobody waits for this process")),
        }
    }
}

/// What a supervisor is asked for.
pub(crate) enum Ask {
    /// A process.
    Start(api::ExecStart),
    /// Something about terminal sessions.
    Terminals(proto::TerminalsRequest),
}

/// What a process prints, and its end.
pub(crate) type Events =
    std::pin::Pin<Box<dyn Stream<Item = Result<api::ExecSandboxEvent, Status>> + Send>>;

impl Gateway {
    /// Starts a process and returns its output; `input` is what it reads. The process ends when the output is
    /// dropped.
    pub(crate) async fn exec(
        self: &Arc<Self>,
        start: api::ExecStart,
        input: impl Stream<Item = Result<to_process::Message, Status>> + Send + 'static,
    ) -> Result<Events, Failure> {
        check(&start)?;
        let sandbox_id = start.sandbox_id.clone();
        let (process, place) = self.open(&sandbox_id, Ask::Start(start)).await?;
        Ok(self.carry(process, input, place))
    }

    /// Asks a sandbox's supervisor for something that it answers on a stream.
    pub(crate) async fn open(
        self: &Arc<Self>,
        sandbox_id: &str,
        ask: Ask,
    ) -> Result<(Process, OwnedSemaphorePermit), Failure> {
        let sandbox = self.with_id(sandbox_id).await?;
        if !matches!(sandbox.phase, Phase::Ready | Phase::Unknown) {
            let phase = crate::wire::phase_word(sandbox.phase);
            return Err(Failure::Precondition(format!("the sandbox is {phase}, not ready")));
        }
        let live = self.live(sandbox.id);
        let place = Arc::clone(&live.execs).try_acquire_owned().map_err(|_| {
            Failure::Exhausted(
                "too many processes are followed in this sandbox; wait for one to end".into(),
            )
        })?;
        let (start, terminals) = match ask {
            Ask::Start(start) => (Some(start), None),
            Ask::Terminals(request) => (None, Some(request)),
        };
        let session = live.session.reached().await?;
        let request = |exec_id| {
            to_supervisor::Message::Exec(proto::ExecRequest { exec_id, start, terminals })
        };
        let process = live.waiting.ask(&session, request).await?;
        Ok((process, place))
    }

    /// Carries a process's output to a client, and its input back.
    pub(crate) fn carry(
        &self,
        process: Process,
        input: impl Stream<Item = Result<to_process::Message, Status>> + Send + 'static,
        place: OwnedSemaphorePermit,
    ) -> Events {
        let over = CancellationToken::new();
        let ended = over.clone();
        let (refuse, refused) = oneshot::channel();
        let sender = process.input;
        self.tasks.spawn(async move {
            tokio::select! {
                () = ended.cancelled() => {}
                () = pump(input, sender, refuse) => {}
            }
        });
        let carried = Carried {
            output: process.output,
            refused: refused.fuse(),
            ready: VecDeque::new(),
            over: false,
            _held: (place, over.drop_guard(), Counted::new(&self.metrics)),
        };
        Box::pin(stream::unfold(carried, |mut carried| async move {
            carried.next().await.map(|event| (event, carried))
        }))
    }
}

type Event = Result<api::ExecSandboxEvent, Status>;

/// What a process prints, on its way to a client. Everything that belongs to it ends when it is dropped.
struct Carried {
    output: Streaming<proto::FromProcess>,
    /// What the client sent and should not have.
    refused: Fuse<oneshot::Receiver<Status>>,
    ready: VecDeque<Event>,
    over: bool,
    _held: (OwnedSemaphorePermit, DropGuard, Counted),
}

impl Carried {
    async fn next(&mut self) -> Option<Event> {
        const GONE: &str = "the sandbox's supervisor is gone, and the process with it";
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.over {
                return None;
            }
            tokio::select! {
                Ok(status) = &mut self.refused => {
                    self.over = true;
                    return Some(Err(status));
                }
                message = self.output.message() => match message {
                    Ok(Some(message)) => self.ready.extend(message.message.map(events).unwrap_or_default()),
                    Ok(None) => self.over = true,
                    Err(_) => {
                        self.over = true;
                        return Some(Err(Status::unavailable(GONE)));
                    }
                },
            }
        }
    }
}

/// A process that a client follows, as long as it does.
struct Counted(Arc<Metrics>);

impl Counted {
    fn new(metrics: &Arc<Metrics>) -> Self {
        metrics.execs.inc();
        Self(Arc::clone(metrics))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.execs.dec();
    }
}

/// Passes input on until its end, and keeps the way open until the process ends. What is no input ends it.
async fn pump(
    input: impl Stream<Item = Result<to_process::Message, Status>>,
    sender: mpsc::Sender<Result<proto::ToProcess, Status>>,
    refuse: oneshot::Sender<Status>,
) {
    tokio::pin!(input);
    while let Some(message) = input.next().await {
        let message = match message {
            Ok(message) => proto::ToProcess { message: Some(message) },
            Err(status) => {
                // Nobody is told when the client is gone.
                let _gone = refuse.send(status);
                return;
            }
        };
        if sender.send(Ok(message)).await.is_err() {
            return;
        }
    }
    sender.closed().await;
}

fn events(message: from_process::Message) -> Vec<Event> {
    use api::exec_sandbox_event::Payload;
    let stdout = |data| Payload::Stdout(api::ExecSandboxStdout { data });
    let stderr = |data| Payload::Stderr(api::ExecSandboxStderr { data });
    let exit = |exit_code| Payload::Exit(api::ExecSandboxExit { exit_code });
    let payloads = match message {
        // What is about sessions is read elsewhere.
        from_process::Message::ExecId(_)
        | from_process::Message::Terminals(_)
        | from_process::Message::TerminalEnded(_)
        | from_process::Message::Recordings(_) => vec![],
        from_process::Message::Stdout(data) => vec![stdout(data)],
        from_process::Message::Stderr(data) => vec![stderr(data)],
        from_process::Message::ExitCode(code) => vec![exit(code)],
        // As a shell would say it.
        from_process::Message::Failure(failure) => {
            let words = format!("navigator: {}\n", failure.message);
            vec![stderr(words.into_bytes()), exit(failure.exit_code)]
        }
    };
    let event = |payload| Ok(api::ExecSandboxEvent { payload: Some(payload) });
    payloads.into_iter().map(event).collect()
}

/// A request's whole standard input, in pieces.
pub(crate) fn whole_input(
    stdin: Vec<u8>,
) -> impl Stream<Item = Result<to_process::Message, Status>> {
    let stdin = bytes::Bytes::from(stdin);
    let pieces = stdin.len().div_ceil(PIECE_BYTES);
    let piece = move |number: usize| {
        let start = number * PIECE_BYTES;
        let end = (start + PIECE_BYTES).min(stdin.len());
        to_process::Message::Stdin(stdin.slice(start..end).to_vec())
    };
    let end = to_process::Message::StdinEnd(api::ExecStdinEnd {});
    stream::iter((0..pieces).map(piece).chain([end]).map(Ok))
}

/// What a client sends after the start of an interactive process.
pub(crate) fn interactive_input(
    requests: Streaming<api::ExecInteractiveRequest>,
) -> impl Stream<Item = Result<to_process::Message, Status>> {
    use api::exec_interactive_request::Payload;
    requests.map(|request| match request?.payload {
        None => Err(Status::invalid_argument("an empty message")),
        Some(Payload::Start(_)) => Err(Status::invalid_argument("a process starts once")),
        Some(Payload::Stdin(data)) => Ok(to_process::Message::Stdin(data)),
        Some(Payload::StdinEnd(end)) => Ok(to_process::Message::StdinEnd(end)),
        Some(Payload::Resize(size)) => Ok(to_process::Message::Resize(size)),
        Some(Payload::Signal(signal)) => Ok(to_process::Message::Signal(signal)),
    })
}

/// Refuses what cannot be a command.
fn check(start: &api::ExecStart) -> Result<(), Failure> {
    let invalid = |message: &str| Err(Failure::Invalid(message.to_owned()));
    crate::terminals::check(start)?;
    let only_attaches =
        start.session.as_ref().is_some_and(|session| session.entry() == api::TerminalEntry::Attach);
    if start.command.first().is_none_or(String::is_empty) && !only_attaches {
        return invalid("the command is empty");
    }
    if start.command.len() > WORDS {
        return invalid("the command has more than 4096 words");
    }
    let environment = start.environment.iter().map(|(name, value)| name.len() + value.len() + 2);
    let bytes = start.command.iter().map(|word| word.len() + 1).chain(environment).sum::<usize>();
    if bytes > COMMAND_BYTES {
        return invalid("the command and its environment are larger than 1 MiB");
    }
    if start.command.iter().chain([&start.workdir, &start.term]).any(|text| text.contains('\0')) {
        return invalid("a command, its directory and its terminal cannot hold NUL");
    }
    if !start.workdir.is_empty() && !start.workdir.starts_with('/') {
        return invalid("the working directory must be an absolute path");
    }
    crate::spec::check_environment(&start.environment)?;
    if let Some(size) = &start.terminal
        && [size.rows, size.columns].iter().any(|cells| *cells == 0 || *cells > CELLS)
    {
        return invalid("a terminal has 1 to 65535 rows and columns");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(words: &[&str]) -> api::ExecStart {
        api::ExecStart {
            command: words.iter().map(ToString::to_string).collect(),
            ..Default::default()
        }
    }

    #[test]
    fn what_cannot_be_a_command_is_refused() {
        assert!(check(&start(&["true"])).is_ok());
        let long = "x".repeat(COMMAND_BYTES);
        for words in [&[][..], &[""], &["a\0b"], &["a", &long], &["x"; WORDS + 1]] {
            assert!(check(&start(words)).is_err());
        }
        for workdir in ["relative", "/a\0b"] {
            assert!(
                check(&api::ExecStart { workdir: workdir.into(), ..start(&["true"]) }).is_err()
            );
        }
        for name in ["", "1A", "A=B", "A B", "A\0"] {
            let environment = [(name.to_owned(), String::new())].into();
            assert!(
                check(&api::ExecStart { environment, ..start(&["true"]) }).is_err(),
                "{name:?}"
            );
        }
        for (rows, columns) in [(0, 80), (24, 0), (24, 70_000)] {
            let terminal = Some(api::TerminalSize { rows, columns });
            assert!(check(&api::ExecStart { terminal, ..start(&["true"]) }).is_err());
        }
    }

    #[tokio::test]
    async fn input_comes_in_pieces_and_ends() {
        let stdin = vec![7; 2 * PIECE_BYTES + 1];
        let pieces: Vec<_> = whole_input(stdin.clone()).map(Result::unwrap).collect().await;
        let mut joined: Vec<u8> = vec![];
        for piece in &pieces[..pieces.len() - 1] {
            let to_process::Message::Stdin(data) = piece else { panic!("not input") };
            joined.extend(data);
        }
        assert!(joined == stdin && pieces.len() == 4);
        assert!(matches!(pieces[3], to_process::Message::StdinEnd(_)));
    }
}
