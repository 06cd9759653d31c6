//! The one decision: an intent becomes a verdict, and exactly one audit record.
//!
//! Every adapter calls [`Judge::authorise`] and acts on the verdict; none of them looks at the
//! policy itself. An error on the way to a verdict is a refusal.

mod grants;
mod requests;

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use navigator_policy::{AddressRefusal, CompiledPolicy, Grant, Host, HostName};
use tokio_util::sync::CancellationToken;

use crate::audit::{AuditDecision, AuditRecord};
use crate::context::EgressContext;
use crate::dial::{AddressError, CheckedAddresses, checked_addresses};
use crate::identity::{Identifier, Program};
use crate::intent::{Adapter, ClientSocket, EgressIntent};
use crate::learning::Learning;
use crate::refuse::{Reason, Refusal, UpstreamFailure};
use crate::registry::Registration;
use crate::ways::SUPERVISOR_ADDRESS;

use grants::{Lost, grants, grants_of, inspection};

pub use grants::{First, Inspection, Wire};
pub(crate) use requests::Asked;

/// What records call the policy of a learning run.
const LEARNING: &str = "learning";
/// The name under which models will answer; no policy can give it to somebody else.
const INFERENCE: &str = "inference.local";

/// By whom, to where and how something was allowed: enough to judge it again.
#[derive(Debug)]
pub struct Right {
    /// Every program that held the connection when it was allowed.
    pub programs: Vec<Program>,
    /// Where to.
    pub host: Host,
    /// The port.
    pub port: u16,
    /// How it was asked for.
    pub adapter: Adapter,
    /// The addresses that were checked.
    pub addresses: CheckedAddresses,
    /// How requests on it are looked at; `None` for an opaque tunnel.
    pub inspection: Option<Inspection>,
}

/// An allowed connection.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    /// By what right.
    pub right: Arc<Right>,
    decided_by: Arc<CompiledPolicy>,
}

/// What was decided about an intent.
#[derive(Debug)]
#[must_use]
pub enum Verdict {
    /// Connect to the checked addresses and carry bytes.
    Connect(Permit),
    /// Read requests, and decide about each of them.
    Inspect(Permit, Inspection),
    /// Refused by policy.
    Refuse(Box<Refusal>),
    /// Allowed, but the name has no address.
    Unreachable(UpstreamFailure),
}

/// Who connected, or why that could not be found out, which is a denial.
#[derive(Debug)]
pub struct Identified(Result<Vec<Program>, String>);

/// Decides for one sandbox.
#[derive(Debug)]
pub struct Judge {
    context: Arc<EgressContext>,
    identifier: Identifier,
}

impl Judge {
    /// A judge of the callers that `identifier` finds, by the policy of `context`.
    pub fn new(context: Arc<EgressContext>, identifier: Identifier) -> Judge {
        Judge { context, identifier }
    }

    /// The shared state that this judge decides with.
    pub fn context(&self) -> &Arc<EgressContext> {
        &self.context
    }

    /// Who looks at the programs of this sandbox.
    pub(crate) fn identifier(&self) -> &Identifier {
        &self.identifier
    }

    /// Identifies whoever has just connected.
    pub async fn identify(&self, socket: &ClientSocket) -> Identified {
        Identified(self.identifier.identify(socket).await.map_err(|error| error_chain(&error)))
    }

    /// Decides about an intent of a caller that was identified when it connected, and records the decision.
    pub async fn authorise(&self, intent: &EgressIntent, caller: &Identified) -> Verdict {
        let unchanged = |programs: &Vec<Program>| {
            self.identifier.unchanged(&intent.socket, programs).map_err(|error| error_chain(&error))
        };
        let programs = match &caller.0 {
            Ok(programs) => unchanged(programs).map(|()| programs.clone()),
            Err(reason) => Err(reason.clone()),
        };
        let programs = match programs {
            Ok(programs) => programs,
            Err(reason) => {
                let refusal = Refusal::of(intent, Reason::Identity, reason);
                return self.refuse(intent, &[], Box::new(refusal));
            }
        };
        let policy = self.context.policy();
        match self.judge(intent, &programs, &policy).await {
            Ok(granted) => self.grant(intent, programs, policy, granted),
            Err(refusal) => self.refuse(intent, &programs, refusal),
        }
    }

    async fn judge(
        &self,
        intent: &EgressIntent,
        programs: &[Program],
        policy: &CompiledPolicy,
    ) -> Result<Granted, Box<Refusal>> {
        refuse_own_addresses(intent)?;
        let grants = match (grants(policy, intent, programs), &self.context.learning) {
            (Err(refusal), Some(learning)) if could_be_granted(refusal.reason) => {
                return self.learn(intent, learning).await;
            }
            (grants, _) => grants?,
        };
        let Some(first) = grants.first() else {
            let detail = "no program holds the connection".to_owned();
            return Err(Box::new(Refusal::of(intent, Reason::Identity, detail)));
        };
        let (policy, rule) = (first.policy_name().to_owned(), first.rule().to_owned());
        let inspection = inspection(&grants);
        let check = |address| grants.iter().try_for_each(|grant| grant.check_address(address));
        self.check(intent, Granted::unchecked(policy, rule, inspection), &check).await
    }

