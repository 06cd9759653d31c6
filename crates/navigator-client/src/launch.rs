//! Starts the local gateway when none answers: detached, once however many clients want it, and with its last words
//! when it does not come up.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::fs::FlockOperation;
use tokio::time::Instant;

use crate::atomic;
use crate::connect::{Api, ConnectError, connect};
use crate::gateways::Gateway;
use crate::places::Places;

/// How long a gateway may take to answer after its start: opening the store of a thousand sandboxes on a slow disk
/// takes seconds.
const START: Duration = Duration::from_secs(20);
/// How often it is looked whether it answers, and whether another client is done with starting it.
const LOOK: Duration = Duration::from_millis(20);
/// Bytes of the log that are shown when it does not come up.
const LAST_WORDS: u64 = 2048;
/// A log that is larger is set aside at the next start.
const LOG_BYTES: u64 = 10 * 1024 * 1024;

/// The program that becomes the gateway, and its arguments. It must make a session of its own.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// A local gateway that did not come up.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// A file or the program.
    #[error("failed to start the gateway: {action} {}", path.display())]
    Prepare {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It ended.
    #[error("failed to start the gateway: it ended with {status}; its log is {}", log.display())]
    Ended {
        /// How.
        status: ExitStatus,
        /// Its log.
        log: PathBuf,
        /// The last of what it wrote.
        last_words: String,
    },
    /// It runs and does not answer.
    #[error("failed to start the gateway: no answer within {} s; its log is {}", START.as_secs(), log.display())]
    Late {
        /// Its log.
        log: PathBuf,
        /// The last of what it wrote.
        last_words: String,
    },
    /// Another client is starting it and does not get on.
    #[error("failed to start the gateway: another client holds {} for {} s", lock.display(), START.as_secs())]
    Locked {
        /// The lock.
        lock: PathBuf,
    },
    /// It answers, and not as a gateway of this user should.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

/// Connects to the local gateway, and starts it first when nobody listens.
///
/// # Errors
/// [`LaunchError`] when it does not come up or cannot be trusted.
pub async fn ensure_running(
    gateway: &Gateway,
    places: &Places,
    launcher: &Launcher,
) -> Result<Api, LaunchError> {
    if let Some(api) = answering(gateway).await? {
        return Ok(api);
    }
    let deadline = Instant::now() + START;
    let _lock = match lock(gateway, places, deadline).await? {
        Turn::Ours(lock) => lock,
        Turn::Done(api) => return Ok(api),
    };
    // Whoever had the lock before may have started it.
    if let Some(api) = answering(gateway).await? {
        return Ok(api);
    }
    let log = places.log();
    let before = set_aside(&log);
    let mut child = spawn(launcher, &log)?;
    until_it_answers(gateway, &mut child, &log, before, deadline).await
}

/// The API when somebody listens, `None` when nobody does.
async fn answering(gateway: &Gateway) -> Result<Option<Api>, ConnectError> {
    match connect(gateway).await {
        Ok(api) => Ok(Some(api)),
        Err(ConnectError::NotRunning { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whose turn it is to start a gateway.
enum Turn {
    /// Ours, while the file is open.
    Ours(File),
    /// Nobody's any more: it runs.
    Done(Api),
}

async fn lock(gateway: &Gateway, places: &Places, deadline: Instant) -> Result<Turn, LaunchError> {
    let path = places.state.join("gateway.start.lock");
    let failed = |source| LaunchError::Prepare { action: "lock", path: path.clone(), source };
    atomic::make_directory(&places.state).map_err(failed)?;
    let file = private().write(true).truncate(false).open(&path).map_err(failed)?;
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Turn::Ours(file)),
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
            Err(error) => return Err(failed(error.into())),
        }
        if Instant::now() >= deadline {
            return Err(LaunchError::Locked { lock: path });
        }
        tokio::time::sleep(LOOK).await;
        if let Some(api) = answering(gateway).await? {
            return Ok(Turn::Done(api));
        }
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).mode(0o600);
    options
}

/// Length of the log before the start; a large one is renamed first.
fn set_aside(log: &Path) -> u64 {
    let length = std::fs::metadata(log).map_or(0, |metadata| metadata.len());
    if length > LOG_BYTES && std::fs::rename(log, log.with_extension("log.1")).is_ok() {
        return 0;
    }
    length
}

fn spawn(launcher: &Launcher, log: &Path) -> Result<Child, LaunchError> {
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| LaunchError::Prepare { action, path, source }
    };
    let out = private().append(true).open(log).map_err(failed("write", log))?;
    let err = out.try_clone().map_err(failed("write", log))?;
    Command::new(&launcher.program)
        .args(&launcher.arguments)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn()
        .map_err(failed("run", &launcher.program))
}

async fn until_it_answers(
    gateway: &Gateway,
    child: &mut Child,
    log: &Path,
    before: u64,
    deadline: Instant,
) -> Result<Api, LaunchError> {
    loop {
        if let Some(api) = answering(gateway).await? {
            return Ok(api);
        }
        let ended = child.try_wait().map_err(|source| LaunchError::Prepare {
            action: "wait for",
            path: log.to_owned(),
            source,
        })?;
        let log = log.to_owned();
        if let Some(status) = ended {
            let last_words = last_words(&log, before);
            return Err(LaunchError::Ended { status, log, last_words });
        }
        if Instant::now() >= deadline {
            // It is this client's own child, and nobody has got an answer from it.
            let _already_gone = child.kill().and_then(|()| child.wait());
            let last_words = last_words(&log, before);
            return Err(LaunchError::Late { log, last_words });
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The end of what this start added to the log; empty when it cannot be read, as its place is named anyway.
fn last_words(log: &Path, before: u64) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(before.max(length.saturating_sub(LAST_WORDS))))?;
        let mut bytes = vec![];
        file.take(LAST_WORDS).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).trim().to_owned()
}
