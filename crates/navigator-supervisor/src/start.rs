//! Starts a sandbox: everything up to the point where its command may run.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use navigator_egress::learning::Learning;
use navigator_egress::{
    ConnectGate, EgressContext, EgressSettings, SandboxLabel, SystemResolver, TcpWay, Ways,
};
use navigator_isolation::limits::{self, Enforcement, LimitError};
use navigator_isolation::{
    Access, Connects, LaunchError, Opened, ProcessSpec, RootView, Sandbox, SandboxSpec, WayKind,
};
use navigator_policy::{CompiledPolicy, NetworkMode};
use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::audit::{Event, Start};
use crate::audit_log::{AuditError, AuditLog};
use crate::gate::Gate;
use crate::logs::Lines;
use crate::plan::{self, Plan, PlanError};
use crate::request::{Judging, Request};
use crate::revisions::Revisions;
use crate::terminal;
use crate::trust::{Trust, TrustError};
use crate::unwritable;

/// How long the runtime keeps an idle thread: longer than any sandbox lives.
const HELPER_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// A sandbox that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    /// The request asks for something that cannot be.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A limit cannot be enforced here.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// Certificate authorities.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The audit file cannot be written.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The sandbox itself.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The supervisor's own runtime.
    #[error("failed to start the supervisor's event loop")]
    Runtime(#[source] std::io::Error),
    /// A descriptor from the sandbox is missing.
    #[error("failed to take over the sandbox's sockets: {missing} is missing")]
    Sockets {
        /// What is missing.
        missing: &'static str,
    },
}

/// A sandbox that is built and served, whose command has not started yet.
pub struct Started {
    pub(crate) sandbox: Sandbox,
    pub(crate) limits: Enforcement,
    pub(crate) audit: Arc<AuditLog>,
    pub(crate) egress: Option<(Ways, Arc<EgressContext>)>,
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) process: ProcessSpec,
    pub(crate) timeout: Option<Duration>,
    pub(crate) id: String,
    revisions: Option<Revisions>,
    pub(crate) learning: Option<Arc<Learning>>,
    pub(crate) name: String,
}

/// Builds the sandbox. Call it while the process has one thread; it ends with that thread.
pub fn start(request: &Request) -> Result<Started, StartupError> {
    start_telling(request, None)
}

/// The same, and every decision becomes a line of the log as well.
pub(crate) fn start_telling(
    request: &Request,
    lines: Option<Arc<Lines>>,
) -> Result<Started, StartupError> {
    let Plan { mut spec, mut process } = plan::plan(request)?;
    let trust = match request.mode() {
        NetworkMode::Block => None,
        NetworkMode::Proxy => Some(Trust::new(&request.name, &request.upstream_ca)?),
    };
    spec.files.extend(trust.iter().flat_map(Trust::files));
    let (stdio, size) = terminal::wiring(request.terminal);
    (process.stdio, process.terminal) = (stdio, size);
    let audit = Arc::new(AuditLog::open(&request.audit_file)?.telling(lines));
    let planned = spec.clone();
    let limits = limits::prepare(&request.limits, &request.name)?;
    let starting = navigator_isolation::launch(spec, None)?;
    limits.attach(starting.pid())?;
    starting.proceed()?;
    // Init builds the sandbox while this process gets its own parts ready.
    raise_open_files();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_keep_alive(HELPER_LIFE)
        .build()
        .map_err(StartupError::Runtime)?;
    // Made before any program can use up the user's processes: the runtime panics when it has none and gets none.
    let _unneeded = runtime.spawn_blocking(|| ());
    let id = request.id.clone();
    let mut sandbox = starting.ready()?;
    let opened = sandbox.take_opened().ok_or(StartupError::Sockets { missing: "everything" })?;
    let root = opened.root_dir.try_clone().map_err(StartupError::Runtime)?;
    let read_only = unwritable(&planned, &root);
    let captured = opened.sockets.iter().filter_map(|(kind, _)| match kind {
        WayKind::Tcp(port) => Some(*port),
        WayKind::DnsUdp | WayKind::DnsTcp | WayKind::SockDiag | WayKind::Connects => None,
    });
    let captured = captured.collect();
    let learning = match request.judging {
        Judging::Enforce => None,
        Judging::Learn => Some(Arc::new(Learning::default())),
    };
    let egress = match trust {
        None => None,
        Some(trust) => {
            let label = SandboxLabel { id: id.clone(), name: request.name.clone() };
            let audit = Arc::clone(&audit);
            Some(egress(request, opened, |policy| EgressSettings {
                policy,
                audit,
                resolver: Arc::new(SystemResolver::default()),
                sandbox: label,
                read_only,
                authority: trust.authority,
                upstream_tls: trust.upstream,
                learning: learning.clone(),
            })?)
        }
    };
    audit.begin(&Event::Start(Start {
        time: jiff::Timestamp::now(),
        sandbox_id: id.clone(),
        sandbox_name: request.name.clone(),
        policy_hash: request.policy.hash().to_string(),
        command: request.command.first().cloned().unwrap_or_default(),
        layers: sandbox.layers().to_vec(),
        limits: limits.describe(),
        skipped: sandbox.skipped().to_vec(),
    }))?;
    let (timeout, name) = (request.timeout, request.name.clone());
    let live = egress.as_ref().map(|(_, context)| (Arc::clone(context), root));
    let label = SandboxLabel { id: id.clone(), name: name.clone() };
    let (log, policy) = (Arc::clone(&audit), request.policy.clone());
    let revisions = Some(Revisions::new(label, log, policy, captured, live));
    Ok(Started {
        sandbox,
        limits,
        audit,
        egress,
        runtime,
        process,
        timeout,
        id,
        name,
        revisions,
        learning,
    })
}

