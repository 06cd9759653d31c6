//! What really is on this machine: processes, mounts, cgroups and files of one case, whatever the gateway says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::harness::Case;

/// A supervisor that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Supervisor {
    pub(super) pid: u32,
    /// Its process of the sandbox that is number 1 there.
    pub(super) init: Option<u32>,
}

/// The processes of one case.
pub(super) struct Machine {
    binary: PathBuf,
    sandboxes: PathBuf,
}

impl Machine {
    pub(super) fn of(case: &Case) -> Self {
        Self { binary: case.path("navigator"), sandboxes: case.path("state/sandboxes") }
    }

    /// All processes of the case's binary.
    pub(super) fn processes(&self) -> Vec<u32> {
        all_processes().filter(|pid| self.is_ours(*pid)).collect()
    }

    /// Whether a process runs the case's binary. One that ends at this moment does not.
    pub(super) fn is_ours(&self, pid: u32) -> bool {
        std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == self.binary)
    }

    /// The supervisors that run, by the id of their sandbox.
    pub(super) fn supervisors(&self) -> BTreeMap<String, Supervisor> {
        let mut found = BTreeMap::new();
        let ours = self.processes();
        for pid in &ours {
            if comm(*pid) != "navigator" || !arguments(*pid).contains("supervise") {
                continue;
            }
            let Ok(lock) = std::fs::read_link(format!("/proc/{pid}/fd/1")) else { continue };
            let id = lock.parent().and_then(Path::file_name).unwrap_or_default();
            let init = |init: &u32| parent(*init) == Some(*pid) && is_init(*init);
            let init = ours.iter().copied().find(init);
            let id = id.to_string_lossy().into_owned();
            found.insert(id, Supervisor { pid: *pid, init });
        }
        found
    }

    /// Processes of sandboxes, and first processes, that no supervisor watches over.
    pub(super) fn unwatched(&self, names: &str) -> Vec<String> {
        let inside = all_processes().filter(|pid| is_named(*pid, names) && !self.is_watched(*pid));
        let inits = self.processes().into_iter().filter(|pid| is_init(*pid));
        let inits = inits.filter(|pid| !parent(*pid).is_some_and(|parent| self.is_ours(parent)));
        inside.chain(inits).map(|pid| format!("{pid}: {} {}", comm(pid), arguments(pid))).collect()
    }

    fn is_watched(&self, mut pid: u32) -> bool {
        while let Some(parent) = parent(pid) {
            if is_init(pid) {
                return self.is_ours(parent);
            }
            pid = parent;
        }
        // It has ended meanwhile.
        !Path::new(&format!("/proc/{pid}")).exists()
    }

    /// What is in the directory of the sandboxes.
    pub(super) fn directories(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.sandboxes).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    /// Mounts that name the case's directory, as this process and every process of the case sees them.
    pub(super) fn mounts(&self) -> Vec<String> {
        let case = self.binary.parent().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        text.lines().filter(|line| line.contains(case)).map(str::to_owned).collect()
    }
}

/// cgroups that sandboxes made.
pub(super) fn cgroups() -> usize {
    let mut found = std::process::Command::new("find");
    found.args(["/sys/fs/cgroup", "-type", "d", "-name", "navigator-*"]);
    String::from_utf8_lossy(&found.output().unwrap().stdout).lines().count()
}

/// Descriptors that a process has open.
pub(super) fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// A figure of a process's memory in kB, such as `Rss` or `Pss`.
pub(super) fn memory(pid: u32, figure: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn all_processes() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn is_init(pid: u32) -> bool {
    comm(pid) == "navigator-init"
}

/// Whether a process is in a sandbox whose name starts so.
fn is_named(pid: u32, names: &str) -> bool {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let wanted = format!("NAVIGATOR_SANDBOX_NAME={names}");
    environment.split(|byte| *byte == 0).any(|entry| entry.starts_with(wanted.as_bytes()))
}

fn comm(pid: u32) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    text.trim_end().to_owned()
}

fn arguments(pid: u32) -> String {
    let text = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&text).replace('\0', " ")
}

fn parent(pid: u32) -> Option<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    line.trim().parse().ok().filter(|parent| *parent != 0)
}

/// Kills a process. One that is gone is what was wanted.
pub(super) fn kill(pid: u32) {
    signal(pid, rustix::process::Signal::KILL);
}

/// Sends a signal to a process that may be gone.
pub(super) fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).unwrap();
    match rustix::process::kill_process(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => panic!("{error}"),
    }
}
