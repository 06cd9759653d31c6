//! From a policy and a request to the plain values that the isolation crate acts on. Pure but for looking at
//! what exists; nothing is started here.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use navigator_isolation::{
    Access, Bind, Network, Observe, ProcessSpec, Program, Requirement, RootView, SandboxSpec,
    Stdio, SyntheticFile,
};
use navigator_policy::{Compatibility, CompiledPolicy, NetworkMode};

use crate::environment;
use crate::request::{Judging, Request};
use crate::users::{self, UserError};

/// TCP ports that are captured whatever the policy names, so that a refusal is immediate and recorded.
const USUAL_PORTS: [u16; 3] = [22, 80, 443];
/// The proxy's port.
const PROXY_PORT: u16 = 3128;
/// Processes in a sandbox that did not ask for a number: far above what builds use, far below what harms.
const DEFAULT_PROCESSES: u64 = 4096;
/// Host directories that would hand over the machine or its sockets.
const TOO_BROAD: [&str; 6] = ["/", "/proc", "/sys", "/dev", "/run", "/var/run"];
/// Places in the sandbox that are its own.
const RESERVED: [&str; 6] = ["/", "/proc", "/dev", "/etc", "/sys", "/.navigator"];

/// Where the agent is told where it is, below its home directory.
pub(crate) const README: &str = ".navigator/README.md";

/// What login shells read last of the system's files.
const LOGIN: &str = "/etc/profile.d/zz-navigator.sh";
/// Why it is there.
const LOGIN_WORDS: &str = "# A login shell has the PATH of every other process of this sandbox.\n";

/// A request that cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The policy's user.
    #[error(transparent)]
    User(#[from] UserError),
    /// A host directory that is too much.
    #[error(
        "failed to mount {path}: it is overly broad; mount the directory that the command works in"
    )]
    BroadSource {
        /// Path on the host.
        path: PathBuf,
    },
    /// A place in the sandbox that cannot be mounted over.
    #[error(
        "failed to mount at {path}: choose an absolute path such as /sandbox/{}",
        suggestion(path)
    )]
    Destination {
        /// Path in the sandbox.
        path: PathBuf,
    },
    /// Two mounts at one place.
    #[error("failed to mount twice at {path}; give each --mount a destination of its own")]
    SameDestination {
        /// Path in the sandbox.
        path: PathBuf,
    },
    /// A host path that does not exist or cannot be read.
    #[error("failed to mount {path}; check that it exists and that you may read it")]
    Source {
        /// Path on the host.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The audit file would be the sandbox's to change.
    #[error(
        "failed to record in {path}: the sandbox may write there; name another file with --audit"
    )]
    Audit {
        /// Path on the host.
        path: PathBuf,
    },
    /// Another file that would be the sandbox's to change.
    #[error(
        "failed to use {path}: the sandbox may write there; name a file outside of what it may write"
    )]
    Outside {
        /// Path on the host.
        path: PathBuf,
    },
    /// The working directory.
    #[error("failed to use {path} as working directory: it must be an absolute path without `..`")]
    WorkingDirectory {
        /// Path in the sandbox.
        path: PathBuf,
    },
    /// The root directory.
    #[error("failed to use {path} as root filesystem: it must be a directory")]
    Root {
        /// Path on the host.
        path: PathBuf,
    },
}

fn suggestion(path: &Path) -> String {
    path.file_name().map_or_else(|| "project".into(), |name| name.to_string_lossy().into_owned())
}

/// What to start.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) spec: SandboxSpec,
    pub(crate) process: ProcessSpec,
}

