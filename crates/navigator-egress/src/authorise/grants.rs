//! What the policy says about every program that holds a connection.

use navigator_policy::{
    Caller, CompiledPolicy, Decision, DenialReason, Destination, Grant, Host, Protocol, TlsMode,
};

use crate::identity::Program;
use crate::intent::EgressIntent;
use crate::refuse::{Reason, Refusal};

/// How the requests of a connection are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inspection {
    /// What the first bytes must be.
    pub first: First,
    /// Whether every request must be a gRPC call.
    pub calls: bool,
}

/// What an inspected connection must begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// What the endpoint declares.
    Declared(Wire),
    /// Anything: a learning run looks at it if it can. No policy gives this.
    Any,
}

/// What carries the requests of an inspected connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wire {
    /// HTTP without TLS.
    Plain,
    /// TLS that ends here.
    Tls,
}

/// How a connection by these grants is looked at; not at all when no program's endpoint asks for it. SQL is
/// recorded as a connection: its statements are not read.
pub(super) fn inspection(grants: &[Grant<'_>]) -> Option<Inspection> {
    let inspected = |grant: &&Grant<'_>| {
        [Protocol::Rest, Protocol::Websocket, Protocol::Grpc].iter().any(|kind| grant.speaks(*kind))
    };
    let mut inspected = grants.iter().filter(inspected).peekable();
    inspected.peek()?;
    let mut inspection = Inspection { first: First::Declared(Wire::Plain), calls: false };
    for grant in inspected {
        if grant.tls() == Some(TlsMode::Terminate) {
            inspection.first = First::Declared(Wire::Tls);
        }
        inspection.calls |= !grant.speaks(Protocol::Rest) && !grant.speaks(Protocol::Websocket);
    }
    Some(inspection)
}

/// What a program was refused for, before it is tied to an intent.
#[derive(Debug, Default)]
pub(super) struct Lost {
    pub(super) reason: Reason,
    pub(super) policy: Option<String>,
    pub(super) rule: Option<String>,
    pub(super) detail: String,
    pub(super) how: Option<String>,
    pub(super) suggestion: Option<String>,
    pub(super) program: Option<String>,
}

impl Lost {
    /// The policy allows the destination, but not the addresses that it leads to.
    pub(super) fn address() -> Lost {
        Lost { reason: Reason::Address, ..Lost::default() }
    }

    /// The policy looks at requests that this connection carries unseen.
    pub(super) fn inspection() -> Lost {
        Lost { reason: Reason::Inspection, ..Lost::default() }
    }
}

/// One grant per program, or the refusal of the intent.
pub(super) fn grants<'p>(
    policy: &'p CompiledPolicy,
    intent: &EgressIntent,
    programs: &[Program],
) -> Result<Vec<Grant<'p>>, Box<Refusal>> {
    grants_of(policy, &intent.host, intent.port, programs).map_err(|lost| {
        Box::new(Refusal {
            policy: lost.policy,
            rule: lost.rule,
            how: lost.how,
            suggestion: lost.suggestion,
            program: lost.program,
            ..Refusal::of(intent, lost.reason, lost.detail)
        })
    })
}

/// One grant per program, or why one of them has none: all that hold a connection must be
/// allowed, because any of them can use it.
pub(super) fn grants_of<'p>(
    policy: &'p CompiledPolicy,
    host: &Host,
    port: u16,
    programs: &[Program],
) -> Result<Vec<Grant<'p>>, Box<Lost>> {
    let mut grants: Vec<Grant<'p>> = Vec::with_capacity(1);
    for program in programs {
        let ancestors: Vec<&str> = program.ancestors.iter().map(AsRef::as_ref).collect();
        let scripts: Vec<&str> = program.scripts.iter().map(AsRef::as_ref).collect();
        let caller =
            Caller { executable: &program.executable, ancestors: &ancestors, scripts: &scripts };
        match policy.decide(&caller, &Destination { host, port }) {
            Decision::Tunnel(grant) | Decision::Inspect(grant) => {
                if !grants.contains(&grant) {
                    grants.push(grant);
                }
            }
            Decision::Inference => return Err(Box::new(needs_inference(program))),
            Decision::Deny(denial) => {
                let (how, suggestion) =
                    denial.suggestion.map(|change| (change.how, change.yaml)).unzip();
                return Err(Box::new(Lost {
                    reason: reason_of(denial.reason),
                    policy: denial.policy,
                    rule: denial.rule,
                    detail: denial.detail,
                    how,
                    suggestion,
                    program: Some(program.executable.to_string()),
                }));
            }
        }
    }
    Ok(grants)
}

fn needs_inference(program: &Program) -> Lost {
    Lost {
        reason: Reason::Inference,
        detail: "this name is served by inference routing, which this version does not have"
            .to_owned(),
        program: Some(program.executable.to_string()),
        ..Lost::default()
    }
}

pub(super) fn reason_of(reason: DenialReason) -> Reason {
    match reason {
        DenialReason::Host => Reason::Host,
        DenialReason::Port => Reason::Port,
        DenialReason::Binary => Reason::Binary,
        DenialReason::Block => Reason::Block,
        DenialReason::Request => Reason::Request,
    }
}
