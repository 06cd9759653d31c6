//! What the gateway sends to a process: its standard input, the size of its terminal, signals.

use std::io;

use navigator_proto::session::v1::{ToProcess, to_process};
use rustix::process::Signal;
use tonic::Streaming;

use super::processes::Processes;
use super::start::{Watched, size_of};
use crate::terminal;

/// What a terminal understands as the end of input (Ctrl-D).
const END_OF_INPUT: &[u8] = &[4];

/// The way in to one process.
pub(super) struct Input<'a> {
    pub(super) id: u64,
    pub(super) processes: &'a Processes,
    pub(super) stdin: Watched,
    pub(super) terminal: Option<Watched>,
}

impl Input<'_> {
    /// Passes on what comes until the gateway ends or breaks off the stream. A process that does not read its input
    /// stops this, and HTTP/2 stops the gateway.
    ///
    /// Returns the input, still open: a process that sees its end could end before it is killed, and leave others.
    pub(super) async fn pass_on(self, incoming: &mut Streaming<ToProcess>) -> Option<Watched> {
        let Self { id, processes, stdin, terminal } = self;
        let mut stdin = Some(stdin);
        while let Ok(Some(message)) = incoming.message().await {
            match message.message {
                Some(to_process::Message::Stdin(bytes)) => {
                    let Some(open) = &stdin else { continue };
                    if write_all(open, &bytes).await.is_err() {
                        // It closed its input; what else comes is for nobody.
                        stdin = None;
                    }
                }
                Some(to_process::Message::StdinEnd(_)) => {
                    if let (Some(open), Some(_)) = (&stdin, &terminal) {
                        // A terminal that is gone needs no end.
                        let _gone = write_all(open, END_OF_INPUT).await;
                    }
                    stdin = None;
                }
                Some(to_process::Message::Resize(size)) => {
                    let size = size_of(size.rows, size.columns);
                    let resized =
                        terminal.iter().map(|open| terminal::resize(open.get_ref(), size));
                    report(id, resized.collect::<rustix::io::Result<()>>().map_err(Into::into));
                }
                Some(to_process::Message::Signal(number)) => {
                    if let Some(signal) = Signal::from_named_raw(number) {
                        report(id, processes.signal(id, signal).await);
                    }
                }
                None => {}
            }
        }
        stdin
    }
}

fn report(id: u64, done: io::Result<()>) {
    if let Err(error) = done {
        tracing::warn!(id, %error, "failed to do what was asked of a process");
    }
}

/// Writes everything, however slowly it is read.
pub(super) async fn write_all(input: &Watched, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let mut ready = input.writable().await?;
        let written = ready
            .try_io(|input| rustix::io::write(input.get_ref(), bytes).map_err(io::Error::from));
        match written {
            Ok(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(Ok(length)) => bytes = &bytes[length..],
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(Err(error)) => return Err(error),
            Err(_would_block) => {}
        }
    }
    Ok(())
}
