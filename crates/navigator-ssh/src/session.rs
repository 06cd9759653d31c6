//! A session that runs a process: its input, output, terminal, signals and end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use russh::server::Handle;
use rustix::process::Signal;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::channels::Output;
use crate::flow::Input;
use crate::watched::{self, Watched};
use crate::{Control, Ending, Sandbox, StartFailure, Streams, TerminalSize, Wanted, signals};

/// How long the sandbox may take to start a process; it may be busy.
const START: Duration = Duration::from_secs(30);
/// Data of the standard error (RFC 4254, section 5.2).
const STDERR: u32 = 1;
/// Exit code of our failures.
const FAILED: i32 = 125;

/// What a client asks of a process that runs.
#[derive(Debug)]
pub(crate) enum Request {
    Resize(TerminalSize),
    Signal(Signal),
}

/// A session before it runs.
pub(crate) struct Session<S> {
    pub(crate) sandbox: Arc<S>,
    pub(crate) handle: Handle,
    pub(crate) output: Output,
    pub(crate) input: Arc<Input>,
    pub(crate) requests: mpsc::Receiver<Request>,
    /// Held until it is over.
    pub(crate) permit: OwnedSemaphorePermit,
}

/// Our ends of a process, watched.
struct Ends {
    stdin: Watched,
    stdout: Watched,
    stderr: Option<Watched>,
    terminal: Option<Watched>,
}

impl<S: Sandbox> Session<S> {
    /// Starts what is wanted and serves it to its end.
    pub(crate) async fn run(mut self, wanted: Wanted) {
        let started = tokio::time::timeout(START, self.sandbox.start(wanted)).await;
        let ready = match started {
            Ok(Ok(process)) => ends(process.streams)
                .map(|ends| (ends, process.ending, process.control))
                .map_err(|error| failure(&format!("the process cannot be reached: {error}"))),
            Ok(Err(failure)) => Err(failure),
            Err(_late) => Err(failure("the sandbox does not answer")),
        };
        match ready {
            Ok((ends, ending, control)) => self.serve(ends, ending, &*control).await,
            Err(failure) => self.fail(failure).await,
        }
        // A client that is gone is told nothing.
        let _gone = self.output.eof().await;
        drop(self.permit);
    }

    async fn serve(
        &mut self,
        ends: Ends,
        ending: crate::BoxFuture<'static, Ending>,
        control: &dyn Control,
    ) {
        let Self { handle, output, input, requests, .. } = self;
        let Ends { stdin, stdout, stderr, terminal } = ends;
        let end = async { report(handle, output, ending.await).await };
        let over = async { tokio::join!(end, pump(stdout, None, output), warn(stderr, output)) };
        let served = async {
            tokio::join!(feed(stdin, input), obey(requests, terminal, control));
        };
        tokio::select! {
            _ = over => {}
            // Neither its input nor requests end a process.
            () = async { served.await; std::future::pending::<()>().await } => {}
        }
        input.refuse();
    }

    /// The client sees a program that says why and fails.
    async fn fail(&self, failure: StartFailure) {
        self.input.refuse();
        let message = Bytes::from(format!("{}\n", failure.message));
        if self.output.extended_data_bytes(STDERR, message).await.is_ok() {
            report(&self.handle, &self.output, Ending::Code(failure.exit_code)).await;
        }
    }
}

fn failure(message: &str) -> StartFailure {
    StartFailure { exit_code: FAILED, message: message.to_owned() }
}

fn ends(streams: Streams) -> io::Result<Ends> {
    Ok(match streams {
        Streams::Pipes { stdin, stdout, stderr } => Ends {
            stdin: watched::watch(stdin)?,
            stdout: watched::watch(stdout)?,
            stderr: Some(watched::watch(stderr)?),
            terminal: None,
        },
        Streams::Terminal(controlling) => {
            let terminal = watched::watch(controlling)?;
            Ends {
                stdin: Arc::clone(&terminal),
                stdout: Arc::clone(&terminal),
                stderr: None,
                terminal: Some(terminal),
            }
        }
    })
}

/// Tells how it ended.
async fn report(handle: &Handle, output: &Output, ending: Ending) {
    let id = output.id();
    // A client that is gone is told nothing.
    let _gone = match ending {
        Ending::Code(code) => handle.exit_status_request(id, code.cast_unsigned()).await,
        Ending::Signal(number) => {
            let signal = signals::name(number);
            handle.exit_signal_request(id, signal, false, String::new(), String::new()).await
        }
    };
}

/// Passes on what the client sends.
async fn feed(stdin: Watched, input: &Input) {
    while let Some(bytes) = input.next().await {
        if watched::write_all(&stdin, &bytes).await.is_err() {
            // It closed its input; what else comes is for nobody.
            break;
        }
    }
    input.refuse();
}

async fn warn(stderr: Option<Watched>, output: &Output) {
    if let Some(stderr) = stderr {
        pump(stderr, Some(STDERR), output).await;
    }
}

/// Passes on what the process prints, as fast as the client reads.
async fn pump(source: Watched, kind: Option<u32>, output: &Output) {
    loop {
        let chunk = match watched::read(&source).await {
            Ok(chunk) => chunk,
            Err(error) => return tracing::warn!(%error, "failed to read what a process prints"),
        };
        if chunk.is_empty() {
            return;
        }
        let sent = match kind {
            None => output.data_bytes(chunk).await,
            Some(kind) => output.extended_data_bytes(kind, chunk).await,
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Does what the client asks of the process.
async fn obey(
    requests: &mut mpsc::Receiver<Request>,
    terminal: Option<Watched>,
    control: &dyn Control,
) {
    while let Some(request) = requests.recv().await {
        let done = match (request, &terminal) {
            (Request::Resize(size), Some(terminal)) => {
                size.set(terminal.get_ref()).map_err(io::Error::from)
            }
            (Request::Resize(_), None) => Ok(()),
            (Request::Signal(signal), _) => control.signal(signal).await,
        };
        if let Err(error) = done {
            tracing::warn!(%error, "failed to do what was asked of a process");
        }
    }
}