/// Judges a request and turns it into a plan.
pub(crate) fn plan(request: &Request) -> Result<Plan, PlanError> {
    let policy = &request.policy;
    let needed = match &request.root {
        RootView::Host => &[][..],
        RootView::Directory(path) => std::slice::from_ref(path),
        RootView::Layers(layers) => &layers.lower,
    };
    if let Some(path) = needed.iter().find(|path| !path.is_dir()) {
        return Err(PlanError::Root { path: path.clone() });
    }
    let user = users::resolve(&policy.process, &request.root)?;
    let binds = binds(&request.binds)?;
    let writable = writable(request, &binds);
    // What the sandbox did must not be its own to tell.
    if may_change(&request.audit_file, &writable) {
        return Err(PlanError::Audit { path: request.audit_file.clone() });
    }
    if let Some(path) = request.outside.iter().find(|path| may_change(path, &writable)) {
        return Err(PlanError::Outside { path: path.clone() });
    }
    let workdir = workdir(request, &binds, &user.home)?;
    let paths = |list: &[navigator_policy::SandboxPath]| {
        list.iter().map(|path| PathBuf::from(path.as_str())).collect::<Vec<_>>()
    };
    let mut read_write = paths(&policy.filesystem.read_write);
    let in_bind = binds.iter().any(|bind| workdir.starts_with(&bind.destination));
    if policy.filesystem.include_workdir && !in_bind && !read_write.contains(&workdir) {
        read_write.push(workdir.clone());
    }
    let env = environment::build(request, &user);
    let process = ProcessSpec {
        program: Program::File(request.command.clone()),
        env,
        cwd: workdir,
        stdio: [Stdio::Inherit; 3],
        terminal: None,
    };
    let spec = SandboxSpec {
        name: request.name.clone(),
        root: request.root.clone(),
        read_only: paths(&policy.filesystem.read_only),
        read_write,
        binds,
        home: request.home.clone(),
        network: network(request),
        observe: match request.judging {
            Judging::Enforce => Observe::Nothing,
            Judging::Learn => Observe::Files,
        },
        landlock: match policy.landlock.compatibility {
            Compatibility::HardRequirement => Requirement::Hard,
            Compatibility::BestEffort => Requirement::BestEffort,
        },
        files: files(request, &user.home, &process.env),
        user,
        disk_bytes: request.disk_bytes,
        processes: request.limits.processes.unwrap_or(DEFAULT_PROCESSES),
        builtin: Some(crate::files::serve),
    };
    Ok(Plan { spec, process })
}

fn binds(asked: &[Bind]) -> Result<Vec<Bind>, PlanError> {
    let mut binds: Vec<Bind> = vec![];
    for bind in asked {
        let source = bind
            .source
            .canonicalize()
            .map_err(|error| PlanError::Source { path: bind.source.clone(), source: error })?;
        if TOO_BROAD.iter().any(|broad| source == Path::new(broad)) {
            return Err(PlanError::BroadSource { path: source });
        }
        let destination = clean(&bind.destination)
            .filter(|path| !RESERVED.iter().any(|reserved| path == Path::new(reserved)))
            .filter(|path| !path.starts_with("/proc") && !path.starts_with("/dev"))
            .ok_or_else(|| PlanError::Destination { path: bind.destination.clone() })?;
        if binds.iter().any(|other| other.destination == destination) {
            return Err(PlanError::SameDestination { path: destination });
        }
        binds.push(Bind { source, destination, access: bind.access });
    }
    Ok(binds)
}

/// The places on the host that the sandbox may write.
fn writable(request: &Request, binds: &[Bind]) -> Vec<PathBuf> {
    let binds = binds.iter().filter(|bind| bind.access == Access::ReadWrite);
    let mut places: Vec<_> = binds.map(|bind| bind.source.clone()).collect();
    places.extend(request.home.clone());
    match &request.root {
        RootView::Host => {}
        RootView::Directory(root) => {
            // Of a root directory, what the policy makes writable is used as it is.
            let below = request.policy.filesystem.read_write.iter();
            let below = below.map(|path| root.join(path.as_str().trim_start_matches('/')));
            places.extend(below.filter_map(|path| path.canonicalize().ok()));
        }
        RootView::Layers(layers) => places.extend(layers.changes.clone()),
    }
    places
}

/// Whether a file, or a link or directory that leads to it, is in a place that the sandbox may write. The file and its
/// directory may be made later; where they will be is known by what is there already.
fn may_change(file: &Path, writable: &[PathBuf]) -> bool {
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    absolute.ancestors().any(|step| {
        let name = step.file_name().zip(step.parent().and_then(|above| above.canonicalize().ok()));
        let entry = name.map(|(name, above)| above.join(name));
        let target = step.canonicalize().ok().filter(|_| step == absolute);
        // The place itself cannot be exchanged from inside, only what is in it; a single file can be changed.
        let inside = |found: &PathBuf| {
            let is_in =
                |place: &PathBuf| found.starts_with(place) && (step == absolute || found != place);
            writable.iter().any(is_in)
        };
        entry.iter().chain(&target).any(inside)
    })
}

