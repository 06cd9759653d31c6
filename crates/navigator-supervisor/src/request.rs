//! What a person asks for when they run a command in a sandbox.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use navigator_isolation::limits::Limits;
use navigator_isolation::{Bind, RootView};
use navigator_policy::{NetworkMode, Policy};

/// One run of one command.
#[derive(Clone, Debug)]
pub struct Request {
    /// Identifier of the sandbox.
    pub id: String,
    /// Name of the sandbox, also its host name.
    pub name: String,
    /// What it may do.
    pub policy: Policy,
    /// Where its root filesystem comes from.
    pub root: RootView,
    /// Parts of the host to mount.
    pub binds: Vec<Bind>,
    /// Directory of the host that is the home directory; without one it ends with the sandbox.
    pub home: Option<PathBuf>,
    /// Working directory; by default the first mounted directory, else the home directory.
    pub workdir: Option<PathBuf>,
    /// What the root filesystem's own definition sets, such as `PATH`.
    pub root_env: BTreeMap<String, String>,
    /// Environment that the user asked for.
    pub env: BTreeMap<String, String>,
    /// `PATH` of the caller, used when the root filesystem is the host's.
    pub path: Option<String>,
    /// Kind of the caller's terminal (`TERM`).
    pub term: Option<String>,
    /// How long the command may run.
    pub timeout: Option<Duration>,
    /// Memory, processors and number of processes.
    pub limits: Limits,
    /// Bytes that may be written in the sandbox.
    pub disk_bytes: Option<u64>,
    /// PEM files of certificate authorities to trust besides the system's, for inspected connections.
    pub upstream_ca: Vec<PathBuf>,
    /// Whether what no policy names is refused, or let through and noted.
    pub judging: Judging,
    /// Where decisions are recorded.
    pub audit_file: PathBuf,
    /// Files of this machine that are read or written after the command was started, so that the sandbox must not be
    /// able to change or exchange them.
    pub outside: Vec<PathBuf>,
    /// Whether the command gets a terminal.
    pub terminal: TerminalChoice,
    /// Program and arguments.
    pub command: Vec<String>,
}

/// What becomes of network access that no policy names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judging {
    /// It is refused.
    Enforce,
    /// It is let through and noted, unless it must never be reached.
    Learn,
}

impl Request {
    /// Whether the sandbox has IP sockets.
    pub(crate) fn mode(&self) -> NetworkMode {
        match self.judging {
            Judging::Enforce => self.policy.mode(),
            Judging::Learn => NetworkMode::Proxy,
        }
    }
}

/// Whether a command gets a terminal of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TerminalChoice {
    /// When both standard input and output are terminals.
    Auto,
    /// In any case.
    Always,
    /// Never.
    Never,
}
