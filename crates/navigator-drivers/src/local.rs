//! The driver for this machine: each sandbox is a directory and a supervisor process, without root or a daemon.
//!
//! Whether a supervisor runs is told by a lock on a file in the directory, which the kernel holds exactly as long as
//! the supervisor or its init lives. So supervisors outlive the gateway, and the next gateway finds them.

mod images;
mod place;
mod remove;
mod spawn;
mod watch;
mod words;

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::Signal;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::{Change, ComputeDriver, DriverError, Found, Gone, Workload};
use place::{Place, Said};
use watch::{LOOK, REST, Watch, Watched};

/// How long a supervisor may take to end its sandbox before it is ended with force.
const GRACE: Duration = Duration::from_secs(5);
/// How long a supervisor that was just started may take to say who it is.
const NAMING: Duration = Duration::from_secs(5);
/// Directories that are removed at once: more would only compete for the same disk.
const REMOVALS: usize = 2;
/// Sandboxes that are looked at together when the driver starts.
const LOOKS: usize = 32;

/// What a local driver needs to know.
#[derive(Clone, Debug)]
pub struct LocalSettings {
    /// Where the sandboxes' directories are.
    pub directory: PathBuf,
    /// The store of images.
    pub images: PathBuf,
    /// The program whose command `supervise` is a supervisor.
    pub program: PathBuf,
    /// The environment that supervisors get their part of.
    pub environment: Vec<(OsString, OsString)>,
}

/// Runs sandboxes on this machine.
pub struct LocalDriver {
    inner: Arc<Inner>,
    receiver: Mutex<Option<mpsc::UnboundedReceiver<Gone>>>,
    _ending: DropGuard,
}

struct Inner {
    settings: LocalSettings,
    slots: Mutex<HashMap<Uuid, Arc<Slot>>>,
    gone: mpsc::UnboundedSender<Gone>,
    ending: CancellationToken,
    watchers: TaskTracker,
    removals: TaskTracker,
    room: Arc<Semaphore>,
}

/// One sandbox: whoever changes something has its turn.
struct Slot {
    id: Uuid,
    place: Arc<Place>,
    turn: tokio::sync::Mutex<Option<Watched>>,
}

impl LocalDriver {
    /// A driver for the sandboxes in a directory. Nothing is touched before it is used.
    #[must_use]
    pub fn new(settings: LocalSettings) -> Self {
        let (gone, receiver) = mpsc::unbounded_channel();
        let ending = CancellationToken::new();
        let inner = Inner {
            settings,
            slots: Mutex::default(),
            gone,
            ending: ending.clone(),
            watchers: TaskTracker::new(),
            removals: TaskTracker::new(),
            room: Arc::new(Semaphore::new(REMOVALS)),
        };
        let receiver = Mutex::new(Some(receiver));
        Self { inner: Arc::new(inner), receiver, _ending: ending.drop_guard() }
    }

    /// Waits until every directory that was to be removed is gone, or could not be removed.
    pub async fn removals(&self) {
        self.inner.removals.close();
        self.inner.removals.wait().await;
    }
}

