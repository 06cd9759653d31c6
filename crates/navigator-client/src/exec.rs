//! A command in a sandbox, as if it ran here: its input, output, terminal, signals and exit code.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use navigator_proto::v1::exec_interactive_request::Payload as Request;
use navigator_proto::v1::exec_sandbox_event::Payload as Event;
use navigator_proto::v1::{
    ExecInteractiveRequest, ExecSandboxEvent, ExecStart, ExecStdinEnd, TerminalSession,
    TerminalSize,
};
use navigator_terminal::{CHUNK, Raw, USUAL_SIZE, is_terminal, size, write_all};
use rustix::process::Signal;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::connect::Api;
use crate::detach::{DetachKeys, Detacher};
use crate::signals::{Interrupts, is_end};

/// Messages on their way out, and pieces of output on their way to a slow reader: enough that neither waits for the
/// other at each piece, little enough that what a paused reader has not seen stays in the sandbox.
const WAITING: usize = 8;
/// So many times the sandbox gets a signal that asks to end; at the next one this side stops to wait.
const PATIENCE: u32 = 2;

/// What to run.
#[derive(Clone, Debug, Default)]
pub struct Exec {
    /// The sandbox.
    pub sandbox_id: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Directory in the sandbox; empty: its own choice.
    pub workdir: String,
    /// Environment on top of the sandbox's own.
    pub environment: BTreeMap<String, String>,
    /// Ends it after this time.
    pub timeout: Option<Duration>,
    /// Whether it gets a terminal.
    pub terminal: Terminal,
    /// The terminal session that it runs in, or that is attached to; it always has a terminal.
    pub lasting: Option<Lasting>,
}

/// A terminal session that goes on when its clients leave.
#[derive(Clone, Debug)]
pub struct Lasting {
    /// Which.
    pub session: TerminalSession,
    /// What leaves it.
    pub keys: DetachKeys,
}

/// How following a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With this exit code.
    Code(u8),
    /// It goes on in its session.
    Detached,
}

/// Gives a terminal back to the shell, whatever the program that still runs made of it: out of the alternate screen,
/// without reports of the mouse, focus and pastes, with usual keys, colours and a cursor.
const LEAVE: &[u8] =
    b"\x1b[?1049l\x1b[?9l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1005l\x1b[?1006l\
\x1b[?2004l\x1b[?1l\x1b>\x1b[<u\x1b[r\x1b[?25h\x1b[m\x1b[9999;1H\r\n";

/// Whether a command gets a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Terminal {
    /// If standard input and standard output are one.
    #[default]
    Auto,
    /// Yes.
    Always,
    /// No.
    Never,
}

impl Terminal {
    /// The decision for this process.
    #[must_use]
    pub fn wanted(self) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => is_terminal(io::stdin().as_fd()) && is_terminal(io::stdout().as_fd()),
        }
    }
}

