//! Follows a command in a sandbox until it ends: signals, terminal, time limit, exit.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use navigator_isolation::{Event, ExitStatus, Sandbox, StartError};
use navigator_policy::Observation;
use rustix::process::Signal;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::audit::{End, Event as AuditEvent};
use crate::audit_log::{AuditLog, DistinctDenial};
use crate::readiness;
use crate::start::Started;
use crate::terminal::{self, Raw};

/// The supervisor's number for the command.
const COMMAND: u64 = 1;
/// How long the last output of a command's terminal may take to arrive after its end; processes that it
/// left behind may hold the terminal open, and they end with the sandbox.
const LAST_OUTPUT: Duration = Duration::from_millis(500);
/// Signals on their way to the command.
const SIGNALS: usize = 16;

/// How a command ended.
#[derive(Debug)]
pub enum Verdict {
    /// By itself or by a signal.
    Exited(ExitStatus),
    /// It was stopped after its time was over.
    TimedOut,
    /// It never started.
    NotStarted(StartError),
}

/// What is known after the end.
#[derive(Debug)]
pub struct Outcome {
    /// How the command ended.
    pub verdict: Verdict,
    /// The distinct denials of the run.
    pub denials: Vec<DistinctDenial>,
    /// What a learning run saw.
    pub observations: Vec<Observation>,
    /// Files that it used, of those the policy grants.
    pub files: BTreeSet<String>,
    /// Things it saw and had no room to note.
    pub unnoted: u64,
    /// Audit records that could not be written.
    pub lost_records: u64,
}

/// The sandbox could not be followed to its end.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// A signal, terminal or event could not be handled.
    #[error("failed to follow the sandbox")]
    Io(#[from] io::Error),
    /// Init ended before the command did.
    #[error("failed to follow the sandbox: its init was killed, and everything in it with it")]
    InitEnded,
}

impl Started {
    /// Starts the command and follows it until it ends; then ends everything in the sandbox.
    pub fn follow(self) -> Result<Outcome, FollowError> {
        let Self {
            sandbox,
            limits,
            audit,
            egress,
            runtime,
            process,
            timeout,
            id,
            name,
            learning,
            ..
        } = self;
        let verdict = runtime.block_on(async {
            let shutdown = CancellationToken::new();
            if let Some((ways, context)) = egress {
                tokio::spawn(navigator_egress::serve(ways, context, shutdown.clone()));
            }
            let has_terminal = process.terminal.is_some();
            let signals = Signals::watch(has_terminal)?;
            sandbox.spawn(COMMAND, &process, &[])?;
            let verdict = Following::new(sandbox, signals)?.until_over(timeout).await;
            shutdown.cancel();
            verdict
        });
        // Look-ups that still wait for an answer must not hold up the end.
        runtime.shutdown_background();
        drop(limits);
        let mut outcome = finish(&audit, id, name, verdict)?;
        if let Some(learning) = learning {
            (outcome.observations, outcome.unnoted) = learning.observations();
            outcome.files = learning.files();
            outcome.files.retain(|file| !navigator_isolation::is_synthetic(Path::new(file)));
        }
        Ok(outcome)
    }
}

fn finish(
    audit: &Arc<AuditLog>,
    sandbox_id: String,
    sandbox_name: String,
    verdict: Result<Verdict, FollowError>,
) -> Result<Outcome, FollowError> {
    let outcome = match &verdict {
        Ok(verdict) => verdict.to_string(),
        Err(error) => error.to_string(),
    };
    let exit_code = match &verdict {
        Ok(Verdict::Exited(ExitStatus::Code(code))) => Some(*code),
        Ok(Verdict::Exited(ExitStatus::Signal(_)) | Verdict::TimedOut | Verdict::NotStarted(_))
        | Err(_) => None,
    };
    let (time, lost) = (jiff::Timestamp::now(), audit.lost());
    audit.append(&AuditEvent::End(End {
        time,
        sandbox_id,
        sandbox_name,
        outcome,
        exit_code,
        lost,
    }));
    let (denials, lost_records) = (audit.denials(), audit.lost());
    Ok(Outcome {
        verdict: verdict?,
        denials,
        observations: vec![],
        files: BTreeSet::new(),
        unnoted: 0,
        lost_records,
    })
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(ExitStatus::Code(code)) => write!(f, "exited with code {code}"),
            Self::Exited(ExitStatus::Signal(signal)) => write!(f, "ended by signal {signal}"),
            Self::TimedOut => f.write_str("stopped after its time was over"),
            Self::NotStarted(error) => write!(f, "{error}"),
        }
    }
}

