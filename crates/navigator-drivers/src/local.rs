//! Sandboxes on this machine: each supervisor is a process of its own, which outlives the gateway.
//!
//! A supervisor holds the lock of its sandbox's directory from before its first instruction until it and its init are
//! gone: the driver takes the lock on an open file and gives it that file as standard output. So who runs is known
//! without any list that could be wrong.

mod place;
mod removal;
mod watch;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::{ComputeDriver, DriverError, Found, Gone, Workload};
use place::{Holder, Place};
use removal::Removal;

/// How long a supervisor may take to end its sandbox in order.
const GRACE: Duration = Duration::from_secs(5);
/// How long the kernel may take to end what was killed.
const KILLED: Duration = Duration::from_secs(5);
/// What a supervisor needs of the environment.
const ENVIRONMENT: [&str; 10] = [
    "PATH",
    "HOME",
    "LANG",
    "TZ",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NAVIGATOR_LOG",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
];

/// Where the driver keeps sandboxes and what it starts.
#[derive(Clone, Debug)]
pub struct LocalSettings {
    /// Directory of all sandboxes' directories.
    pub directory: PathBuf,
    /// The program whose `supervise` command is a supervisor.
    pub program: PathBuf,
}

/// The driver for this machine.
pub struct LocalDriver(Arc<Inner>);

struct Inner {
    settings: LocalSettings,
    removal: Removal,
    /// Held while something is done with one sandbox.
    busy: Mutex<HashMap<Uuid, Arc<tokio::sync::Mutex<()>>>>,
    gone: mpsc::UnboundedSender<Gone>,
    receiver: Mutex<Option<mpsc::UnboundedReceiver<Gone>>>,
}

impl LocalDriver {
    /// A driver on a directory, which is made when it is needed.
    #[must_use]
    pub fn new(settings: LocalSettings) -> Self {
        let (gone, receiver) = mpsc::unbounded_channel();
        let receiver = Mutex::new(Some(receiver));
        let (removal, busy) = (Removal::default(), Mutex::default());
        Self(Arc::new(Inner { settings, removal, busy, gone, receiver }))
    }
}

impl Inner {
    fn place(&self, id: Uuid) -> Place {
        Place::new(self.settings.directory.join(id.to_string()))
    }

    /// Waits for its turn with one sandbox.
    async fn turn(&self, id: Uuid) -> tokio::sync::OwnedMutexGuard<()> {
        let lock = {
            let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that nobody holds or waits for are not kept.
            busy.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(busy.entry(id).or_default())
        };
        lock.lock_owned().await
    }

    /// Starts a supervisor unless one runs.
    fn spawn(&self, workload: &Workload) -> Result<Option<Child>, DriverError> {
        let place = self.place(workload.id);
        let failed = |action: &str| {
            let action = format!("{action} of sandbox {}", workload.id);
            move |source| DriverError::System { action, source }
        };
        place.make().map_err(failed("make the directory"))?;
        let Some(lock) = place.take_lock().map_err(failed("lock the directory"))? else {
            return Ok(None);
        };
        let log = place.open_log().map_err(failed("open the supervisor's log"))?;
        let mut child = self.command(lock, log).spawn().map_err(failed("start the supervisor"))?;
        if let Err(error) = tell(&mut child, &workload.launch) {
            // It ends by itself when its input is cut short; what is left is an exit to collect.
            let _ended = child.kill().and_then(|()| child.wait());
            return Err(failed("talk to the supervisor")(error));
        }
        Ok(Some(child))
    }

    fn command(&self, lock: File, log: File) -> Command {
        let mut command = Command::new(&self.settings.program);
        command.arg("supervise").current_dir("/").env_clear();
        command.envs(ENVIRONMENT.iter().filter_map(|name| Some((*name, std::env::var_os(name)?))));
        command.stdin(Stdio::piped()).stdout(lock).stderr(log);
        // The terminal's signals are for the gateway, not for what it has started.
        command.process_group(0);
        command
    }

    async fn end(&self, id: Uuid) -> Result<(), DriverError> {
        let place = self.place(id);
        let Some(holder) = self.holder(&place, id).await? else { return Ok(()) };
        let system = |source| DriverError::System {
            action: format!("end the supervisor of sandbox {id}"),
            source,
        };
        for (ask, patience) in
            [(rustix::process::Signal::TERM, GRACE), (rustix::process::Signal::KILL, KILLED)]
        {
            holder.signal(ask).map_err(system)?;
            if holder.ended(patience).await.map_err(system)? && self.freed(&place, id).await? {
                return Ok(());
            }
        }
        Err(DriverError::StillThere { id, waited: GRACE + KILLED })
    }