#[async_trait]
impl ComputeDriver for LocalDriver {
    fn name(&self) -> &'static str {
        "local"
    }

    fn directory(&self, id: Uuid) -> PathBuf {
        self.inner.directory(id)
    }

    fn image_store(&self) -> PathBuf {
        self.inner.settings.images.clone()
    }

    async fn image(&self, name: &str) -> Result<String, DriverError> {
        let (store, asked) = (self.image_store(), name.to_owned());
        images::pinned(store, asked).await
    }

    async fn changes(&self, id: Uuid, image: &str) -> Result<Vec<Change>, DriverError> {
        images::changes(self.image_store(), image.to_owned(), self.directory(id)).await
    }

    async fn snapshot(&self, id: Uuid, image: &str, tag: &str) -> Result<String, DriverError> {
        let (image, tag) = (image.to_owned(), tag.to_owned());
        images::snapshot(self.image_store(), image, self.directory(id), tag).await
    }

    async fn copy_changes(&self, from: Uuid, to: Uuid) -> Result<(), DriverError> {
        let place = Arc::clone(&self.inner.slot(to).place);
        images::copy(self.directory(from), self.directory(to), move || place.make()).await
    }

    async fn runs(&self, id: Uuid) -> Result<bool, DriverError> {
        let place = Arc::clone(&self.inner.slot(id).place);
        blocking(format!("look at the supervisor of sandbox {id}"), move || place.held()).await
    }

    async fn start(&self, workload: Workload) -> Result<(), DriverError> {
        let inner = Arc::clone(&self.inner);
        whole(async move { inner.start(workload).await }).await
    }

    async fn stop(&self, id: Uuid) -> Result<(), DriverError> {
        let inner = Arc::clone(&self.inner);
        whole(async move {
            let slot = inner.slot(id);
            let mut turn = slot.turn.lock().await;
            inner.stop(&slot, &mut turn).await
        })
        .await
    }

    async fn delete(&self, id: Uuid) -> Result<(), DriverError> {
        let inner = Arc::clone(&self.inner);
        whole(async move { inner.delete(id).await }).await
    }

    async fn adopt(&self) -> Result<Vec<Found>, DriverError> {
        let inner = Arc::clone(&self.inner);
        whole(async move { inner.adopt().await }).await
    }

    fn gone(&self) -> Option<mpsc::UnboundedReceiver<Gone>> {
        self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    async fn last_words(&self, id: Uuid, limit: usize) -> Result<String, DriverError> {
        let directory = self.directory(id);
        let action = format!("read the log of the supervisor of sandbox {id}");
        blocking(action, move || words::last(&directory, 0, limit)).await
    }
}

impl Inner {
    fn directory(&self, id: Uuid) -> PathBuf {
        self.settings.directory.join(id.to_string())
    }

