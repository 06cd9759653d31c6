//! Forwarding that goes on when the command has ended: a process of its own, with a record that is locked while it lives.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use navigator_client::Places;
use rustix::fs::FlockOperation;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::ports::Port;
use super::{Forwarded, failed};
use crate::output::neutral;
use crate::sandbox::error::SandboxError;
use crate::sandbox::session::this_program;

/// How long a process may take to end once it is asked to.
const END: Duration = Duration::from_secs(5);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(10);

fn directory(places: &Places) -> PathBuf {
    places.runtime.join("forwards")
}

/// What one process forwards, written where others find it, until it is dropped.
pub struct Record {
    path: PathBuf,
    /// Locked: the lock says that the process lives.
    _file: File,
}

impl Record {
    /// Writes it.
    pub fn write(places: &Places, forwarded: &[Forwarded]) -> Result<Self, SandboxError> {
        let write = || {
            let directory = directory(places);
            navigator_client::make_own_directory(&directory)?;
            let path = directory.join(format!("{}.json", std::process::id()));
            // It has its name when it is locked: without a lock it would be taken for one that was left behind.
            let beside = path.with_extension("new");
            let mut options = OpenOptions::new();
            let options = options.write(true).create(true).truncate(true).mode(0o600);
            let mut file = options.open(&beside)?;
            rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
            file.write_all(&serde_json::to_vec(forwarded)?)?;
            std::fs::rename(beside, &path)?;
            Ok(Self { path, _file: file })
        };
        write().map_err(failed("note what is forwarded"))
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        // Whoever finds it without a lock removes it.
        let _left = std::fs::remove_file(&self.path);
    }
}

/// Starts a process that forwards, and waits until it does.
pub fn start(sandbox: &str, ports: &[Port]) -> Result<Vec<Forwarded>, SandboxError> {
    let mut command = Command::new(this_program()?);
    command.args(["sandbox", "forward", "--detached", sandbox]);
    command.args(ports.iter().map(|port| format!("{}:{}", port.local, port.remote)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut started = || {
        let mut child = command.spawn()?;
        let mut said = String::new();
        if let Some(mut stdout) = child.stdout.take() {
            stdout.read_to_string(&mut said)?;
        }
        if let Ok(forwarded) = serde_json::from_str(&said) {
            return Ok(Ok(forwarded));
        }
        let mut why = String::new();
        if let Some(mut stderr) = child.stderr.take() {
            stderr.read_to_string(&mut why)?;
        }
        child.wait()?;
        Ok(Err(why))
    };
    match started().map_err(failed("start forwarding in the background"))? {
        Ok(forwarded) => Ok(forwarded),
        Err(why) => Err(SandboxError::Background(neutral(why.trim()))),
    }
}

/// Says what is forwarded to whoever started this process, and leaves them.
pub fn report(forwarded: &[Forwarded]) -> Result<(), SandboxError> {
    let leave = || -> io::Result<()> {
        rustix::process::setsid()?;
        let mut stdout = io::stdout();
        stdout.write_all(&serde_json::to_vec(forwarded)?)?;
        stdout.flush()?;
        // Whoever waits for the end of both sees it now.
        let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        rustix::stdio::dup2_stdout(&null)?;
        rustix::stdio::dup2_stderr(&null)?;
        std::env::set_current_dir("/")
    };
    leave().map_err(failed("go on in the background"))
}

/// Everything that is forwarded in the background.
pub fn running(places: &Places) -> Result<Vec<Forwarded>, SandboxError> {
    let mut all = vec![];
    for path in records(places).map_err(failed("look for what is forwarded"))? {
        all.extend(alive(&path));
    }
    Ok(all)
}

/// Ends the processes that forward something of what is meant; how many.
pub fn stop(places: &Places, meant: impl Fn(&Forwarded) -> bool) -> Result<usize, SandboxError> {
    let mut stopped = 0;
    for path in records(places).map_err(failed("look for what is forwarded"))? {
        if alive(&path).iter().any(&meant) {
            end(&path).map_err(failed("stop a process that forwards"))?;
            stopped += 1;
        }
    }
    Ok(stopped)
}

fn records(places: &Places) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(directory(places)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(error),
    };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    Ok(paths)
}

/// What a record says while its process lives; one without a process is removed.
fn alive(path: &Path) -> Vec<Forwarded> {
    let Ok(file) = File::open(path) else { return vec![] };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
        Err(rustix::io::Errno::WOULDBLOCK) => navigator_client::read_own(path)
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default(),
        // Another look may have removed it.
        Ok(()) | Err(_) => {
            let _gone = std::fs::remove_file(path);
            vec![]
        }
    }
}

/// Ends the process of a record, which is the one that holds its lock.
fn end(path: &Path) -> io::Result<()> {
    let pid = alive(path).first().and_then(|one| Pid::from_raw(one.pid.cast_signed()));
    let Some(pid) = pid else { return Ok(()) };
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    // The descriptor stands for the process that lives still.
    if alive(path).is_empty() {
        return Ok(());
    }
    pidfd_send_signal(&process, Signal::TERM)?;
    let deadline = Instant::now() + END;
    while !alive(path).is_empty() {
        if Instant::now() > deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}
