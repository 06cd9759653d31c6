//! What this kernel and this account offer, found out by looking and by trying.

use std::path::Path;

use rustix::process::WaitOptions;
use serde::Serialize;

use crate::limits;
use crate::sys::{self, Cloned};

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

/// Profile that lets navigator use user namespaces where AppArmor restricts them (Ubuntu 23.10 and newer).
const APPARMOR: &str = "write this to /etc/apparmor.d/navigator and run \
    `sudo apparmor_parser -r /etc/apparmor.d/navigator`:\n\
    abi <abi/4.0>,\n\
    include <tunables/global>\n\
    profile navigator /{usr/,usr/local/,home/*/.cargo/}bin/navigator flags=(unconfined) {\n  userns,\n}";

/// Probes everything. Call it while the process has one thread.
#[must_use]
pub fn probe() -> Vec<Feature> {
    vec![kernel(), user_namespaces(), landlock(), seccomp(), memory(), processors()]
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

fn user_namespaces() -> Feature {
    let meaning = "without user namespaces no sandbox can start";
    let tried = try_namespace();
    let status = if tried.is_ok() { Status::Ok } else { Status::Missing };
    let found = match tried {
        Ok(()) => "can be made".to_owned(),
        Err(error) => format!("cannot be made: {error}"),
    };
    let read = |path: &str| std::fs::read_to_string(Path::new("/proc/sys").join(path)).ok();
    let is = |path: &str, value: &str| read(path).is_some_and(|text| text.trim() == value);
    let next = if is("kernel/apparmor_restrict_unprivileged_userns", "1") {
        APPARMOR.to_owned()
    } else if is("kernel/unprivileged_userns_clone", "0") {
        "run `sudo sysctl -w kernel.unprivileged_userns_clone=1`".to_owned()
    } else if is("user/max_user_namespaces", "0") {
        "run `sudo sysctl -w user.max_user_namespaces=15000`".to_owned()
    } else {
        "allow user namespaces in the kernel, or in the container that this runs in".to_owned()
    };
    feature("user namespaces", status, found, meaning, Some(next))
}

/// Makes one with a network namespace in it, which AppArmor's restriction lets fail where the first alone
/// would succeed.
fn try_namespace() -> std::io::Result<()> {
    let flags = (libc::CLONE_NEWUSER | libc::CLONE_NEWNET) as u64;
    match sys::clone_into(flags, None)? {
        Cloned::Child => sys::exit_now(0),
        Cloned::Parent { pid, .. } => {
            rustix::process::waitpid(Some(pid), WaitOptions::empty())?;
            Ok(())
        }
    }
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
    let there = Path::new("/proc/sys/kernel/seccomp/actions_avail").exists();
    let status = if there { Status::Ok } else { Status::Missing };
    let found = if there { "filters can be loaded" } else { "not there" };
    let meaning = "without system-call filters no sandbox can start";
    let next = "use a kernel with CONFIG_SECCOMP_FILTER";
    feature("seccomp", status, found.into(), meaning, Some(next.into()))
}

fn memory() -> Feature {
    limit("memory limits", "memory", "without it `--memory` is refused")
}

fn processors() -> Feature {
    limit("processor limits", "cpu", "without it `--cpus` is refused")
}

fn limit(name: &'static str, controller: &str, meaning: &'static str) -> Feature {
    let place = limits::place_of(controller);
    let status = if place.is_some() { Status::Ok } else { Status::Degraded };
    let found = place.unwrap_or_else(|| "no cgroup can be written".into());
    let next = "start with `systemd-run --user --scope -p Delegate=yes navigator run …`";
    feature(name, status, found, meaning, Some(next.into()))
}