/// A command whose end is not known.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The gateway refused it, or the connection broke.
    #[error("failed to run the command in the sandbox")]
    Gateway(#[from] Box<Status>),
    /// The stream ended before the command did.
    #[error("failed to follow the command: the gateway ended the stream before the command ended")]
    Cut,
    /// Nobody reads what it prints.
    #[error("failed to write what the command prints")]
    Output(#[source] io::Error),
    /// The terminal or a thread.
    #[error("failed to connect the command with this terminal")]
    Terminal(#[from] io::Error),
}

/// Runs a command and returns its exit code; 128+n when this side was asked to end by signal n and the sandbox did not
/// react.
///
/// # Errors
/// [`ExecError`] when the command's end is not known.
pub async fn exec(
    api: &mut Api,
    exec: Exec,
    interrupts: &mut Interrupts,
) -> Result<Ended, ExecError> {
    let keys = exec.lasting.as_ref().map(|lasting| lasting.keys);
    let terminal = keys.is_some() || exec.terminal.wanted();
    let (to_sandbox, messages) = mpsc::channel(WAITING);
    let (typed, first) = (to_sandbox.clone(), start(exec, terminal));
    // There is room: it is the first message of a new channel.
    let _fits = to_sandbox.try_send(message(Request::Start(first)));
    let events = tokio::select! {
        events = api.exec_interactive(ReceiverStream::new(messages)) => events.map_err(Box::new)?,
        signal = interrupts.asked_to_end() => return Ok(Ended::Code(128 + signal)),
    };
    let _raw = terminal.then(Raw::enter).transpose()?;
    let (leave, left) = oneshot::channel();
    let detacher = keys.map(Detacher::new);
    std::thread::Builder::new().name("exec-in".into()).spawn(move || {
        if feed(&typed, detacher) {
            // Nobody waits when the command has ended.
            let _over = leave.send(());
        }
    })?;
    let ended = Following {
        events: events.into_inner(),
        to_sandbox,
        interrupts,
        terminal,
        lasting: keys.is_some(),
        left,
        output: Output::start()?,
        asked_to_end: 0,
    }
    .until_it_ends()
    .await;
    if keys.is_some() && !matches!(ended, Ok(Ended::Code(code)) if code < 128) {
        // A terminal that is gone needs nothing.
        let _gone = write_all(io::stdout(), LEAVE);
    }
    ended
}

fn start(exec: Exec, terminal: bool) -> ExecStart {
    // At least a second: 0 is no limit.
    let seconds = |time: Duration| (time.as_millis().div_ceil(1000)).max(1);
    let timeout = exec.timeout.map_or(0, seconds);
    let session = exec.lasting.map(|lasting| lasting.session);
    ExecStart {
        session,
        sandbox_id: exec.sandbox_id,
        command: exec.command,
        workdir: exec.workdir,
        environment: exec.environment,
        timeout_seconds: u32::try_from(timeout).unwrap_or(u32::MAX),
        terminal: terminal.then(terminal_size),
        term: if terminal { std::env::var("TERM").unwrap_or_default() } else { String::new() },
    }
}

fn terminal_size() -> TerminalSize {
    let size = size().unwrap_or(USUAL_SIZE);
    TerminalSize { rows: size.rows.into(), columns: size.columns.into() }
}

fn message(payload: Request) -> ExecInteractiveRequest {
    ExecInteractiveRequest { payload: Some(payload) }
}

/// Moves standard input on a thread of its own, which nobody can interrupt; it ends with the process. Whether the
/// keys that detach were typed.
fn feed(to_sandbox: &mpsc::Sender<ExecInteractiveRequest>, mut detacher: Option<Detacher>) -> bool {
    let mut chunk = vec![0; CHUNK];
    loop {
        let payload = match rustix::io::read(io::stdin(), &mut chunk) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(rustix::io::Errno::AGAIN) => {
                let stdin = io::stdin();
                let wait = rustix::event::PollFd::new(&stdin, rustix::event::PollFlags::IN);
                match rustix::event::poll(&mut [wait], None) {
                    Ok(_) | Err(rustix::io::Errno::INTR) => continue,
                    Err(_) => Request::StdinEnd(ExecStdinEnd {}),
                }
            }
            Ok(length) if length > 0 && detacher.is_some() => {
                let typed = &chunk[..length];
                let found = detacher.as_mut().map(|detacher| detacher.filter(typed));
                match found.unwrap_or_default() {
                    (_, true) => return true,
                    (passed, false) if passed.is_empty() => continue,
                    (passed, false) => Request::Stdin(passed),
                }
            }
            // What cannot be read has ended: a descriptor that was closed, a terminal that is gone.
            Ok(0) | Err(_) => Request::StdinEnd(ExecStdinEnd {}),
            Ok(length) => Request::Stdin(chunk[..length].to_vec()),
        };
        let over = matches!(payload, Request::StdinEnd(_));
        if to_sandbox.blocking_send(message(payload)).is_err() || over {
            return false;
        }
    }
}

/// A command that runs.
struct Following<'a> {
    events: Streaming<ExecSandboxEvent>,
    to_sandbox: mpsc::Sender<ExecInteractiveRequest>,
    interrupts: &'a mut Interrupts,
    terminal: bool,
    /// It goes on in its session without this side.
    lasting: bool,
    /// The keys that detach were typed.
    left: oneshot::Receiver<()>,
    output: Output,
    asked_to_end: u32,
}

/// What comes next.
enum Step {
    Detach,
    Signal(Signal),
    /// There is room for a piece of output, unless its writer has ended.
    Room(bool),
    Event(Result<Option<ExecSandboxEvent>, Status>),
}

/// How following a command ended.
enum End {
    /// With the command.
    Exit(u8),
    /// Without it: who waited for it wanted to end.
    Left(u8),
    /// Without it, which goes on.
    Detached,
}