    /// What a learning run grants: anything that a policy could.
    async fn learn(
        &self,
        intent: &EgressIntent,
        learning: &Learning,
    ) -> Result<Granted, Box<Refusal>> {
        let looked_at = !learning.is_opaque(&intent.host, intent.port);
        let inspection = looked_at.then_some(Inspection { first: First::Any, calls: false });
        let rule = format!("{}:{}", intent.host, intent.port);
        let check = |address| navigator_policy::check_address(address, &[]);
        self.check(intent, Granted::unchecked(LEARNING.to_owned(), rule, inspection), &check).await
    }

    async fn check(
        &self,
        intent: &EgressIntent,
        granted: Granted,
        check: &(dyn Fn(IpAddr) -> Result<(), AddressRefusal> + Sync),
    ) -> Result<Granted, Box<Refusal>> {
        let resolver = self.context.resolver.as_ref();
        match checked_addresses(&intent.host, resolver, check).await {
            Ok(addresses) => Ok(Granted { addresses: Ok(addresses), ..granted }),
            Err(AddressError::Resolve(error)) => {
                Ok(Granted { addresses: Err(UpstreamFailure::unresolved(&error)), ..granted })
            }
            Err(error @ AddressError::Refused { .. }) => {
                let mut refusal = Refusal::of(intent, Reason::Address, error.to_string());
                refusal.policy = Some(granted.policy);
                refusal.rule = Some(granted.rule);
                Err(Box::new(refusal))
            }
        }
    }

    fn grant(
        &self,
        intent: &EgressIntent,
        programs: Vec<Program>,
        decided_by: Arc<CompiledPolicy>,
        granted: Granted,
    ) -> Verdict {
        let mut record = self.record(intent, programs.first(), AuditDecision::Allow);
        record.policy = Some(granted.policy);
        record.rule = Some(granted.rule);
        match &granted.addresses {
            Ok(addresses) => {
                record.addresses = addresses.as_slice().to_vec();
                if granted.inspection.is_some() {
                    record.detail =
                        "each request on this connection is decided on its own".to_owned();
                }
            }
            Err(failure) => record.detail.clone_from(&failure.detail),
        }
        self.context.audit.record(record);
        match granted.addresses {
            Ok(addresses) => {
                let EgressIntent { host, port, adapter, .. } = intent.clone();
                let inspection = granted.inspection;
                let right = Right { programs, host, port, adapter, addresses, inspection };
                let permit = Permit { right: Arc::new(right), decided_by };
                match inspection {
                    Some(inspection) => Verdict::Inspect(permit, inspection),
                    None => Verdict::Connect(permit),
                }
            }
            Err(failure) => Verdict::Unreachable(failure),
        }
    }

    /// Decides whether a name may have an address. Refusals only are recorded: an address that
    /// stands for an allowed name gives no right by itself.
    pub(crate) fn authorise_name(&self, name: &HostName) -> NameVerdict {
        if self.context.learning.is_some() || self.context.policy().could_allow_name(name) {
            NameVerdict::Known
        } else {
            NameVerdict::Unknown
        }
    }

    /// Records that a name was refused an address.
    pub(crate) fn record_refused_name(&self, name: &HostName) {
        let mut record = blank_record(&self.context, Adapter::Dns, AuditDecision::Deny);
        record.host = name.to_string();
        record.port = 53;
        record.reason = Some(Reason::Host.as_str().to_owned());
        record.detail = format!("no policy names {name}, so the name was not resolved");
        self.context.audit.record(record);
    }

    fn refuse(
        &self,
        intent: &EgressIntent,
        programs: &[Program],
        mut refusal: Box<Refusal>,
    ) -> Verdict {
        let program = programs
            .iter()
            .find(|program| refusal.program.as_deref() == Some(&*program.executable))
            .or(programs.first());
        if refusal.program.is_none() {
            refusal.program = program.map(|program| program.executable.to_string());
        }
        let mut record = self.record(intent, program, AuditDecision::Deny);
        refusal.describe(&mut record);
        self.context.audit.record(record);
        Verdict::Refuse(refusal)
    }

    fn record(
        &self,
        intent: &EgressIntent,
        program: Option<&Program>,
        decision: AuditDecision,
    ) -> AuditRecord {
        let mut record = blank_record(&self.context, intent.adapter, decision);
        record.host = intent.host.to_string();
        record.port = intent.port;
        record.program = program.map(Program::to_audit);
        record
    }