/// A command that runs, and what belongs to it outside.
struct Following {
    sandbox: Sandbox,
    events: AsyncFd<OwnedFd>,
    signals: Signals,
    raw: Option<Raw>,
    terminal: Option<OwnedFd>,
    shown: Option<oneshot::Receiver<()>>,
}

impl Following {
    fn new(sandbox: Sandbox, signals: Signals) -> io::Result<Self> {
        let events = readiness::watch(sandbox.events().try_clone_to_owned()?)?;
        Ok(Self { sandbox, events, signals, raw: None, terminal: None, shown: None })
    }

    async fn until_over(mut self, timeout: Option<Duration>) -> Result<Verdict, FollowError> {
        let ended = self.until_it_ends();
        let verdict = match timeout {
            Some(limit) => {
                tokio::time::timeout(limit, ended).await.unwrap_or(Ok(Verdict::TimedOut))
            }
            None => ended.await,
        };
        if let Some(shown) = self.shown.take() {
            // Over either way: all output was shown, or its time is up.
            let _whichever = tokio::time::timeout(LAST_OUTPUT, shown).await;
        }
        self.sandbox.end();
        verdict
    }

    async fn until_it_ends(&mut self) -> Result<Verdict, FollowError> {
        loop {
            tokio::select! {
                ready = self.events.readable() => {
                    let event = match ready?.try_io(|_| self.sandbox.next_event()) {
                        Ok(event) => event?,
                        Err(_would_block) => continue,
                    };
                    if let Some(verdict) = self.handle(event)? {
                        return Ok(verdict);
                    }
                }
                signal = self.signals.next() => self.pass_on(signal)?,
            }
        }
    }

    fn handle(&mut self, event: Event) -> Result<Option<Verdict>, FollowError> {
        match event {
            Event::Started { .. } => {}
            Event::Terminal { master, .. } => {
                self.raw = Some(Raw::enter()?);
                self.terminal = Some(master.try_clone()?);
                self.shown = Some(terminal::relay(master)?);
            }
            Event::Stopped { .. } => self.suspend()?,
            Event::Exited { status, .. } => return Ok(Some(Verdict::Exited(status))),
            Event::NotStarted { error, .. } => return Ok(Some(Verdict::NotStarted(error))),
            // Nobody asked for them.
            Event::Empty | Event::Socket { .. } => {}
            Event::Ended => return Err(FollowError::InitEnded),
        }
        Ok(None)
    }

    fn pass_on(&mut self, signal: Signal) -> io::Result<()> {
        if signal == Signal::WINCH {
            return self.resize();
        }
        self.signal(signal)?;
        if signal == Signal::TSTP {
            rustix::process::kill_process(rustix::process::getpid(), Signal::STOP)?;
            self.signal(Signal::CONT)?;
        }
        Ok(())
    }

    fn resize(&self) -> io::Result<()> {
        match (&self.terminal, terminal::size()) {
            (Some(terminal), Some(size)) => terminal::resize(terminal, size).map_err(Into::into),
            (None, _) | (_, None) => Ok(()),
        }
    }

    /// Signals do not queue: one that finds init busy with hundreds of others is one of them.
    fn signal(&self, signal: Signal) -> io::Result<()> {
        match self.sandbox.signal(COMMAND, signal) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The command was stopped from its terminal (Ctrl-Z): stop with it, give the caller's shell its terminal,
    /// and go on together.
    fn suspend(&mut self) -> io::Result<()> {
        let Some(raw) = self.raw.take() else {
            // Stopped by a signal from elsewhere: whoever sent it will continue it.
            return Ok(());
        };
        drop(raw);
        rustix::process::kill_current_process_group(Signal::STOP)?;
        self.raw = Some(Raw::enter()?);
        self.resize()?;
        self.signal(Signal::CONT)
    }
}

/// The signals that this process passes on to the command.
struct Signals(mpsc::Receiver<Signal>);

impl Signals {
    /// Takes over the signals that a person or a service manager sends. With a terminal of its own, the
    /// command gets Ctrl-Z from that.
    fn watch(has_terminal: bool) -> io::Result<Self> {
        let mut kinds = vec![Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT];
        kinds.extend([Signal::USR1, Signal::USR2]);
        kinds.push(if has_terminal { Signal::WINCH } else { Signal::TSTP });
        let (sender, receiver) = mpsc::channel(SIGNALS);
        for kind in kinds {
            let mut stream = signal(SignalKind::from_raw(kind.as_raw()))?;
            let sender = sender.clone();
            tokio::spawn(async move {
                while stream.recv().await.is_some() && sender.send(kind).await.is_ok() {}
            });
        }
        Ok(Self(receiver))
    }

    async fn next(&mut self) -> Signal {
        match self.0.recv().await {
            Some(signal) => signal,
            // The senders live as long as the runtime.
            None => std::future::pending().await,
        }
    }
}
