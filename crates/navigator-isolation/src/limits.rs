//! Bounds on what everything in a sandbox together may use: memory, processor time, processes.
//!
//! cgroups hold memory and processors (cgroups(7)): version 2 where this process may use it, version 1 where
//! that has the controller. Processes are bounded by a resource limit too, which needs no cgroup. A limit
//! that was asked for and that nothing here can enforce is an error.

mod hierarchy;
mod janitor;

use std::io;
use std::path::{Path, PathBuf};

use rustix::process::Pid;

use hierarchy::{Hierarchies, Place, Version};
use janitor::Janitor;

/// Period over which processor time is counted, in microseconds; the kernel's default.
const PERIOD: u64 = 100_000;
/// Least memory with which init and a shell start, in bytes.
const LEAST_MEMORY: u64 = 4 * 1024 * 1024;

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// Memory of everything in the sandbox, files in its private directories included, in bytes.
    pub memory_bytes: Option<u64>,
    /// Processor time.
    pub cpus: Option<Cpus>,
    /// Number of processes and threads.
    pub processes: Option<u64>,
}

/// A number of processors, above 0.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Cpus(f64);

/// A number that is no number of processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a number of processors is between 0.01 and 1024")]
pub struct CpusError;

impl Cpus {
    /// Takes numbers from 0.01, the least that the kernel counts, to 1024.
    pub fn new(number: f64) -> Result<Self, CpusError> {
        if (0.01..=1024.0).contains(&number) { Ok(Self(number)) } else { Err(CpusError) }
    }

    /// Processor time in a period, in microseconds.
    fn quota(self) -> u64 {
        // In range by construction.
        (self.0 * PERIOD as f64) as u64
    }
}

impl std::fmt::Display for Cpus {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A limit that cannot be enforced.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// No cgroup that this process may use has the controller.
    #[error(
        "failed to limit {what}: no cgroup with the `{controller}` controller can be written here; \
         start with `systemd-run --user --scope -p Delegate=yes navigator run …`, or leave the limit out"
    )]
    NoController {
        /// What was to be limited.
        what: &'static str,
        /// The kernel's name for the controller.
        controller: &'static str,
    },
    /// Too little memory to start anything.
    #[error("failed to limit memory to {bytes} bytes: at least 4M is needed")]
    TooLittleMemory {
        /// What was asked for, in bytes.
        bytes: u64,
    },
    /// A cgroup refused.
    #[error("failed to set a limit in {path}")]
    Cgroup {
        /// File or directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The cgroups of this process cannot be found.
    #[error("failed to look at the cgroups of this process")]
    Look {
        /// The system's reason.
        source: io::Error,
    },
}

/// Limits in force; whatever was made for them is removed on drop, and when this process is killed.
#[derive(Debug)]
#[must_use]
pub struct Enforcement {
    groups: Vec<PathBuf>,
    described: Vec<String>,
    _janitor: Option<Janitor>,
}