    /// Registers a connection that was opened by a permit. If the policy changed since the permit
    /// was given, the connection is judged again at once, so no change falls between the two.
    pub(crate) fn register(&self, permit: &Permit) -> Registration {
        self.register_until(permit, CancellationToken::new())
    }

    /// The same, for a connection that `ended` ends.
    pub(crate) fn register_until(&self, permit: &Permit, ended: CancellationToken) -> Registration {
        let registration = self.context.tunnels.register(permit.right.clone(), ended);
        let policy = self.context.policy();
        if !Arc::ptr_eq(&policy, &permit.decided_by)
            && !still_holds(&self.context, &policy, &permit.right)
        {
            registration.ended().cancel();
        }
        registration
    }
}

/// Whether a name may be given an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum NameVerdict {
    Known,
    Unknown,
}

/// What a policy allowed, with the addresses that may be dialled if there are any.
struct Granted {
    policy: String,
    rule: String,
    inspection: Option<Inspection>,
    addresses: Result<CheckedAddresses, UpstreamFailure>,
}

impl Granted {
    fn unchecked(policy: String, rule: String, inspection: Option<Inspection>) -> Granted {
        Granted { policy, rule, inspection, addresses: Ok(CheckedAddresses::default()) }
    }
}

/// Whether a policy could say otherwise. Everything else is refused whoever asks.
fn could_be_granted(reason: Reason) -> bool {
    match reason {
        Reason::Host | Reason::Port | Reason::Binary | Reason::Block => true,
        Reason::Request
        | Reason::Identity
        | Reason::Address
        | Reason::Inspection
        | Reason::Inference
        | Reason::Destination
        | Reason::Protocol
        | Reason::Fronting
        | Reason::Malformed => false,
    }
}

/// Judges every open connection by the policy that is now in force.
pub(crate) fn judge_open_tunnels(context: &EgressContext) {
    let policy = context.policy();
    context.tunnels.retain(|right| still_holds(context, &policy, right));
}

/// Judges a right again. A right that is gone is recorded as revoked, once.
fn still_holds(context: &EgressContext, policy: &CompiledPolicy, right: &Right) -> bool {
    let lost = match grants_of(policy, &right.host, right.port, &right.programs) {
        Ok(grants) if !reaches(&grants, right.addresses.as_slice()) => Box::new(Lost::address()),
        Ok(grants) => {
            let now = inspection(&grants);
            // What went by unseen cannot be looked at afterwards, and one wire does not become the other.
            if now.is_none() || now == right.inspection {
                return true;
            }
            Box::new(Lost::inspection())
        }
        Err(lost) => lost,
    };
    let mut record = blank_record(context, right.adapter, AuditDecision::Revoke);
    record.host = right.host.to_string();
    record.port = right.port;
    record.program = right.programs.first().map(Program::to_audit);
    record.policy = lost.policy;
    record.rule = lost.rule;
    record.reason = Some(lost.reason.as_str().to_owned());
    record.detail = "the policy changed and no longer allows this open connection".to_owned();
    context.audit.record(record);
    false
}

fn reaches(grants: &[Grant<'_>], addresses: &[IpAddr]) -> bool {
    addresses.iter().all(|address| grants.iter().all(|grant| grant.check_address(*address).is_ok()))
}

fn blank_record(context: &EgressContext, adapter: Adapter, decision: AuditDecision) -> AuditRecord {
    AuditRecord {
        id: uuid::Uuid::now_v7(),
        time: Timestamp::now(),
        sandbox_id: context.sandbox.id.clone(),
        sandbox_name: context.sandbox.name.clone(),
        adapter,
        decision,
        policy: None,
        rule: None,
        reason: None,
        detail: String::new(),
        host: String::new(),
        port: 0,
        addresses: Vec::new(),
        request: None,
        program: None,
        how: None,
        suggestion: None,
    }
}

/// The supervisor's own address and name are no destination: nothing is served there but what was captured.
fn refuse_own_addresses(intent: &EgressIntent) -> Result<(), Box<Refusal>> {
    let address = match &intent.host {
        Host::Address(address) => *address,
        Host::Name(name) if name.as_ref() == INFERENCE => {
            let detail =
                format!("{INFERENCE} is reserved for model calls, which are not routed here");
            return Err(Box::new(Refusal::of(intent, Reason::Inference, detail)));
        }
        Host::Name(_) => return Ok(()),
    };
    let detail = if address == SUPERVISOR_ADDRESS {
        format!("{address} is the sandbox's own proxy address and serves nothing else")
    } else if address.is_loopback() || address.is_unspecified() {
        format!("{address} is the sandbox itself, and no program in it listens on {}", intent.port)
    } else if crate::dns::is_synthetic(address) {
        format!("{address} stands for no name (any more); resolve the name again")
    } else {
        return Ok(());
    };
    Err(Box::new(Refusal::of(intent, Reason::Destination, detail)))
}

pub(crate) fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
