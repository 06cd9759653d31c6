//! A policy as it is meant: every value parsed, every default filled in.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde::Serialize;

use crate::host::Host;
use crate::host_pattern::HostPattern;
use crate::paths::SandboxPath;

/// What a sandbox may touch. The default has no rights at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Version of the language; 1.
    pub version: u32,
    /// Files; fixed when the sandbox starts.
    pub filesystem: Filesystem,
    /// What happens without Landlock; fixed when the sandbox starts.
    pub landlock: Landlock,
    /// Whom processes run as; fixed when the sandbox starts.
    pub process: Process,
    /// What may be reached, by key; may change while the sandbox runs.
    pub network: BTreeMap<String, NetworkPolicy>,
    /// Which models may answer; may change while the sandbox runs.
    pub inference: Option<Inference>,
}

/// Files that may be touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filesystem {
    /// Whether the working directory joins `read_write`.
    pub include_workdir: bool,
    /// Paths below which may be read and executed.
    pub read_only: Vec<SandboxPath>,
    /// Paths below which everything may be done.
    pub read_write: Vec<SandboxPath>,
}

impl Default for Filesystem {
    fn default() -> Self {
        Self { include_workdir: true, read_only: vec![], read_write: vec![] }
    }
}

/// What happens without Landlock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Landlock {
    /// Refuse to start, or go on and say so.
    pub compatibility: Compatibility,
}

/// Whether a kernel that cannot enforce stops the sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Compatibility {
    /// Refuse to start.
    #[default]
    HardRequirement,
    /// Go on and say so.
    BestEffort,
}

/// Whom processes run as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// User name, never root.
    pub run_as_user: String,
    /// Group name, never root.
    pub run_as_group: String,
}

impl Default for Process {
    fn default() -> Self {
        Self { run_as_user: "sandbox".into(), run_as_group: "sandbox".into() }
    }
}

/// Endpoints and the programs that may reach them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkPolicy {
    /// Name shown in logs.
    pub name: String,
    /// What may be reached.
    pub endpoints: Vec<Endpoint>,
    /// Who may reach it: paths or globs.
    pub binaries: Vec<String>,
}

/// One destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Which hosts; `None` stands for every name that resolves inside `allowed_ips`.
    pub host: Option<EndpointHost>,
    /// Ports, sorted and distinct, never empty.
    pub ports: Vec<u16>,
    /// How requests are parsed; `None` is an opaque tunnel.
    pub protocol: Option<Protocol>,
    /// What happens to TLS.
    pub tls: Option<TlsMode>,
    /// Whether violations are denied or only recorded.
    pub enforcement: Enforcement,
    /// Which requests; `None` for an opaque tunnel.
    pub requests: Option<Requests>,
    /// Networks that the resolved address must be in.
    pub allowed_ips: Vec<IpNet>,
}

/// Which hosts an endpoint means.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EndpointHost {
    /// This one.
    Exact(Host),
    /// Every name below a domain.
    Below(HostPattern),
}

/// How requests of an endpoint are parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP requests.
    Rest,
    /// WebSocket handshakes.
    Websocket,
    /// gRPC calls.
    Grpc,
    /// SQL statements, recorded only.
    Sql,
}

/// What happens to TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// It goes through untouched.
    Passthrough,
    /// It ends at the supervisor, which inspects requests.
    Terminate,
}

/// Whether violations of request rules are denied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Enforcement {
    /// They are denied.
    #[default]
    Enforce,
    /// They are recorded and pass.
    Audit,
}

/// Which requests an inspected endpoint takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requests {
    /// A preset.
    Access(AccessPreset),
    /// A list; a deny wins, and what nothing allows is denied.
    Rules(Vec<Rule>),
}

/// Methods that a preset allows, on every path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccessPreset {
    /// GET, HEAD, OPTIONS.
    ReadOnly,
    /// The same, POST, PUT and PATCH.
    ReadWrite,
    /// Every method.
    Full,
}

