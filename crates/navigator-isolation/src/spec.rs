//! What a sandbox and a process in it are made of: plain values, already decided by somebody else.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Everything that is fixed when a sandbox starts.
#[derive(Clone, Debug)]
pub struct SandboxSpec {
    /// Host name inside the sandbox; at most 64 bytes.
    pub name: String,
    /// Where the root filesystem's content comes from.
    pub root: RootView,
    /// Paths that may be read and executed.
    pub read_only: Vec<PathBuf>,
    /// Paths that may be changed; missing ones are made, private to the sandbox.
    pub read_write: Vec<PathBuf>,
    /// Directories or files of the host that the user asked to have inside.
    pub binds: Vec<Bind>,
    /// Directory of the host that is the home directory; without one it is in memory and ends with the sandbox. What
    /// may be done there is what the listed paths say.
    pub home: Option<PathBuf>,
    /// The user that processes run as.
    pub user: User,
    /// Whether IP sockets exist and where they lead.
    pub network: Network,
    /// What the supervisor is told of while processes wait; with a captured network only.
    pub observe: Observe,
    /// What happens when this kernel cannot enforce Landlock rules.
    pub landlock: Requirement,
    /// Files made for this sandbox, readable and not writable.
    pub files: Vec<SyntheticFile>,
    /// Bound on everything written to `/sandbox`, `/tmp`, `/dev/shm` together, in bytes.
    pub disk_bytes: Option<u64>,
    /// Bound on the number of processes (`RLIMIT_NPROC` in the sandbox's user namespace).
    pub processes: u64,
    /// What [`Program::Builtin`] runs.
    pub builtin: Option<Builtin>,
}

/// A program that is part of this one: it works on the standard descriptors, in a copy of this process as it was when
/// the sandbox was started. It gets what [`Program::Builtin`] holds, and returns its exit code.
pub type Builtin = fn(&[u8]) -> u8;

impl SandboxSpec {
    /// The layers of the root filesystem, if it is made of some.
    pub(crate) fn layers(&self) -> Option<&Layers> {
        match &self.root {
            RootView::Layers(layers) => Some(layers),
            RootView::Host | RootView::Directory(_) => None,
        }
    }

    /// Everything of the host that is mounted: the home directory, then the binds.
    pub(crate) fn mounts(&self) -> Vec<Bind> {
        let home = self.home.iter().map(|source| Bind {
            source: source.clone(),
            destination: self.user.home.clone(),
            access: Access::ReadWrite,
        });
        home.chain(self.binds.iter().cloned()).collect()
    }
}

/// Where the content of the root filesystem comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootView {
    /// The host's system directories, read-only.
    Host,
    /// A directory that holds a root filesystem.
    Directory(PathBuf),
    /// Layers of an image, one over the other, and the sandbox's own changes over them all.
    Layers(Layers),
}

/// A root filesystem of layers that overlayfs puts together. The home directory is part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layers {
    /// Unpacked layers, the uppermost first; nobody changes them. Their whiteouts and opaque directories are those that
    /// overlayfs makes with its option `userxattr`.
    pub lower: Vec<PathBuf>,
    /// Directory for this sandbox's changes: overlayfs keeps them in `upper` below it, and needs `work` beside that.
    /// Without one they are in memory and end with the sandbox.
    pub changes: Option<PathBuf>,
}

impl Layers {
    /// Everything of the host that is needed, changes last.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &PathBuf> {
        self.lower.iter().chain(&self.changes)
    }
}

/// A part of the host that is mounted into the sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// Path on the host.
    pub source: PathBuf,
    /// Absolute path in the sandbox.
    pub destination: PathBuf,
    /// What the sandbox may do with it.
    pub access: Access,
}

/// What may be done below a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// Read and execute.
    ReadOnly,
    /// Everything.
    ReadWrite,
}

/// The user that processes in the sandbox run as. Never root: see [`crate::LaunchError::RootUser`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// User id inside the sandbox.
    pub uid: u32,
    /// Primary group's name.
    pub group: String,
    /// Primary group id inside the sandbox.
    pub gid: u32,
    /// Home directory.
    pub home: PathBuf,
    /// Login shell.
    pub shell: PathBuf,
}

/// Whether IP sockets exist in the sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// No IP sockets at all.
    None,
    /// Every address is local; connections to these TCP ports, and DNS, end at the supervisor.
    Captured {
        /// TCP ports to listen on, without duplicates.
        ports: Vec<u16>,
    },
}

impl Network {
    /// A port on which nothing listens in the sandbox; none where there are no IP sockets. From the discard port
    /// (RFC 863) upwards, because policies rarely name those.
    pub(crate) fn port_without_listener(&self) -> Option<u16> {
        match self {
            Self::None => None,
            Self::Captured { ports } => {
                (9..=u16::MAX).find(|port| *port != crate::network::DNS && !ports.contains(port))
            }
        }
    }
}

/// What the supervisor is told of besides connections and programs that are started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observe {
    /// Nothing.
    Nothing,
    /// Every file that is opened or asked about. Each such call waits for the supervisor.
    Files,
}

/// Whether a restriction that this kernel lacks stops the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// Refuse to start.
    Hard,
    /// Go on without the single right or rule, and report it.
    BestEffort,
}

/// A file that exists only in the sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntheticFile {
    /// Absolute path in the sandbox, below `/etc` or the home directory.
    pub path: PathBuf,
    /// Content.
    pub content: Vec<u8>,
}

/// One process to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessSpec {
    /// What it runs.
    pub program: Program,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// Working directory.
    pub cwd: PathBuf,
    /// Standard input, output and error.
    pub stdio: [Stdio; 3],
    /// The terminal to make, when any of `stdio` is one.
    pub terminal: Option<Terminal>,
}

/// What a process runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Program {
    /// A program and its arguments; it is looked up in `PATH` of the environment unless it has a slash.
    File(Vec<String>),
    /// The sandbox's [`Builtin`], which needs no file inside, with this input.
    Builtin(Vec<u8>),
}

/// What one of a process's standard descriptors is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stdio {
    /// The supervisor's own descriptor of the same number.
    Inherit,
    /// The process's new terminal.
    Terminal,
    /// `/dev/null`.
    Null,
    /// The next of the descriptors that come with the request.
    Given,
}

/// A terminal for a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terminal {
    /// Its size.
    pub size: TerminalSize,
    /// Whose session it controls.
    pub leader: Leader,
}

/// Who leads the session that a terminal controls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Leader {
    /// Init, so that the supervisor is told when the process is stopped from its terminal (Ctrl-Z) and can go on with
    /// it; for one process of a sandbox.
    Init,
    /// The process itself, for any number of them.
    Process,
}

/// Size of a terminal in character cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Number of rows.
    pub rows: u16,
    /// Number of columns.
    pub columns: u16,
}

/// The kind of an IP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// How well one layer of isolation is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerStatus {
    /// Name of the layer, such as `landlock`.
    pub layer: String,
    /// `None` when it is fully enforced, otherwise what is missing and why.
    pub degraded: Option<String>,
    /// What was achieved, in a few words.
    pub detail: String,
}

/// A path of the policy that this root filesystem does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedPath {
    /// The path as the policy lists it.
    pub path: PathBuf,
    /// Why it is not there.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_the_self_test_is_none_that_is_listened_on() {
        let port =
            |ports: &[u16]| Network::Captured { ports: ports.to_vec() }.port_without_listener();
        assert_eq!(port(&[80]), Some(9));
        assert_eq!(port(&[9, 10, 443]), Some(11));
        assert_eq!(Network::None.port_without_listener(), None);
    }
}