    fn slot(&self, id: Uuid) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.entry(id).or_insert_with(|| {
            let place = Arc::new(Place::new(self.directory(id)));
            Arc::new(Slot { id, place, turn: tokio::sync::Mutex::default() })
        });
        Arc::clone(slot)
    }

    /// Forgets a sandbox that nobody else is about to do something with.
    fn forget(&self, slot: &Arc<Slot>) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        // The map's and ours.
        if Arc::strong_count(slot) == 2 {
            slots.remove(&slot.id);
        }
    }

    async fn start(&self, workload: Workload) -> Result<(), DriverError> {
        let slot = self.slot(workload.id);
        let mut turn = slot.turn.lock().await;
        if self.find(&slot, &mut turn).await?.is_some() {
            return Ok(());
        }
        if let Some(image) = workload.image {
            images::hold(self.settings.images.clone(), image, slot.id).await?;
        }
        let action = format!("start the supervisor of sandbox {}", slot.id);
        let (settings, place) = (self.settings.clone(), Arc::clone(&slot.place));
        let spawned = blocking(action.clone(), move || {
            place.make()?;
            // Held by nobody a moment ago, and nobody else may start one.
            let lock = place.take()?.ok_or(io::ErrorKind::ResourceBusy)?;
            spawn::spawn(&settings.program, &settings.environment, &place, lock)
        })
        .await?;
        let log_start = spawned.log_start;
        match spawned.tell(&workload.launch).await {
            Ok((child, pidfd)) => {
                let (id, place, gone) = (slot.id, Arc::clone(&slot.place), self.gone.clone());
                let watch = Watch { id, place, pidfd, child: Some(child), log_start, gone };
                *turn = Some(self.watch(watch).map_err(system(action))?);
                Ok(())
            }
            Err((source, child)) => Err(untold(&slot, source, child, log_start).await),
        }
    }

    fn watch(&self, watch: Watch) -> io::Result<Watched> {
        let (watched, task) = watch.begin()?;
        let ending = self.ending.clone();
        self.watchers.spawn(async move {
            tokio::select! {
                () = ending.cancelled() => {}
                () = task => {}
            }
        });
        Ok(watched)
    }

    /// The supervisor that runs, watched from now on.
    async fn find(
        &self,
        slot: &Slot,
        turn: &mut Option<Watched>,
    ) -> Result<Option<Watched>, DriverError> {
        if let Some(watched) = turn.as_ref() {
            if !watched.ended() {
                return Ok(Some(watched.clone()));
            }
            watched.over(2 * REST).await;
            *turn = None;
        }
        let action = || format!("find the supervisor of sandbox {}", slot.id);
        let Some(pidfd) = self.process(slot).await? else { return Ok(None) };
        let (id, place, gone) = (slot.id, Arc::clone(&slot.place), self.gone.clone());
        let watch = Watch { id, place, pidfd, child: None, log_start: 0, gone };
        *turn = Some(self.watch(watch).map_err(system(action()))?);
        Ok(turn.clone())
    }

    /// The process that has the lock. One that was just started may not have said who it is, and one that was just
    /// ended may leave its init behind for a moment; both are waited for.
    async fn process(&self, slot: &Slot) -> Result<Option<std::os::fd::OwnedFd>, DriverError> {
        let action = || format!("find the supervisor of sandbox {}", slot.id);
        let end = tokio::time::Instant::now() + NAMING;
        loop {
            let place = Arc::clone(&slot.place);
            let looked = blocking(action(), move || look(&place)).await?;
            match looked {
                Look::Free => return Ok(None),
                Look::Process(pidfd) => return Ok(Some(pidfd)),
                Look::Garbage => {
                    return Err(system(action())(io::Error::new(
                        io::ErrorKind::InvalidData,
                        format!("{} holds no process id", slot.place.lock_path().display()),
                    )));
                }
                Look::Nobody if tokio::time::Instant::now() >= end => {
                    return Err(DriverError::StillThere { id: slot.id, waited: NAMING });
                }
                Look::Nobody => tokio::time::sleep(LOOK).await,
            }
        }
    }

    async fn stop(&self, slot: &Slot, turn: &mut Option<Watched>) -> Result<(), DriverError> {
        let Some(watched) = self.find(slot, turn).await? else { return Ok(()) };
        let action = || format!("end the supervisor of sandbox {}", slot.id);
        watched.signal(Signal::TERM).map_err(system(action()))?;
        if !watched.over(GRACE).await {
            tracing::warn!(sandbox = %slot.id, "its supervisor does not end; it is ended with force");
            watched.signal(Signal::KILL).map_err(system(action()))?;
            watched.over(REST).await;
        }
        if watch::free(&slot.place, Duration::ZERO).await.map_err(system(action()))? {
            *turn = None;
            return Ok(());
        }
        Err(DriverError::StillThere { id: slot.id, waited: GRACE + REST })
    }

    async fn delete(&self, id: Uuid) -> Result<(), DriverError> {
        let slot = self.slot(id);
        let mut turn = slot.turn.lock().await;
        self.stop(&slot, &mut turn).await?;
        let directory = self.settings.directory.clone();
        let action = format!("remove the directory of sandbox {id}");
        let bin = blocking(action, move || remove::set_aside(&directory, id)).await?;
        if let Some(bin) = bin {
            self.remove(bin);
        }
        images::release(self.settings.images.clone(), id).await?;
        drop(turn);
        self.forget(&slot);
        Ok(())
    }

    /// Removes what was set aside, later.
    fn remove(&self, bin: PathBuf) {
        let (room, ending) = (Arc::clone(&self.room), self.ending.clone());
        self.removals.spawn(async move {
            let place = tokio::select! {
                () = ending.cancelled() => return,
                place = room.acquire_owned() => place,
            };
            let path = bin.clone();
            let removed = blocking(format!("remove {}", path.display()), move || {
                // Moved here, so that the place is taken as long as the work is done.
                let _place = place;
                remove::empty(&bin, &ending)
            });
            if let Err(error) = removed.await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "a sandbox's directory stays until the next start");
            }
        });
    }

    async fn adopt(self: &Arc<Self>) -> Result<Vec<Found>, DriverError> {
        let directory = self.settings.directory.clone();
        let action = format!("look for sandboxes in {}", directory.display());
        let (ids, bins) = blocking(action, move || {
            Place::new(directory.clone()).make()?;
            Ok((ids(&directory)?, remove::bins(&directory)?))
        })
        .await?;
        bins.into_iter().for_each(|bin| self.remove(bin));
        let room = Arc::new(Semaphore::new(LOOKS));
        let mut looks = JoinSet::new();
        for id in ids {
            let (inner, room) = (Arc::clone(self), Arc::clone(&room));
            looks.spawn(async move {
                // Never closed.
                let _place = room.acquire_owned().await;
                Found { id, running: inner.take_over(id).await }
            });
        }
        let mut found = looks.join_all().await;
        found.sort_by_key(|found| found.id);
        Ok(found)
    }

    /// Watches a supervisor that another process started; whether it runs. One that cannot be found although
    /// something has its lock is said to run: whoever ends or starts it is told what is wrong.
    async fn take_over(&self, id: Uuid) -> bool {
        let slot = self.slot(id);
        let mut turn = slot.turn.lock().await;
        match self.find(&slot, &mut turn).await {
            Ok(found) => found.is_some(),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(sandbox = %id, error, "a sandbox cannot be taken over");
                true
            }
        }
    }
}

