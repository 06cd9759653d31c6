//! The sandbox as its SSH server reaches it: processes confined as every other, connections on its own loopback.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;

use navigator_isolation::{
    Event, ExitStatus, Leader, ProcessSpec, Program, Stdio, Terminal, TerminalSize,
};
use navigator_ssh::{BoxFuture, Command, Control, Ending, Sandbox, StartFailure, Streams, Wanted};
use rustix::process::Signal;
use tokio::net::{TcpListener, TcpStream};

use super::Environment;
use super::network;
use super::processes::{Process, Processes};
use super::start::{self, Ends};
use crate::session::Relay;

/// The shell of a user that has none.
const SHELL: &str = "/bin/sh";

/// The inside of a sandbox.
pub(super) struct Inside {
    pub(super) processes: Arc<Processes>,
    pub(super) environment: Environment,
}

impl Sandbox for Inside {
    async fn start(&self, wanted: Wanted) -> Result<navigator_ssh::Process, StartFailure> {
        let terminal = wanted.terminal.clone();
        let spec = self.spec(wanted);
        let processes = Arc::clone(&self.processes);
        // By itself: a client that leaves while a process starts must not leave the process behind.
        let starting = tokio::spawn(async move {
            let started = start::spawn(&processes, &spec).await;
            let (process, ends) = started.map_err(|failure| start::about(&spec, failure))?;
            let control = Reach { processes, id: process.id };
            Ok((process, ends, control))
        });
        let started = starting.await.map_err(|error| start::ours(io::Error::other(error)));
        let (process, ends, control) = started.and_then(|started| started).map_err(|failure| {
            StartFailure { exit_code: failure.exit_code, message: failure.message }
        })?;
        let streams = match ends {
            Ends::Pipes { stdin, stdout, stderr } => Streams::Pipes { stdin, stdout, stderr },
            Ends::Terminal(controlling) => {
                if let Some(Err(error)) = terminal.map(|wanted| wanted.set_up(&controlling)) {
                    tracing::warn!(%error, "failed to set a terminal up as a client wants it");
                }
                Streams::Terminal(controlling)
            }
        };
        let ending = Box::pin(ended(process));
        Ok(navigator_ssh::Process { streams, ending, control: Box::new(control) })
    }

    async fn dial(&self, to: SocketAddr) -> io::Result<TcpStream> {
        network::dial_at(&self.processes, to).await
    }

    async fn listen(&self, at: SocketAddr) -> io::Result<TcpListener> {
        network::listen(&self.processes, at).await
    }
}

impl Inside {
    fn spec(&self, wanted: Wanted) -> ProcessSpec {
        let template = self.processes.template();
        let mut env = self.environment.of(&template.env, wanted.environment);
        let shell = env.get("SHELL").cloned().unwrap_or_else(|| SHELL.into());
        let program = match wanted.command {
            Command::Shell => Program::File(vec![shell, "-l".into()]),
            Command::Line(line) => Program::File(vec![shell, "-lc".into(), line]),
            Command::Sftp => Program::Builtin(vec![]),
        };
        let terminal = wanted.terminal.map(|terminal| {
            env.insert("TERM".into(), terminal.kind.clone());
            let size = TerminalSize { rows: terminal.size.rows, columns: terminal.size.columns };
            Terminal { size, leader: Leader::Process }
        });
        let stdio = if terminal.is_some() { Stdio::Terminal } else { Stdio::Given };
        ProcessSpec { program, env, cwd: template.cwd.clone(), stdio: [stdio; 3], terminal }
    }
}

impl Inside {
    /// Has a confined process serve files on a client's stream itself, until one of them ends.
    pub(super) async fn files(&self, client: Relay) -> io::Result<()> {
        let (stream, first) = client.blocking()?;
        let template = self.processes.template();
        let spec = ProcessSpec {
            program: Program::Builtin(first.to_vec()),
            env: BTreeMap::new(),
            cwd: template.cwd.clone(),
            stdio: [Stdio::Given, Stdio::Given, Stdio::Null],
            terminal: None,
        };
        let process = self.processes.spawn(&spec, &[stream.as_fd(), stream.as_fd()]).await?;
        drop(stream);
        let _killed = Reach { processes: Arc::clone(&self.processes), id: process.id };
        ended(process).await;
        Ok(())
    }
}

/// Waits for the end of a process; one whose sandbox ends was killed.
async fn ended(mut process: Process) -> Ending {
    loop {
        match process.events.recv().await {
            Some(Event::Exited { status: ExitStatus::Code(code), .. }) => {
                return Ending::Code(code);
            }
            Some(Event::Exited { status: ExitStatus::Signal(signal), .. }) => {
                return Ending::Signal(signal);
            }
            Some(Event::NotStarted { error, .. }) => {
                tracing::warn!(error = &error as &dyn Error, "the file server was not started");
            }
            Some(_) => {}
            None => return Ending::Signal(Signal::KILL.as_raw()),
        }
    }
}

/// Reaches a process, and kills it when nobody wants it any more.
struct Reach {
    processes: Arc<Processes>,
    id: u64,
}

impl Control for Reach {
    fn signal(&self, signal: Signal) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(self.processes.signal(self.id, signal))
    }
}

impl Drop for Reach {
    fn drop(&mut self) {
        // One that has ended is not killed: what it left behind goes on.
        let (processes, id) = (Arc::clone(&self.processes), self.id);
        tokio::spawn(async move { processes.kill(id).await });
    }
}