/// An absolute path without `.`, `..`, double or trailing slashes.
fn clean(path: &Path) -> Option<PathBuf> {
    let only_names = path
        .components()
        .all(|component| matches!(component, Component::RootDir | Component::Normal(_)));
    (path.is_absolute() && only_names).then(|| path.components().collect())
}

fn workdir(request: &Request, binds: &[Bind], home: &Path) -> Result<PathBuf, PlanError> {
    if let Some(path) = &request.workdir {
        return clean(path).ok_or_else(|| PlanError::WorkingDirectory { path: path.clone() });
    }
    let project = binds
        .iter()
        .find(|bind| bind.access == Access::ReadWrite && bind.source.is_dir())
        .or_else(|| binds.iter().find(|bind| bind.source.is_dir()));
    Ok(project.map_or_else(|| home.to_owned(), |bind| bind.destination.clone()))
}

fn network(request: &Request) -> Network {
    match request.mode() {
        NetworkMode::Block => Network::None,
        NetworkMode::Proxy => {
            // Names of binaries do not matter for the ports.
            let compiled = CompiledPolicy::compile(&request.policy, &|_| None);
            let mut ports: Vec<u16> = compiled.ports().to_vec();
            ports.extend(USUAL_PORTS);
            ports.push(PROXY_PORT);
            ports.sort_unstable();
            ports.dedup();
            Network::Captured { ports }
        }
    }
}

/// The files that are made for the sandbox. A home directory of the host gets its own when that is prepared.
fn files(request: &Request, home: &Path, env: &BTreeMap<String, String>) -> Vec<SyntheticFile> {
    let path = env.get("PATH").map(String::as_str).unwrap_or_default();
    let mut files = vec![SyntheticFile {
        path: LOGIN.into(),
        content: format!("{LOGIN_WORDS}PATH='{}'\n", path.replace('\'', "'\\''")).into_bytes(),
    }];
    if request.home.is_none() {
        let path = home.join(README);
        files.push(SyntheticFile { path, content: readme(request).into_bytes() });
    }
    files
}

/// What the agent is told about where it is.
pub(crate) fn readme(request: &Request) -> String {
    let rights = navigator_policy::explain(&request.policy);
    format!(
        "# This is a sandbox\n\n\
         You run in a Navigator sandbox named `{}`. A policy says what is allowed here:\n\n{rights}\n\
         ## How a refusal looks\n\n\
         - Files: `Permission denied` or `Read-only file system`.\n\
         - Network through the proxy: HTTP 403 with a JSON body that says what did not match.\n\
         - Network without the proxy: the connection is reset; unknown names do not resolve.\n\n\
         ## How to ask for more\n\n\
         You cannot change the policy from here. Tell the person who started you which host, port and\n\
         program you need and why; the refusal names all three.\n",
        request.name
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_outside_when_nothing_that_leads_to_it_can_be_exchanged() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        let project = base.join("project");
        fs::create_dir_all(project.join("below")).unwrap();
        fs::write(base.join("outside"), "").unwrap();
        fs::write(project.join("file"), "").unwrap();
        symlink(base.join("outside"), project.join("out")).unwrap();
        symlink(&base, project.join("up")).unwrap();
        symlink(project.join("file"), base.join("in")).unwrap();
        let inside = |path: &str| may_change(&base.join(path), std::slice::from_ref(&project));
        for path in [
            "project/file",
            "project/new",
            "project/new/new",
            "project/out",
            "project/up/outside",
            "in",
        ] {
            assert!(inside(path), "{path}");
        }
        for path in ["outside", "new", "project/../outside", "projects/file"] {
            assert!(!inside(path), "{path}");
        }
        assert!(may_change(&project.join("file"), &[project.join("file")]), "mounted by itself");
    }
}