    /// Who holds the lock. A supervisor that has just been started may not have said who it is yet.
    async fn holder(&self, place: &Place, id: Uuid) -> Result<Option<Holder>, DriverError> {
        let system = |source| DriverError::System {
            action: format!("find the supervisor of sandbox {id}"),
            source,
        };
        let until = tokio::time::Instant::now() + KILLED;
        loop {
            match place.holder().map_err(system)? {
                place::Held::Free => return Ok(None),
                place::Held::By(holder) => return Ok(Some(holder)),
                place::Held::BySomebody if tokio::time::Instant::now() < until => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                place::Held::BySomebody => {
                    return Err(DriverError::StillThere { id, waited: KILLED });
                }
            }
        }
    }

    /// Waits until the lock is free: init may live a moment longer than its supervisor.
    async fn freed(&self, place: &Place, id: Uuid) -> Result<bool, DriverError> {
        let system = |source| DriverError::System {
            action: format!("look at the lock of sandbox {id}"),
            source,
        };
        let until = tokio::time::Instant::now() + KILLED;
        while place.is_held().map_err(system)? {
            if tokio::time::Instant::now() > until {
                return Ok(false);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(true)
    }
}

/// Tells a supervisor what it is to do, and that this is all.
fn tell(child: &mut Child, launch: &[u8]) -> io::Result<()> {
    let mut input = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    input.write_all(launch)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DriverError> + Send + 'static,
) -> Result<T, DriverError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            let source = io::Error::other(error);
            Err(DriverError::System { action: "carry out an operation".into(), source })
        }
    }
}

#[async_trait]
impl ComputeDriver for LocalDriver {
    fn name(&self) -> &'static str {
        "local"
    }

    fn directory(&self, id: Uuid) -> PathBuf {
        self.0.settings.directory.join(id.to_string())
    }

    async fn runs(&self, id: Uuid) -> Result<bool, DriverError> {
        let inner = Arc::clone(&self.0);
        let system = move |source| DriverError::System {
            action: format!("look at the lock of sandbox {id}"),
            source,
        };
        blocking(move || inner.place(id).is_held().map_err(system)).await
    }

    async fn start(&self, workload: Workload) -> Result<(), DriverError> {
        let id = workload.id;
        let _turn = self.0.turn(id).await;
        let inner = Arc::clone(&self.0);
        if let Some(child) = blocking(move || inner.spawn(&workload)).await? {
            watch::child(id, child, self.0.place(id), self.0.gone.clone());
        }
        Ok(())
    }

    async fn stop(&self, id: Uuid) -> Result<(), DriverError> {
        let _turn = self.0.turn(id).await;
        self.0.end(id).await
    }

    async fn delete(&self, id: Uuid) -> Result<(), DriverError> {
        let _turn = self.0.turn(id).await;
        self.0.end(id).await?;
        let inner = Arc::clone(&self.0);
        let system = move |source| DriverError::System {
            action: format!("remove the directory of sandbox {id}"),
            source,
        };
        blocking(move || {
            let place = inner.place(id);
            inner.removal.remove(&inner.settings.directory, place.path(), id).map_err(system)
        })
        .await
    }

    async fn adopt(&self) -> Result<Vec<Found>, DriverError> {
        let inner = Arc::clone(&self.0);
        let ids = blocking(move || inner.list()).await?;
        let mut found = vec![];
        for id in ids {
            let place = self.0.place(id);
            let holder = self.0.holder(&place, id).await?;
            found.push(Found { id, running: holder.is_some() });
            if let Some(holder) = holder {
                watch::stranger(id, holder, place, self.0.gone.clone());
            }
        }
        Ok(found)
    }

    fn gone(&self) -> Option<mpsc::UnboundedReceiver<Gone>> {
        self.0.receiver.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    async fn last_words(&self, id: Uuid, limit: usize) -> Result<String, DriverError> {
        let place = self.0.place(id);
        let system = move |source| DriverError::System {
            action: format!("read the supervisor's log of sandbox {id}"),
            source,
        };
        blocking(move || place.last_words(limit).map_err(system)).await
    }
}

impl Inner {
    /// Every sandbox that has a directory; what was being removed is removed to its end.
    fn list(&self) -> Result<Vec<Uuid>, DriverError> {
        let directory = &self.settings.directory;
        let system = |source| DriverError::System {
            action: format!("list {}", directory.display()),
            source,
        };
        let entries = match std::fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
            entries => entries.map_err(system)?,
        };
        let mut ids = vec![];
        for entry in entries {
            let entry = entry.map_err(system)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            match Uuid::parse_str(&name) {
                Ok(id) if entry.path().join(place::LOCK).exists() => ids.push(id),
                Ok(id) => self.removal.remove(directory, &entry.path(), id).map_err(system)?,
                Err(_) if name.starts_with(removal::PREFIX) => self.removal.go_on(entry.path()),
                Err(_) => {}
            }
        }
        Ok(ids)
    }
}