/// The granted paths below which nothing in the sandbox can be changed, under any name. `/proc` and `/dev` lead
/// elsewhere by links.
fn unwritable(spec: &SandboxSpec, inside: &std::os::fd::OwnedFd) -> Vec<String> {
    let root = match &spec.root {
        RootView::Host => Path::new("/"),
        RootView::Directory(root) => root,
        // Where their links lead is known inside only.
        RootView::Layers(layers) => return unwritable::of_layers(spec, layers, inside),
    };
    let writable = Writable {
        inside: spec
            .read_write
            .iter()
            .chain(spec.binds.iter().map(|bind| &bind.destination))
            .collect(),
        outside: spec
            .binds
            .iter()
            .filter(|bind| bind.access == Access::ReadWrite)
            .map(|bind| &bind.source)
            .chain(&spec.home)
            .collect(),
    };
    let fixed = |path: &&PathBuf| {
        let leads_elsewhere =
            ["/", "/proc", "/dev", "/sys"].iter().any(|other| path.as_path() == Path::new(other));
        !leads_elsewhere && !path.starts_with(&spec.user.home)
    };
    let mut parts = vec![];
    for path in spec.read_only.iter().filter(fixed) {
        let below = path.strip_prefix("/").unwrap_or(path);
        let real = root.join(below).canonicalize().unwrap_or_else(|_| path.clone());
        writable.keep_fixed(path, &real, &mut parts);
    }
    parts
}

/// What the sandbox may write, by its paths inside and by those outside that are mounted.
struct Writable<'a> {
    inside: Vec<&'a PathBuf>,
    outside: Vec<&'a PathBuf>,
}

impl Writable<'_> {
    /// Adds a path, or the parts of it beside those that can be written.
    fn keep_fixed(&self, path: &Path, real: &Path, parts: &mut Vec<String>) {
        let is_in =
            |path: &Path, places: &[&PathBuf]| places.iter().any(|place| path.starts_with(place));
        let holds =
            |path: &Path, places: &[&PathBuf]| places.iter().any(|place| place.starts_with(path));
        if is_in(path, &self.inside) || is_in(real, &self.outside) {
            return;
        }
        if !holds(path, &self.inside) && !holds(real, &self.outside) {
            return parts.push(path.display().to_string());
        }
        // What cannot be listed is not trusted, and neither is what a link leads to.
        for entry in std::fs::read_dir(real).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| !kind.is_symlink()) {
                self.keep_fixed(&path.join(entry.file_name()), &entry.path(), parts);
            }
        }
    }
}

/// Each connection through the egress takes two descriptors. Staying at the old limit is no fault: the egress
/// bounds its connections too.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!(%error, "failed to raise the limit of open files");
    }
}

