//! `navigator supervise`: a sandbox that lives, from what is read on standard input to its end.

use std::io::{self, Seek, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use navigator_proto::session::v1::{Failure, Hello, hello};
use navigator_ssh::{HostKey, HostKeyError};
use rustix::fs::FileType;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::audit::{End, Event};
use crate::launch::{self, Contact, Order, OrderError};
use crate::logs::{Lines, LinesLayer};
use crate::plan;
use crate::serve::{HEARD, Over, Processes, Serving, Standing};
use crate::session::{CredentialError, Gateway, Session};
use crate::start::{Started, StartupError, start_telling};

/// How long a sandbox that cannot start tries to tell the gateway.
const TELLING: Duration = Duration::from_secs(30);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(250);

/// A sandbox that could not be served to its end.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    /// Standard output is no lock file.
    #[error("failed to write the lock file on standard output")]
    Lock(#[source] io::Error),
    /// What was read means nothing.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// The sandbox cannot start.
    #[error(transparent)]
    Startup(#[from] StartupError),
    /// The credential cannot be used.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The key of its SSH server.
    #[error(transparent)]
    HostKey(#[from] HostKeyError),
    /// The supervisor's own event loop.
    #[error("failed to serve the sandbox")]
    Serve(#[source] io::Error),
    /// The gateway does not know the sandbox.
    #[error("failed to keep the sandbox: the gateway does not know it any more")]
    Refused,
    /// Init ended by itself.
    #[error("failed to keep the sandbox: its init was killed, and everything in it with it")]
    Lost,
}

impl SuperviseError {
    /// One word for the gateway.
    fn reason(&self) -> &'static str {
        match self {
            Self::Order(error) => error.reason(),
            Self::Startup(StartupError::Plan(_)) => "InvalidLaunch",
            Self::Startup(StartupError::Limit(_)) => "Limit",
            Self::Startup(StartupError::Audit(_)) => "Audit",
            Self::Startup(_)
            | Self::Lock(_)
            | Self::Credential(_)
            | Self::HostKey(_)
            | Self::Serve(_)
            | Self::Refused
            | Self::Lost => "Launch",
        }
    }

    /// Itself and its causes.
    fn words(&self) -> String {
        let mut words = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            words.push_str(&format!(": {error}"));
            cause = error.source();
        }
        words
    }
}

/// Starts and serves the sandbox that standard input describes. Call it while the process has one thread.
pub fn supervise() -> Result<(), SuperviseError> {
    // For those who list processes; a supervisor that cannot say its name works all the same.
    let _unnamed = rustix::thread::set_name(c"navigator");
    write_lock(&std::process::id().to_string()).map_err(SuperviseError::Lock)?;
    let (contact, launch) = launch::read(io::stdin().lock())?;
    match begin(launch) {
        Ok((started, ready)) => serve(contact, started, ready),
        Err(error) => {
            tell(contact, &error);
            Err(error)
        }
    }
}

/// Says whose the lock is that the starter took. The descriptor stays open, here and in init, and with it the lock.
fn write_lock(pid: &str) -> io::Result<()> {
    let stdout = io::stdout();
    let kind = FileType::from_raw_mode(rustix::fs::fstat(stdout.as_fd())?.st_mode);
    if kind != FileType::RegularFile {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut file = std::fs::File::from(stdout.as_fd().try_clone_to_owned()?);
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{{\"pid\":{pid}}}")
}

/// What is left of an order when its sandbox was started.
struct Ready {
    order: Order,
    lines: Arc<Lines>,
}

fn begin(launch: navigator_proto::session::v1::Launch) -> Result<(Started, Ready), SuperviseError> {
    let order = launch::judge(launch)?;
    let lines = Arc::new(Lines::new(order.level));
    log(&lines);
    tracing::info!("the sandbox is starting");
    if let Some(home) = &order.request.home
        && let Err(error) = launch::write_readme(home, &plan::readme(&order.request))
    {
        // What the sandbox made of its home is its own affair; it runs without.
        tracing::warn!(%error, "the agent is not told where it is");
    }
    let started = start_telling(&order.request, Some(Arc::clone(&lines)))?;
    Ok((started, Ready { order, lines }))
}

/// The supervisor's own log goes to standard error and to the gateway.
fn log(lines: &Arc<Lines>) {
    let level = LevelFilter::from_level(lines.level());
    let own = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false);
    let both = tracing_subscriber::registry()
        .with(own.with_filter(LevelFilter::WARN.min(level)))
        .with(LinesLayer(Arc::clone(lines)).with_filter(level));
    // A program that has a log already keeps it.
    let _kept = both.try_init();
}

fn serve(contact: Contact, mut started: Started, ready: Ready) -> Result<(), SuperviseError> {
    let Ready { order, lines } = ready;
    let failed = SuperviseError::Serve;
    let token = contact.token.open().map_err(failed)?;
    let gateway = Gateway::new(contact.socket, &token)?;
    drop(token);
    // After init was made, which is a copy of this process.
    let host_key = HostKey::kept_at(&order.host_key)?;
    let revisions =
        started.take_revisions().ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
    let standing = Arc::new(Standing::new(
        &started,
        &host_key,
        revisions,
        order.policy_version,
        &order.request.policy,
    ));
    let Started { sandbox, limits, audit, egress, runtime, process, id, name, .. } = started;
    let shutdown = CancellationToken::new();
    let over = runtime.block_on(async {
        if let Some((ways, context)) = egress {
            tokio::spawn(navigator_egress::serve(ways, context, shutdown.clone()));
        }
        let (sender, heard) = mpsc::channel(HEARD);
        let closing = CancellationToken::new();
        let hello = Arc::clone(&standing);
        let session = Session {
            gateway: Arc::new(gateway),
            hello: Box::new(move || hello.hello()),
            lines,
            heard: sender,
            closing: closing.clone(),
        };
        let processes = Processes::new(sandbox, process)?;
        tracing::info!("the sandbox runs");
        let serving = Serving::new(
            processes,
            standing,
            order.environment,
            host_key,
            heard,
            closing,
            order.recordings,
        );
        let over = serving.run(session).await;
        shutdown.cancel();
        over
    });
    // Look-ups that still wait for an answer must not hold up the end; this drops what still holds the sandbox.
    runtime.shutdown_background();
    drop(limits);
    audit.append(&Event::End(End {
        time: jiff::Timestamp::now(),
        sandbox_id: id,
        sandbox_name: name,
        outcome: outcome(&over).to_owned(),
        exit_code: None,
        lost: audit.lost(),
    }));
    match over.map_err(failed)? {
        Over::Asked => Ok(()),
        Over::Refused => Err(SuperviseError::Refused),
        Over::Lost => Err(SuperviseError::Lost),
    }
}

fn outcome(over: &io::Result<Over>) -> &'static str {
    match over {
        Ok(Over::Asked) => "stopped",
        Ok(Over::Refused) => "stopped: the gateway does not know it any more",
        Ok(Over::Lost) => "its init was killed",
        Err(_) => "the supervisor failed",
    }
}

/// Tells the gateway why there is no sandbox, for as long as it makes sense.
fn tell(contact: Contact, error: &SuperviseError) {
    let failure = Failure { reason: error.reason().to_owned(), message: error.words() };
    let hello = Hello {
        version: crate::serve::VERSION.to_owned(),
        state: Some(hello::State::Failure(failure)),
        ..Hello::default()
    };
    if let Err(error) = try_telling(contact.socket, contact.token, hello) {
        tracing::warn!(%error, "failed to tell the gateway");
    }
}

fn try_telling(socket: PathBuf, token: launch::Sealed, hello: Hello) -> io::Result<()> {
    let token = token.open()?;
    let gateway = Gateway::new(socket, &token).map_err(io::Error::other)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let until = Instant::now() + TELLING;
        loop {
            match gateway.report(hello.clone()).await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_refusal() || Instant::now() > until => {
                    return Err(io::Error::other(error));
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    })
}
