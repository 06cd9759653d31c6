//! Follows the policy file of a running sandbox, and says what became of each change.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use navigator_supervisor::Revisions;

use crate::output::{neutral, say};
use crate::policy::{PolicyError, checked};

/// How often the file is looked at. Events of the kernel would miss links that are turned and network filesystems.
const PERIOD: Duration = Duration::from_millis(100);

/// What tells one state of a file from another without reading it.
type Fingerprint = (u64, u64, u64, i64, i64);

fn fingerprint(path: &Path) -> Option<Fingerprint> {
    let of = |file: Metadata| (file.dev(), file.ino(), file.len(), file.mtime(), file.mtime_nsec());
    std::fs::metadata(path).ok().map(of)
}

/// Starts a thread that follows the file for as long as this process lives. `path` was in force when the sandbox
/// started; `state` is the file's state before it was read.
pub(super) fn start(path: PathBuf, state: State, revisions: Revisions) -> std::io::Result<()> {
    let follow = move || follow(&path, state, &revisions);
    std::thread::Builder::new().name("policy".into()).spawn(follow).map(drop)
}

/// A file's state at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State(Option<Fingerprint>);

impl State {
    /// The state now.
    pub(super) fn of(path: &Path) -> Self {
        Self(fingerprint(path))
    }
}

fn follow(path: &Path, mut known: State, revisions: &Revisions) {
    loop {
        std::thread::sleep(PERIOD);
        let now = State::of(path);
        if now == known {
            continue;
        }
        // An editor may still be writing: only a file at rest is read.
        std::thread::sleep(PERIOD);
        if State::of(path) != now {
            continue;
        }
        known = now;
        reload(path, revisions);
    }
}

fn reload(path: &Path, revisions: &Revisions) {
    let name = neutral(&path.display().to_string());
    let failed = |reason: &str| {
        let reason = neutral(reason.trim_end());
        say(&format!(
            "navigator: {name} changed and the policy before it stays in force: {reason}"
        ));
    };
    let policy = match checked(path) {
        Ok(checked) => checked.policy,
        Err(error) => {
            revisions.note_unusable(&error.to_string());
            return failed(&match &error {
                PolicyError::Invalid { rendered, .. } => format!("{error}\n{rendered}"),
                other => match std::error::Error::source(other) {
                    Some(cause) => format!("{other}: {cause}"),
                    None => other.to_string(),
                },
            });
        }
    };
    match revisions.put_into_force(&policy) {
        Ok(in_force) => {
            say(&format!("navigator: {name} changed and is in force ({})", in_force.hash));
            if !in_force.only_by_proxy.is_empty() {
                let ports = in_force.only_by_proxy.iter().map(u16::to_string);
                let ports = ports.collect::<Vec<_>>().join(", ");
                say(&format!(
                    "navigator: port {ports} is reached through the proxy only until the sandbox is started again"
                ));
            }
        }
        Err(error) => failed(&error.to_string()),
    }
}