impl Following<'_> {
    /// Whatever was printed before the end is shown, also when the end is a failure.
    async fn until_it_ends(mut self) -> Result<Ended, ExecError> {
        let end = self.follow().await;
        match end {
            Ok(End::Left(code)) => return Ok(Ended::Code(code)),
            Ok(End::Detached) => return Ok(Ended::Detached),
            Ok(End::Exit(_)) | Err(_) => {}
        }
        tokio::select! {
            written = self.output.finish() => written?,
            signal = self.interrupts.asked_to_end() => return Ok(Ended::Code(128 + signal)),
        }
        end.map(|end| match end {
            End::Exit(code) | End::Left(code) => Ended::Code(code),
            End::Detached => Ended::Detached,
        })
    }

    async fn follow(&mut self) -> Result<End, ExecError> {
        let mut unwritten = None;
        loop {
            let event = match self.step(unwritten.is_some()).await {
                Step::Detach => return Ok(End::Detached),
                Step::Signal(signal) => match self.pass_on(signal) {
                    Some(code) => return Ok(End::Left(code)),
                    None => continue,
                },
                Step::Room(true) => {
                    // Nobody else fills the room.
                    unwritten.take().map(|piece| self.output.pieces.try_send(piece));
                    continue;
                }
                // Why nothing can be written any more is known to the writer.
                Step::Room(false) => return Err(ExecError::Cut),
                Step::Event(event) => event.map_err(Box::new)?.ok_or(ExecError::Cut)?,
            };
            match event.payload {
                Some(Event::Stdout(out)) => unwritten = Some(Piece::Stdout(out.data)),
                Some(Event::Stderr(err)) => unwritten = Some(Piece::Stderr(err.data)),
                Some(Event::Exit(exit)) => {
                    return Ok(End::Exit(u8::try_from(exit.exit_code & 0xff).unwrap_or(u8::MAX)));
                }
                // Of a newer gateway.
                None => {}
            }
        }
    }

    async fn step(&mut self, unwritten: bool) -> Step {
        tokio::select! {
            Ok(()) = &mut self.left, if self.lasting && !self.left.is_terminated() => Step::Detach,
            signal = self.interrupts.next() => Step::Signal(signal),
            room = self.output.pieces.reserve(), if unwritten => Step::Room(room.is_ok()),
            event = self.events.message(), if !unwritten => Step::Event(event),
        }
    }

    /// Gives a signal to the sandbox; an exit code when this side should not wait any longer.
    fn pass_on(&mut self, signal: Signal) -> Option<u8> {
        if is_end(signal) {
            self.asked_to_end += 1;
            // A session is left by whoever is asked to end, such as when the terminal's window is closed.
            if self.lasting || self.asked_to_end > PATIENCE {
                return Some(u8::try_from(128 + signal.as_raw()).unwrap_or(u8::MAX));
            }
        }
        let payload = match signal {
            Signal::WINCH if !self.terminal => return None,
            Signal::WINCH => Request::Resize(terminal_size()),
            other => Request::Signal(other.as_raw()),
        };
        // A sandbox that takes no input has no room for a signal either; it still counts against the patience.
        let _full = self.to_sandbox.try_send(message(payload));
        None
    }
}

/// A piece of output.
enum Piece {
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
}

/// Writes output on a thread of its own: a reader that is slow must not hold up signals and signs of life.
struct Output {
    pieces: mpsc::Sender<Piece>,
    written: oneshot::Receiver<io::Result<()>>,
}

impl Output {
    fn start() -> io::Result<Self> {
        let (pieces, waiting) = mpsc::channel(WAITING);
        let (done, written) = oneshot::channel();
        std::thread::Builder::new().name("exec-out".into()).spawn(move || {
            // Nobody waits when this side has stopped to.
            let _unheard = done.send(write_pieces(waiting));
        })?;
        Ok(Self { pieces, written })
    }

    /// Waits until everything is written.
    async fn finish(self) -> Result<(), ExecError> {
        drop(self.pieces);
        match self.written.await {
            Ok(written) => written.map_err(ExecError::Output),
            Err(_thread_gone) => Err(ExecError::Output(io::ErrorKind::BrokenPipe.into())),
        }
    }
}

fn write_pieces(mut pieces: mpsc::Receiver<Piece>) -> io::Result<()> {
    while let Some(piece) = pieces.blocking_recv() {
        match piece {
            Piece::Stdout(bytes) => write_all(io::stdout(), &bytes)?,
            Piece::Stderr(bytes) => write_all(io::stderr(), &bytes)?,
        }
    }
    Ok(())
}