impl Started {
    /// What puts newer revisions of the policy into force; once.
    pub fn take_revisions(&mut self) -> Option<Revisions> {
        self.revisions.take()
    }

    /// How well each layer of isolation is in force.
    #[must_use]
    pub fn layers(&self) -> &[navigator_isolation::LayerStatus] {
        self.sandbox.layers()
    }

    /// Paths of the policy that the root filesystem does not have.
    #[must_use]
    pub fn skipped(&self) -> &[navigator_isolation::SkippedPath] {
        self.sandbox.skipped()
    }
}

fn egress(
    request: &Request,
    opened: Opened,
    settings: impl FnOnce(CompiledPolicy) -> EgressSettings,
) -> Result<(Ways, Arc<EgressContext>), StartupError> {
    let resolve = |path: &str| real_path(&opened.root_dir, path);
    let policy = CompiledPolicy::compile(&request.policy, &resolve);
    let context = EgressContext::new(settings(policy));
    Ok((ways(opened)?, Arc::new(context)))
}

/// The path without links inside the sandbox, when it differs from the one given.
pub(crate) fn real_path(root: &std::os::fd::OwnedFd, path: &str) -> Option<String> {
    resolved(root, path).filter(|real| real != path)
}

/// The path without links inside the sandbox, when it is there.
pub(crate) fn resolved(root: &std::os::fd::OwnedFd, path: &str) -> Option<String> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let fd = rustix::fs::openat2(root, path, flags, Mode::empty(), resolve).ok()?;
    let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd));
    std::fs::read_link(link).ok()?.into_os_string().into_string().ok()
}

fn ways(opened: Opened) -> Result<Ways, StartupError> {
    let Opened { sockets, proc_dir, root_dir } = opened;
    let (mut tcp, mut dns_udp, mut dns_tcp) = (vec![], vec![], vec![]);
    let (mut sock_diag, mut connects) = (None, None);
    for (kind, socket) in sockets {
        match kind {
            WayKind::Tcp(port) => tcp.push(TcpWay { listener: socket, port }),
            WayKind::DnsUdp => dns_udp.push(socket),
            WayKind::DnsTcp => dns_tcp.push(socket),
            WayKind::SockDiag => sock_diag = Some(socket),
            WayKind::Connects => connects = Some(Arc::new(Gate(Connects::new(socket)))),
        }
    }
    let sock_diag = sock_diag.ok_or(StartupError::Sockets { missing: "the socket look-up" })?;
    let connects: Arc<dyn ConnectGate> =
        connects.ok_or(StartupError::Sockets { missing: "the look at connecting programs" })?;
    let connects = Some(connects);
    Ok(Ways { tcp, dns_udp, dns_tcp, sock_diag, proc_dir, root_dir, connects })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mounted_for_writing_under_another_name_is_not_unwritable() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for below in ["opt/app/lib", "opt/other", "usr/bin", "usr/local/inside"] {
            std::fs::create_dir_all(root.join(below)).unwrap();
        }
        std::os::unix::fs::symlink("app", root.join("opt/link")).unwrap();
        let parts = |inside: &[&str], outside: &[&str]| {
            let inside: Vec<PathBuf> = inside.iter().map(PathBuf::from).collect();
            let outside: Vec<PathBuf> = outside.iter().map(|path| root.join(path)).collect();
            let writable =
                Writable { inside: inside.iter().collect(), outside: outside.iter().collect() };
            let mut parts = vec![];
            for path in ["/opt", "/usr"] {
                writable.keep_fixed(Path::new(path), &root.join(&path[1..]), &mut parts);
            }
            parts.sort();
            parts
        };
        assert_eq!(parts(&["/sandbox"], &["srv"]), ["/opt", "/usr"]);
        assert_eq!(parts(&["/sandbox/app"], &["opt/app"]), ["/opt/other", "/usr"]);
        assert_eq!(parts(&["/sandbox/lib"], &["opt/app/lib"]), ["/opt/other", "/usr"]);
        assert_eq!(parts(&["/usr/local/inside"], &["srv"]), ["/opt", "/usr/bin"]);
        assert_eq!(parts(&["/sandbox/all"], &[""]), Vec::<String>::new());
    }
}