impl AccessPreset {
    /// The word for it in policies.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::ReadWrite => "read-write",
            Self::Full => "full",
        }
    }

    /// The methods that it allows; `*` is any.
    #[must_use]
    pub fn methods(self) -> &'static [&'static str] {
        match self {
            Self::ReadOnly => &["GET", "HEAD", "OPTIONS"],
            Self::ReadWrite => &["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH"],
            Self::Full => &["*"],
        }
    }

    /// The rules that mean the same.
    #[must_use]
    pub fn rules(self) -> Vec<Rule> {
        self.methods().iter().map(|method| Rule::allow(method, "/**")).collect()
    }
}

/// One rule over requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Whether a match allows or denies.
    pub effect: Effect,
    /// Method, upper case, or `*`.
    pub method: String,
    /// Glob over the path.
    pub path: String,
    /// Parameters of the query that must have a value matching a glob.
    pub query: BTreeMap<String, String>,
    /// SQL command, upper case.
    pub command: Option<String>,
}

impl Rule {
    /// Allows a method, upper case or `*`, on the paths that a pattern matches.
    pub(crate) fn allow(method: &str, path: &str) -> Self {
        Self {
            effect: Effect::Allow,
            method: method.to_owned(),
            path: path.to_owned(),
            query: BTreeMap::new(),
            command: None,
        }
    }
}

/// What a rule's match does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// The request may pass.
    Allow,
    /// The request is denied, whatever else allows it.
    Deny,
}

/// Which models may answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inference {
    /// Routing hints.
    pub allowed_routes: Vec<String>,
    /// Model APIs beyond the built-in ones.
    pub api_patterns: Vec<ApiPattern>,
}

/// A model API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ApiPattern {
    /// HTTP method.
    pub method: String,
    /// Glob over the path.
    pub path_glob: String,
    /// Protocol name.
    pub protocol: String,
    /// Kind of call.
    pub kind: String,
}

/// Whether a sandbox has IP sockets. Fixed at creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    /// No IP sockets at all.
    Block,
    /// Everything goes through the supervisor.
    Proxy,
}

impl Policy {
    /// What a sandbox gets when nobody says otherwise: its home and `/tmp` to write, the system to read, no
    /// network.
    #[must_use]
    pub fn restrictive_default() -> Self {
        const READ_ONLY: [&str; 13] = [
            "/usr",
            "/bin",
            "/sbin",
            "/lib",
            "/lib32",
            "/lib64",
            "/libx32",
            "/etc",
            "/opt",
            "/app",
            "/proc",
            "/dev/urandom",
            "/var/log",
        ];
        const READ_WRITE: [&str; 3] = ["/sandbox", "/tmp", "/dev/null"];
        let paths =
            |list: &[&str]| list.iter().filter_map(|path| SandboxPath::parse(path).ok()).collect();
        Self {
            version: 1,
            filesystem: Filesystem {
                include_workdir: true,
                read_only: paths(&READ_ONLY),
                read_write: paths(&READ_WRITE),
            },
            ..Self::default()
        }
    }

    /// The first part in which `other` differs and that is fixed when a sandbox starts.
    #[must_use]
    pub fn static_difference(&self, other: &Self) -> Option<&'static str> {
        let parts = [
            ("filesystem_policy", self.filesystem == other.filesystem),
            ("landlock", self.landlock == other.landlock),
            ("process", self.process == other.process),
        ];
        parts.into_iter().find(|(_, same)| !same).map(|(name, _)| name)
    }

    /// Whether this policy gives IP sockets.
    #[must_use]
    pub fn mode(&self) -> NetworkMode {
        let routes = self.inference.as_ref().is_some_and(|list| !list.allowed_routes.is_empty());
        if self.network.is_empty() && !routes { NetworkMode::Block } else { NetworkMode::Proxy }
    }
}