/// One controller and what to write into its group.
struct Want {
    what: &'static str,
    controller: &'static str,
    v1: Vec<(&'static str, String, Needed)>,
    v2: Vec<(&'static str, String, Needed)>,
}

/// Whether a file of a controller may be missing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needed {
    Yes,
    IfThere,
}

/// Makes the groups for `limits`. Call it while the process has one thread.
pub fn prepare(limits: &Limits, name: &str) -> Result<Enforcement, LimitError> {
    let wants = wants(limits)?;
    let mut described: Vec<String> =
        limits.processes.iter().map(|number| format!("processes {number} (rlimit)")).collect();
    if wants.is_empty() {
        return Ok(Enforcement { groups: vec![], described, _janitor: None });
    }
    let hierarchies =
        Hierarchies::of_this_process().map_err(|source| LimitError::Look { source })?;
    let controllers: Vec<&str> = wants.iter().map(|want| want.controller).collect();
    let found = hierarchies.places(&controllers);
    let mut places: Vec<(Want, Place)> = vec![];
    for (want, place) in wants.into_iter().zip(found) {
        match place {
            Some(place) => places.push((want, place)),
            // Every process has the resource limit in any case.
            None if want.controller == "pids" => {}
            None => {
                let Want { what, controller, .. } = want;
                return Err(LimitError::NoController { what, controller });
            }
        }
    }
    let directory = format!("navigator-{}-{name}", std::process::id());
    let mut groups: Vec<PathBuf> =
        places.iter().map(|(_, place)| place.parent.join(&directory)).collect();
    groups.sort_unstable();
    groups.dedup();
    // The janitor is there first: it removes what is made even when this process dies now.
    let janitor = janitor::hire(&groups).map_err(|source| LimitError::Look { source })?;
    for group in &groups {
        std::fs::create_dir(group).map_err(at(group))?;
    }
    for (want, place) in &places {
        let group = place.parent.join(&directory);
        want.write(place.version, &group)?;
        described.push(format!("{} (cgroup {})", want.what, place.version.name()));
    }
    Ok(Enforcement { groups, described, _janitor: Some(janitor) })
}

/// Where a group with this controller could be made, in words.
pub(crate) fn place_of(controller: &str) -> Option<String> {
    let place = Hierarchies::of_this_process().ok()?.places(&[controller]).pop()??;
    Some(format!("cgroup {} at {}", place.version.name(), place.parent.display()))
}

fn wants(limits: &Limits) -> Result<Vec<Want>, LimitError> {
    let mut wants = vec![];
    if let Some(bytes) = limits.memory_bytes {
        if bytes < LEAST_MEMORY {
            return Err(LimitError::TooLittleMemory { bytes });
        }
        let text = bytes.to_string();
        wants.push(Want {
            what: "memory",
            controller: "memory",
            v1: vec![
                ("memory.limit_in_bytes", text.clone(), Needed::Yes),
                ("memory.memsw.limit_in_bytes", text.clone(), Needed::IfThere),
            ],
            v2: vec![
                ("memory.max", text, Needed::Yes),
                ("memory.swap.max", "0".into(), Needed::IfThere),
            ],
        });
    }
    if let Some(cpus) = limits.cpus {
        let (quota, period) = (cpus.quota().to_string(), PERIOD.to_string());
        wants.push(Want {
            what: "processors",
            controller: "cpu",
            v2: vec![("cpu.max", format!("{quota} {period}"), Needed::Yes)],
            v1: vec![
                ("cpu.cfs_period_us", period, Needed::Yes),
                ("cpu.cfs_quota_us", quota, Needed::Yes),
            ],
        });
    }
    if let Some(processes) = limits.processes {
        // Init is in the group and is not one of the sandbox's own.
        let text = processes.saturating_add(1).to_string();
        wants.push(Want {
            what: "processes",
            controller: "pids",
            v1: vec![("pids.max", text.clone(), Needed::Yes)],
            v2: vec![("pids.max", text, Needed::Yes)],
        });
    }
    Ok(wants)
}

impl Want {
    fn write(&self, version: Version, group: &Path) -> Result<(), LimitError> {
        let files = match version {
            Version::One => &self.v1,
            Version::Two => &self.v2,
        };
        for (file, text, needed) in files {
            let path = group.join(file);
            if *needed == Needed::IfThere && !path.exists() {
                continue;
            }
            std::fs::write(&path, text).map_err(at(&path))?;
        }
        Ok(())
    }
}

impl Enforcement {
    /// Puts a process, and so all its later children, under the limits.
    pub fn attach(&self, pid: Pid) -> Result<(), LimitError> {
        for group in &self.groups {
            let path = group.join("cgroup.procs");
            std::fs::write(&path, pid.as_raw_nonzero().to_string()).map_err(at(&path))?;
        }
        Ok(())
    }

    /// Each limit in force and what enforces it.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        self.described.clone()
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> LimitError {
    let path = path.to_owned();
    move |source| LimitError::Cgroup { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_a_sensible_number() {
        assert!(Cpus::new(1.5).is_ok_and(|cpus| cpus.quota() == 150_000));
        for number in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
            assert!(Cpus::new(number).is_err(), "{number}");
        }
    }

    #[test]
    fn too_little_memory_is_refused_before_anything_is_made() {
        let limits = Limits { memory_bytes: Some(1), ..Limits::default() };
        let error = prepare(&limits, "x").unwrap_err();
        assert!(matches!(error, LimitError::TooLittleMemory { bytes: 1 }), "{error}");
    }

    #[test]
    fn no_limit_needs_no_cgroup() {
        assert!(prepare(&Limits::default(), "x").is_ok_and(|made| made.groups.is_empty()));
    }
}
