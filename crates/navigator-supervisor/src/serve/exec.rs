//! One process that the gateway asked for, from the request to its exit code.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use navigator_isolation::{Event, ExitStatus};
use navigator_proto::session::v1::{
    ExecRefused, ExecRequest, FromProcess, StartFailure, ToProcess, from_process, from_supervisor,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use super::Environment;
use super::input::Input;
use super::output::{self, Sender};
use super::processes::Processes;
use super::start::{self, Running};
use super::terminals::Terminals;
use crate::session::Connection;

/// Messages of a process that wait for room in its stream; the process's own pipe holds the rest, and stops it.
const WAITING: usize = 2;
/// How long the gateway may take to open the stream of a process.
const ANSWER: Duration = Duration::from_secs(10);
/// Exit code of a process whose time was over.
const TIMED_OUT: i32 = 124;

/// What a process needs to be served.
pub(super) struct Exec {
    pub(super) processes: Arc<Processes>,
    pub(super) environment: Environment,
    pub(super) terminals: Arc<Terminals>,
    pub(super) connection: Connection,
    pub(super) abandon: CancellationToken,
}

impl Exec {
    /// Starts the process, opens its stream to the gateway, and serves both until one ends.
    pub(super) async fn run(self, request: ExecRequest) {
        let ExecRequest { exec_id, start, terminals } = request;
        let (sender, messages) = mpsc::channel(WAITING);
        // There is room.
        let _sent = sender.try_send(message(from_process::Message::ExecId(exec_id.clone())));
        let start = start.unwrap_or_default();
        if terminals.is_some() || start.session.is_some() {
            let opening = Box::pin(self.open(exec_id, messages));
            return match terminals {
                Some(asked) => self.inform(asked, sender, opening).await,
                None => self.attach(start, sender, opening).await,
            };
        }
        let timeout = Some(Duration::from_secs(start.timeout_seconds.into()));
        let timeout = timeout.filter(|timeout| !timeout.is_zero());
        let mut client = self.connection.client.clone();
        let opening = tokio::time::timeout(ANSWER, client.exec(ReceiverStream::new(messages)));
        let starting = start::start(&self.processes, &self.environment, start);
        let (opened, started) = tokio::join!(opening, starting);
        let incoming = match opened {
            Ok(Ok(opened)) => opened.into_inner(),
            Ok(Err(status)) => return self.refuse(exec_id, status.message(), started).await,
            Err(_) => return self.refuse(exec_id, "the gateway does not answer", started).await,
        };
        match started {
            Ok(running) => self.serve(running, incoming, sender, timeout).await,
            Err(failure) => {
                self.finish(sender, from_process::Message::Failure(failure), incoming).await;
            }
        }
    }

    /// Opens a stream that no process of its own depends on.
    async fn open(
        &self,
        exec_id: String,
        messages: mpsc::Receiver<FromProcess>,
    ) -> Option<Streaming<ToProcess>> {
        let mut client = self.connection.client.clone();
        let opening = client.exec(ReceiverStream::new(messages));
        let why = match tokio::time::timeout(ANSWER, opening).await {
            Ok(Ok(opened)) => return Some(opened.into_inner()),
            Ok(Err(status)) => status.message().to_owned(),
            Err(_) => "the gateway does not answer".to_owned(),
        };
        let message = format!("the stream of the session cannot be opened: {why}");
        let refused = ExecRefused { exec_id, message };
        self.connection.answer(from_supervisor::Message::ExecRefused(refused));
        None
    }

    /// Without a stream to the gateway there is nobody to run it for.
    async fn refuse(&self, exec_id: String, why: &str, started: Result<Running, StartFailure>) {
        if let Ok(running) = started {
            self.processes.kill(running.process.id).await;
        }
        let message = format!("the stream of the process cannot be opened: {why}");
        let refused = ExecRefused { exec_id, message };
        self.connection.answer(from_supervisor::Message::ExecRefused(refused));
    }

    async fn serve(
        &self,
        running: Running,
        mut incoming: Streaming<ToProcess>,
        sender: Sender,
        timeout: Option<Duration>,
    ) {
        let Running { mut process, stdin, stdout, stderr, terminal } = running;
        let id = process.id;
        let exited = CancellationToken::new();
        let code = {
            let input = Input { id, processes: &self.processes, stdin, terminal };
            let mut input = pin!(input.pass_on(&mut incoming));
            let mut over = pin!(async {
                let end = ended(&mut process.events, &exited);
                let stdout = output::pump(stdout, output::stdout, &sender, &exited);
                let stderr = output::pump(stderr, output::stderr, &sender, &exited);
                tokio::join!(end, stdout, stderr).0
            });
            let mut late = pin!(after(timeout));
            let (mut timed_out, mut held) = (None, None);
            let code = loop {
                tokio::select! {
                    status = &mut over => break status.map(|status| timed_out.unwrap_or(code(status))),
                    stdin = &mut input => {
                        held = stdin;
                        break None;
                    }
                    () = sender.closed() => break None,
                    () = self.connection.over.cancelled() => break None,
                    () = self.abandon.cancelled() => break None,
                    () = &mut late, if timed_out.is_none() => {
                        timed_out = Some(TIMED_OUT);
                        self.processes.kill(id).await;
                    }
                }
            };
            if code.is_none() {
                // Before its terminal and pipes are closed, which may end it and not what it started.
                self.processes.kill(id).await;
            }
            drop(held);
            code
        };
        if let Some(code) = code {
            self.finish(sender, from_process::Message::ExitCode(code), incoming).await;
        }
    }

    /// Says the last thing, and waits until the gateway has read it, after everything before it: that is up to who
    /// reads what the process printed.
    pub(super) async fn finish(
        &self,
        sender: Sender,
        last: from_process::Message,
        mut incoming: Streaming<ToProcess>,
    ) {
        let end = async {
            if sender.send(message(last)).await.is_ok() {
                drop(sender);
                while let Ok(Some(_)) = incoming.message().await {}
            }
        };
        tokio::select! {
            () = end => {}
            () = self.connection.over.cancelled() => {}
            () = self.abandon.cancelled() => {}
        }
    }
}

/// Waits for the end of a process and tells those who read its output; `None` when the sandbox has ended.
pub(super) async fn ended(
    events: &mut mpsc::Receiver<Event>,
    exited: &CancellationToken,
) -> Option<ExitStatus> {
    loop {
        let event = events.recv().await;
        let status = match event {
            Some(Event::Exited { status, .. }) => Some(status),
            None => None,
            Some(_) => continue,
        };
        exited.cancel();
        return status;
    }
}

/// As a shell does it.
pub(super) fn code(status: ExitStatus) -> i32 {
    match status {
        ExitStatus::Code(code) => code,
        ExitStatus::Signal(signal) => 128 + signal,
    }
}

/// Waits for a time to pass; without one, for ever.
async fn after(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

pub(super) fn message(message: from_process::Message) -> FromProcess {
    FromProcess { message: Some(message) }
}
