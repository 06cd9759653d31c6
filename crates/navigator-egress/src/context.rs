//! What the adapters of one sandbox share: the policy in force, and where decisions go.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use navigator_policy::{CompiledPolicy, Host};

use crate::audit::AuditSink;
use crate::authorise;
use crate::dns::SyntheticNames;
use crate::identity::Pins;
use crate::learning::Learning;
use crate::registry::Registry;
use crate::relay::Upstreams;
use crate::resolve::Resolve;
use crate::tls::{Authority, UpstreamTls};
use navigator_tunnel::PipePool;

/// How audit records name the sandbox.
#[derive(Debug, Clone)]
pub struct SandboxLabel {
    /// Its identifier.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// What an [`EgressContext`] is made of.
pub struct EgressSettings {
    /// The policy in force at the start.
    pub policy: CompiledPolicy,
    /// Where audit records go.
    pub audit: Arc<dyn AuditSink>,
    /// Who resolves allowed names; [`SystemResolver`](crate::SystemResolver) in production.
    pub resolver: Arc<dyn Resolve>,
    /// How records name the sandbox.
    pub sandbox: SandboxLabel,
    /// Path prefixes that no program of the sandbox can write, such as `/usr` and `/lib`: a
    /// library preloaded from anywhere else makes a program untrusted.
    pub read_only: Vec<String>,
    /// Makes the certificates of inspected connections.
    pub authority: Authority,
    /// Verifies the servers of inspected connections.
    pub upstream_tls: UpstreamTls,
    /// Lets pass and notes what no policy names, instead of refusing it.
    pub learning: Option<Arc<Learning>>,
}

/// The shared state of one sandbox's egress.
pub struct EgressContext {
    policy: ArcSwap<CompiledPolicy>,
    pub(crate) audit: Arc<dyn AuditSink>,
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) sandbox: SandboxLabel,
    pub(crate) read_only: Vec<String>,
    pub(crate) pins: Arc<Pins>,
    pub(crate) tunnels: Arc<Registry>,
    pub(crate) pipes: PipePool,
    pub(crate) authority: Authority,
    pub(crate) upstream_tls: UpstreamTls,
    pub(crate) upstreams: Upstreams,
    pub(crate) learning: Option<Arc<Learning>>,
    names: Mutex<SyntheticNames>,
}

impl fmt::Debug for EgressContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EgressContext")
            .field("sandbox", &self.sandbox)
            .field("read_only", &self.read_only)
            .finish_non_exhaustive()
    }
}

impl EgressContext {
    /// Makes the shared state of one sandbox.
    pub fn new(settings: EgressSettings) -> EgressContext {
        EgressContext {
            policy: ArcSwap::from_pointee(settings.policy),
            audit: settings.audit,
            resolver: settings.resolver,
            sandbox: settings.sandbox,
            read_only: settings.read_only,
            pins: Arc::default(),
            tunnels: Arc::default(),
            pipes: PipePool::default(),
            authority: settings.authority,
            upstream_tls: settings.upstream_tls,
            upstreams: Upstreams::default(),
            learning: settings.learning,
            names: Mutex::default(),
        }
    }

    /// The policy in force.
    pub fn policy(&self) -> Arc<CompiledPolicy> {
        self.policy.load_full()
    }

    /// Puts another policy into force at once: new wishes are decided by it, and open tunnels
    /// whose right is gone are closed.
    pub fn replace_policy(&self, policy: CompiledPolicy) {
        self.policy.store(Arc::new(policy));
        authorise::judge_open_tunnels(self);
    }

    /// Accepts the executable that is at `path` now: a person has looked at the replacement.
    pub fn accept_replacement(&self, path: &str) {
        self.pins.accept_replacement(path);
    }

    /// The number of connections that are open through this sandbox's egress.
    pub fn open_tunnels(&self) -> usize {
        self.tunnels.len()
    }

    pub(crate) fn names(&self) -> MutexGuard<'_, SyntheticNames> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name that an address stands for, or the address itself.
    pub(crate) fn host_of(&self, address: IpAddr) -> Host {
        let address = address.to_canonical();
        match self.names().name_of(address) {
            Some(name) => Host::Name(name),
            None => Host::Address(address),
        }
    }
}
