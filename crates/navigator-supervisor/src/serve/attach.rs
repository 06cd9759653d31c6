//! A client of a terminal session: the stream to it and back, and requests about sessions.

use std::io::Read;
use std::pin::pin;

use navigator_proto::session::v1::{
    StartFailure, TerminalsRequest, ToProcess, from_process, terminals_request, to_process,
};
use navigator_proto::v1::ExecStart;
use rustix::process::Signal;
use tonic::Streaming;

use super::exec::{Exec, message};
use super::input::write_all;
use super::output::{self, Sender};
use super::start::size_of;
use super::terminals::{Client, Next};

/// Most that one message carries.
const PIECE: usize = 64 * 1024;

impl Exec {
    /// Attaches to a session and serves the client until it leaves or the session ends. The session goes on.
    pub(super) async fn attach(&self, start: ExecStart, sender: Sender, opening: Incoming<'_>) {
        let entering = self.terminals.enter(&self.processes, &self.environment, start);
        let (entered, incoming) = tokio::join!(entering, opening);
        let Some(mut incoming) = incoming else { return };
        let last = match entered {
            Ok(client) => match self.serve_client(&client, &mut incoming, &sender).await {
                Some(code) => from_process::Message::ExitCode(code),
                None => return,
            },
            Err(failure) => from_process::Message::Failure(failure),
        };
        self.finish(sender, last, incoming).await;
    }

    /// The exit code of the session if it ended while the client was there.
    async fn serve_client(
        &self,
        client: &Client,
        incoming: &mut Streaming<ToProcess>,
        sender: &Sender,
    ) -> Option<i32> {
        let show = async {
            loop {
                match client.next() {
                    Next::Bytes(bytes) => {
                        for piece in bytes.chunks(PIECE) {
                            sender.send(message(output::stdout(piece.to_vec()))).await.ok()?;
                        }
                    }
                    Next::Exit(code) => return Some(code),
                    Next::Nothing => client.wait().await,
                }
            }
        };
        let (mut show, mut input) = (pin!(show), pin!(self.type_in(client, incoming)));
        tokio::select! {
            code = &mut show => code,
            () = &mut input => None,
            () = sender.closed() => None,
            () = self.connection.over.cancelled() => None,
            () = self.abandon.cancelled() => None,
        }
    }

    /// Passes on what a client types until it leaves.
    async fn type_in(&self, client: &Client, incoming: &mut Streaming<ToProcess>) {
        while let Ok(Some(heard)) = incoming.message().await {
            match heard.message {
                Some(to_process::Message::Stdin(bytes)) => {
                    client.types(&bytes);
                    // A program that has ended reads nothing; its end is told elsewhere.
                    let _unread = write_all(&client.session.terminal, &bytes).await;
                }
                Some(to_process::Message::Resize(size)) => {
                    client.resized(size_of(size.rows, size.columns));
                }
                Some(to_process::Message::Signal(number)) => {
                    if let Some(signal) = Signal::from_named_raw(number)
                        && let Err(error) =
                            self.processes.signal(client.session.process, signal).await
                    {
                        tracing::warn!(%error, "failed to signal a terminal session");
                    }
                }
                // Others may type.
                Some(to_process::Message::StdinEnd(_)) | None => {}
            }
        }
    }

    /// Answers a request about sessions and recordings.
    pub(super) async fn inform(
        &self,
        asked: TerminalsRequest,
        sender: Sender,
        opening: Incoming<'_>,
    ) {
        let Some(incoming) = opening.await else { return };
        let last = match asked.request {
            Some(terminals_request::Request::Read(read)) => {
                match self.send_recording(&read.name, &sender).await {
                    Ok(()) => from_process::Message::ExitCode(0),
                    Err(failure) => from_process::Message::Failure(failure),
                }
            }
            Some(request) => self.terminals.answer(&self.processes, request).await,
            None => return,
        };
        self.finish(sender, last, incoming).await;
    }

    /// Sends what a recording holds; a reader that is gone needs no more of it.
    async fn send_recording(&self, name: &str, sender: &Sender) -> Result<(), StartFailure> {
        let mut file = self.terminals.recording(name)?;
        loop {
            let mut piece = vec![0; PIECE];
            let length = file.read(&mut piece).map_err(|error| StartFailure {
                exit_code: 125,
                message: format!("failed to read the recording: {error}"),
            })?;
            piece.truncate(length);
            if length == 0 || sender.send(message(output::stdout(piece))).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// The stream from the gateway, while it is being opened; nothing when it cannot be.
pub(super) type Incoming<'a> =
    std::pin::Pin<Box<dyn Future<Output = Option<Streaming<ToProcess>>> + Send + 'a>>;
