//! What this kernel and this account offer, found out by looking and by trying.

mod trial;
mod userns;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{limits, sys};
use trial::Attempt;

/// One thing that sandboxes need or use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Feature {
    /// Its name.
    pub name: &'static str,
    /// Whether it is there.
    pub status: Status,
    /// What was found.
    pub found: String,
    /// What it means when it is missing.
    pub meaning: &'static str,
    /// What to do about it, when something is missing.
    pub next: Option<String>,
}

/// Whether a feature is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is there.
    Ok,
    /// It is there in part, or something optional is missing.
    Degraded,
    /// It is missing and sandboxes cannot start without it.
    Missing,
}

/// Probes everything. Call it while the process has one thread.
#[must_use]
pub fn probe() -> Vec<Feature> {
    vec![
        kernel(),
        namespaces(),
        proc_mount(),
        sock_diag(),
        landlock(),
        seccomp(),
        memory(),
        processors(),
        processes(),
    ]
}

fn feature(
    name: &'static str,
    status: Status,
    found: String,
    meaning: &'static str,
    next: Option<String>,
) -> Feature {
    let next = next.filter(|_| status != Status::Ok);
    Feature { name, status, found, meaning, next }
}

fn kernel() -> Feature {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let status = if version >= (5, 19) { Status::Ok } else { Status::Missing };
    let meaning = "mounts, Landlock and clone flags of Linux 5.19 are needed";
    feature("kernel", status, release, meaning, Some("install Linux 5.19 or newer".into()))
}

fn namespaces() -> Feature {
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/usr/bin/navigator"));
    let next = userns::advice(Path::new("/proc/sys"), &program).unwrap_or_else(|| {
        "allow user namespaces in the kernel, or in the container that this runs in".into()
    });
    let meaning = "without user namespaces and capabilities inside them no sandbox can start";
    tried("user namespaces", Attempt::Capability, meaning, next)
}

fn proc_mount() -> Feature {
    let meaning = "without a /proc of its own no sandbox can start";
    let next = "start outside of a container, or in one whose /proc is not masked: `--security-opt \
                systempaths=unconfined` with docker, `--security-opt unmask=ALL` with podman";
    tried("proc mount", Attempt::Proc, meaning, next.into())
}

fn sock_diag() -> Feature {
    let meaning =
        "without it the program behind a connection is unknown: no sandbox with a network";
    let next = "run `sudo modprobe inet_diag`, or use a kernel with CONFIG_INET_DIAG";
    tried("socket look-up", Attempt::SockDiag, meaning, next.into())
}

fn tried(name: &'static str, attempt: Attempt, meaning: &'static str, next: String) -> Feature {
    let (status, found) = match trial::inside(attempt) {
        Ok(()) => (Status::Ok, "works inside new namespaces".to_owned()),
        Err(error) => (Status::Missing, error.to_string()),
    };
    feature(name, status, found, meaning, Some(next))
}

fn landlock() -> Feature {
    let abi = sys::landlock_abi();
    let status = match abi {
        0 | 1 => Status::Missing,
        2..=5 => Status::Degraded,
        6.. => Status::Ok,
    };
    let found = if abi == 0 { "not there".to_owned() } else { format!("ABI {abi}") };
    let meaning = "without ABI 2 sandboxes start only with `landlock.compatibility: best_effort`; \
                   before ABI 6 namespaces alone keep signals inside";
    let next =
        "add `landlock` to the `lsm=` list on the kernel's command line, or install a newer kernel";
    feature("landlock", status, found, meaning, Some(next.into()))
}

fn seccomp() -> Feature {
    let actions = std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail");
    let (status, found) = match actions {
        Ok(actions) if actions.split_whitespace().any(|action| action == "user_notif") => {
            (Status::Ok, "filters can be loaded")
        }
        Ok(_) => (Status::Degraded, "filters can be loaded, and tell nobody what they see"),
        Err(_) => (Status::Missing, "not there"),
    };
    let meaning = "without system-call filters no sandbox can start; without notifications none with network policies";
    let next = "use a kernel with CONFIG_SECCOMP_FILTER, Linux 5.5 or newer";
    feature("seccomp", status, found.into(), meaning, Some(next.into()))
}

fn memory() -> Feature {
    limit("memory limits", "memory", "without it `--memory` is refused")
}

fn processors() -> Feature {
    limit("processor limits", "cpu", "without it `--cpus` is refused")
}

/// Never missing: a resource limit does it where no cgroup can.
fn processes() -> Feature {
    let place = limits::place_of("pids");
    let found = place.map_or("resource limit".into(), |place| format!("resource limit, {place}"));
    feature("process limits", Status::Ok, found, "`--pids` is refused without them", None)
}

fn limit(name: &'static str, controller: &str, meaning: &'static str) -> Feature {
    let place = limits::place_of(controller);
    let status = if place.is_some() { Status::Ok } else { Status::Degraded };
    let found = place.unwrap_or_else(|| "no cgroup can be written".into());
    let next = "start with `systemd-run --user --scope -p Delegate=yes navigator run …`";
    feature(name, status, found, meaning, Some(next.into()))
}