/// Ends a supervisor that did not read what it was told; what is said of it.
async fn untold(slot: &Slot, source: io::Error, mut child: Child, log_start: u64) -> DriverError {
    let place = Arc::clone(&slot.place);
    let action = format!("end the supervisor of sandbox {}", slot.id);
    let ended = blocking(action, move || {
        let how = spawn::end(&mut child);
        let words = words::last(place.directory(), log_start, watch::WORDS_BYTES)?;
        Ok(format!("{how}; its last words: {}", words.trim()))
    });
    match ended.await {
        Ok(how) => {
            let action = format!("tell the supervisor of sandbox {} what to do; {how}", slot.id);
            DriverError::System { action, source }
        }
        Err(error) => error,
    }
}

enum Look {
    Free,
    Process(std::os::fd::OwnedFd),
    /// Somebody has the lock, but not the process that is named in it, if one is.
    Nobody,
    Garbage,
}

fn look(place: &Place) -> io::Result<Look> {
    if !place.held()? {
        return Ok(Look::Free);
    }
    Ok(match place.said()? {
        Said::Nothing => Look::Nobody,
        Said::Garbage => Look::Garbage,
        Said::Pid(pid) => place.process(pid)?.map_or(Look::Nobody, Look::Process),
    })
}

/// Directories that are named like a sandbox.
fn ids(directory: &std::path::Path) -> io::Result<Vec<Uuid>> {
    let mut ids = vec![];
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| Some((name, Uuid::try_parse(name).ok()?)));
        if let Some((name, id)) = id
            && name == id.to_string()
            && entry.file_type()?.is_dir()
        {
            ids.push(id);
        }
    }
    Ok(ids)
}

fn system(action: String) -> impl FnOnce(io::Error) -> DriverError {
    move |source| DriverError::System { action, source }
}

/// Does to its end what was begun, also when nobody waits for it any more.
async fn whole<T: Send + 'static>(
    work: impl Future<Output = Result<T, DriverError>> + Send + 'static,
) -> Result<T, DriverError> {
    tokio::spawn(work)
        .await
        .unwrap_or_else(|error| Err(system("finish its work".into())(error.into())))
}

/// Does what may block where it blocks nobody.
async fn blocking<T: Send + 'static>(
    action: String,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, DriverError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(error.into())).map_err(system(action))
}

#[cfg(test)]
#[path = "local/tests.rs"]
mod tests;
