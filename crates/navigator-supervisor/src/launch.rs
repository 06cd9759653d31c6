//! What a supervisor is told when it is started, judged and turned into what the other parts act on.

mod home;
mod images;
mod secret;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use navigator_isolation::limits::{Cpus, CpusError, Limits};
use navigator_isolation::{Access, Bind, RootView};
use navigator_policy::Policy;
use navigator_proto::datamodel::v1::{Mount, SandboxSpec};
use navigator_proto::resources::{self, Bounds, QuantityError};
use navigator_proto::session::v1::Launch;
use prost::Message;
use tracing::Level;
use zeroize::Zeroizing;

use crate::discovery::{DiscoveryError, discover};
use crate::request::{Judging, Request, TerminalChoice};
use crate::serve::Environment;
pub(crate) use home::{HomeError, write_readme};
pub(crate) use images::ImageError;
pub(crate) use secret::Sealed;

/// Largest message: a policy of 1 MiB, environments, mounts.
const LAUNCH_BYTES: usize = 8 * 1024 * 1024;

/// A supervisor that was told nothing it can use.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// Standard input cannot be read.
    #[error("failed to read what to start from standard input")]
    Read(#[source] std::io::Error),
    /// It is longer than anything that is meant.
    #[error("failed to read what to start: it is longer than {LAUNCH_BYTES} bytes")]
    TooLong,
    /// It is no such message.
    #[error("failed to read what to start: it is no launch message")]
    Decode(#[source] prost::DecodeError),
    /// Something that must be there is missing.
    #[error("failed to read what to start: `{0}` is missing")]
    Missing(&'static str),
    /// A path that is not absolute.
    #[error("failed to start: `{field}` must be an absolute path, not {path:?}")]
    Relative {
        /// The field of the message.
        field: &'static str,
        /// What it says.
        path: String,
    },
    /// A directory that leads elsewhere than it did when somebody allowed it.
    #[error("failed to mount {path}: it is, or leads through, a link that was not there before")]
    Moved {
        /// Path on the host.
        path: PathBuf,
    },
    /// An environment that no program can have.
    #[error(
        "failed to start: {0:?} is no name of an environment variable, or its value holds a NUL"
    )]
    Environment(String),
    /// A level of logs that does not exist.
    #[error("failed to start: {0:?} is no log level; use error, warn, info, debug or trace")]
    LogLevel(String),
    /// A limit that means nothing.
    #[error(transparent)]
    Limit(#[from] QuantityError),
    /// A number of processors that nobody has.
    #[error(transparent)]
    Cpus(#[from] CpusError),
    /// The policy of the message.
    #[error("failed to use the sandbox's policy")]
    Policy(#[from] navigator_proto::policy::InvalidPolicy),
    /// The policy of the root filesystem.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// The directories of the sandbox.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The credential cannot be kept away from the sandbox.
    #[error("failed to put the sandbox's credential aside")]
    Secret(#[source] std::io::Error),
}

impl OrderError {
    /// One word for the gateway.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Policy(_) | Self::Discovery(_) => "InvalidPolicy",
            Self::Limit(_) | Self::Cpus(_) => "InvalidLimit",
            Self::Home(_) | Self::Secret(_) => "Launch",
            Self::Image(_) => "Image",
            Self::Read(_)
            | Self::TooLong
            | Self::Decode(_)
            | Self::Missing(_)
            | Self::Relative { .. }
            | Self::Moved { .. }
            | Self::Environment(_)
            | Self::LogLevel(_) => "InvalidLaunch",
        }
    }
}

/// How to reach the gateway. The credential is in no memory that init copies.
pub(crate) struct Contact {
    pub(crate) socket: PathBuf,
    pub(crate) token: Sealed,
}

/// A sandbox to start and serve.
pub(crate) struct Order {
    pub(crate) request: Request,
    pub(crate) environment: Environment,
    /// File of its SSH server's key.
    pub(crate) host_key: PathBuf,
    pub(crate) level: Level,
    /// The revision that the policy is; 0 for one that was discovered.
    pub(crate) policy_version: u32,
    /// Where recordings of terminal sessions are kept, beside what the sandbox sees.
    pub(crate) recordings: PathBuf,
}

/// Reads the message.
pub(crate) fn read(input: impl Read) -> Result<(Contact, Launch), OrderError> {
    // Room for all of it at once: growing would leave copies of the credential behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LAUNCH_BYTES + 1));
    input.take(LAUNCH_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(OrderError::Read)?;
    if bytes.len() > LAUNCH_BYTES {
        return Err(OrderError::TooLong);
    }
    let mut launch = Launch::decode(bytes.as_slice()).map_err(OrderError::Decode)?;
    // Whoever was writing it may have died; the parts that arrived would be another sandbox than the one meant.
    if !launch.complete {
        return Err(OrderError::Missing("complete"));
    }
    let token = Zeroizing::new(std::mem::take(&mut launch.token));
    let socket = absolute("gateway_socket", &launch.gateway_socket)?;
    if token.is_empty() {
        return Err(OrderError::Missing("token"));
    }
    let token = Sealed::new(token.as_bytes()).map_err(OrderError::Secret)?;
    Ok((Contact { socket, token }, launch))
}

/// Judges the message and makes what the sandbox needs on disk.
pub(crate) fn judge(launch: Launch) -> Result<Order, OrderError> {
    let directory = absolute("directory", &launch.directory)?;
    let spec = launch.spec.ok_or(OrderError::Missing("spec"))?;
    let template = spec.template.clone().unwrap_or_default();
    for environment in [&template.environment, &spec.environment, &launch.provider_environment] {
        check_environment(environment)?;
    }
    let (root, root_env) = match template.image.as_str() {
        "" => (RootView::Host, BTreeMap::new()),
        image if image.starts_with('/') => {
            (RootView::Directory(unmoved(PathBuf::from(image))?), BTreeMap::new())
        }
        image => {
            let store = absolute("image_store", &launch.image_store)?;
            let (layers, env) = images::layers(&store, image, &directory)?;
            (RootView::Layers(layers), env)
        }
    };
    let level = level(&spec.log_level)?;
    let bounds = resources::read(template.resources.as_ref())?;
    let policy = match &spec.policy {
        Some(policy) => Policy::try_from(policy)?,
        None => discover(&root)?,
    };
    let mounts = mounts(&spec)?;
    // The home directory of an image is part of the image.
    let home = match &root {
        RootView::Host | RootView::Directory(_) => {
            Some(home::prepare(&directory, &policy, &mounts)?)
        }
        RootView::Layers(_) => None,
    };
    let mut env = template.environment;
    // Login shells are told where programs are when the sandbox starts.
    env.extend(
        spec.environment.get_key_value("PATH").map(|(name, path)| (name.clone(), path.clone())),
    );
    let request = Request {
        id: launch.sandbox_id,
        name: launch.sandbox_name,
        policy,
        root,
        workdir: Some(workdir(&mounts)),
        binds: mounts,
        home,
        root_env,
        env,
        path: std::env::var("PATH").ok(),
        term: None,
        timeout: None,
        limits: limits(bounds)?,
        disk_bytes: bounds.disk_bytes,
        upstream_ca: vec![],
        judging: Judging::Enforce,
        outside: vec![],
        audit_file: directory.join("audit.jsonl"),
        terminal: TerminalChoice::Never,
        command: vec![],
    };
    let environment = Environment { provider: launch.provider_environment, spec: spec.environment };
    let host_key = directory.join("ssh_host_key");
    Ok(Order {
        request,
        environment,
        level,
        policy_version: launch.policy_version,
        host_key,
        recordings: directory.join("recordings"),
    })
}

fn limits(bounds: Bounds) -> Result<Limits, OrderError> {
    let cpus = bounds.cpus.map(Cpus::new).transpose()?;
    Ok(Limits { memory_bytes: bounds.memory_bytes, cpus, processes: bounds.processes })
}

fn absolute(field: &'static str, path: &str) -> Result<PathBuf, OrderError> {
    if path.is_empty() {
        return Err(OrderError::Missing(field));
    }
    if !path.starts_with('/') {
        return Err(OrderError::Relative { field, path: path.to_owned() });
    }
    Ok(PathBuf::from(path))
}

/// Refuses what `execve` cannot pass on.
pub(crate) fn check_environment(environment: &BTreeMap<String, String>) -> Result<(), OrderError> {
    let bad = |(name, value): &(&String, &String)| !is_name(name) || value.contains('\0');
    match environment.iter().find(bad) {
        Some((name, _)) => Err(OrderError::Environment(name.clone())),
        None => Ok(()),
    }
}

/// `[A-Za-z_][A-Za-z0-9_]*`
fn is_name(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    first && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn level(name: &str) -> Result<Level, OrderError> {
    match name {
        "" => Ok(Level::INFO),
        name => name.parse().map_err(|_| OrderError::LogLevel(name.to_owned())),
    }
}

fn mounts(spec: &SandboxSpec) -> Result<Vec<Bind>, OrderError> {
    let bind = |mount: &Mount| {
        Ok(Bind {
            source: unmoved(absolute("spec.mounts.source", &mount.source)?)?,
            destination: absolute("spec.mounts.destination", &mount.destination)?,
            access: if mount.read_only { Access::ReadOnly } else { Access::ReadWrite },
        })
    };
    spec.mounts.iter().map(bind).collect()
}

/// A path as the gateway resolved it when the sandbox was made. What the sandbox may write may hold links of its own by
/// now. One that does not exist is told of later.
fn unmoved(path: PathBuf) -> Result<PathBuf, OrderError> {
    match path.canonicalize() {
        Ok(real) if real != path => Err(OrderError::Moved { path }),
        Ok(_) | Err(_) => Ok(path),
    }
}

/// Where processes start: in the first directory that was mounted, else at home.
fn workdir(mounts: &[Bind]) -> PathBuf {
    let project = mounts.iter().find(|bind| bind.source.is_dir());
    project.map_or_else(|| Path::new(home::HOME).to_owned(), |bind| bind.destination.clone())
}

#[cfg(test)]
mod tests;
