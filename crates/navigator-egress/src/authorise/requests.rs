//! The decision about one request on an inspected connection, by the policy that is in force at that moment.

use navigator_policy::{
    CanonicalPath, CompiledPolicy, Denial, Request, RequestDecision, RequestKind,
};

use super::grants::{grants_of, reason_of};
use super::{First, Judge, LEARNING, Right, Wire, blank_record};
use crate::audit::{AuditDecision, AuditRecord, AuditRequest};
use crate::identity::Program;
use crate::refuse::{Reason, Refusal};

/// What a request asks for, read in one way only.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a CanonicalPath,
    pub(crate) kind: RequestKind,
}

/// What the policy says about a request.
enum Judged {
    Pass { policy: String, rule: String },
    WouldRefuse(Box<Refusal>),
    Refuse(Box<Refusal>),
}

impl Judge {
    /// Decides about a request on a connection that was allowed, and records the decision. Every program that
    /// held the connection must be allowed the request.
    pub(crate) fn authorise_request(
        &self,
        right: &Right,
        wire: Wire,
        asked: &Asked<'_>,
    ) -> Result<(), Box<Refusal>> {
        let request = AuditRequest {
            method: asked.method.to_owned(),
            path: asked.path.path().to_owned(),
            parameters: asked.path.parameters().map(str::to_owned).collect(),
        };
        let learning = self.context().learning.as_ref().filter(|_| right.is_learned());
        let judged = match learning {
            Some(learning) => {
                learning.note_request(right, wire, asked.kind, (asked.method, asked.path.path()));
                let rule = format!("{} {}", asked.method, asked.path.path());
                Judged::Pass { policy: LEARNING.to_owned(), rule }
            }
            None => judge(&self.context().policy(), right, asked),
        };
        match judged {
            Judged::Pass { policy, rule } => {
                let mut record = self.request_record(right, AuditDecision::Allow, request);
                (record.policy, record.rule) = (Some(policy), Some(rule));
                self.context().audit.record(record);
                Ok(())
            }
            Judged::WouldRefuse(refusal) => {
                let mut record = self.request_record(right, AuditDecision::WouldDeny, request);
                refusal.describe(&mut record);
                self.context().audit.record(record);
                Ok(())
            }
            Judged::Refuse(refusal) => {
                let mut record = self.request_record(right, AuditDecision::Deny, request);
                refusal.describe(&mut record);
                self.context().audit.record(record);
                Err(refusal)
            }
        }
    }

    /// Records that a connection or a request on it was refused before any rule was asked.
    pub(crate) fn refuse_unread(
        &self,
        right: &Right,
        reason: Reason,
        detail: String,
        request: Option<AuditRequest>,
    ) -> Box<Refusal> {
        let mut refusal = Refusal::to(&right.host, right.port, reason, detail);
        refusal.program = first_program(right);
        let mut record = blank_record(self.context(), right.adapter, AuditDecision::Deny);
        fill(&mut record, right);
        record.request = request;
        refusal.describe(&mut record);
        self.context().audit.record(record);
        Box::new(refusal)
    }

    fn request_record(
        &self,
        right: &Right,
        decision: AuditDecision,
        request: AuditRequest,
    ) -> AuditRecord {
        let mut record = blank_record(self.context(), right.adapter, decision);
        fill(&mut record, right);
        record.request = Some(request);
        record
    }
}

impl Right {
    /// Whether it was given because the run is watched, not by a policy.
    pub(crate) fn is_learned(&self) -> bool {
        self.inspection.is_some_and(|inspection| inspection.first == First::Any)
    }
}

fn fill(record: &mut AuditRecord, right: &Right) {
    record.host = right.host.to_string();
    record.port = right.port;
    record.program = right.programs.first().map(Program::to_audit);
}

fn first_program(right: &Right) -> Option<String> {
    right.programs.first().map(|program| program.executable.to_string())
}

fn judge(policy: &CompiledPolicy, right: &Right, asked: &Asked<'_>) -> Judged {
    let grants = match grants_of(policy, &right.host, right.port, &right.programs) {
        Ok(grants) => grants,
        Err(lost) => {
            let mut refusal = Refusal::to(&right.host, right.port, lost.reason, lost.detail);
            (refusal.policy, refusal.rule) = (lost.policy, lost.rule);
            refusal.program = lost.program.or_else(|| first_program(right));
            return Judged::Refuse(Box::new(refusal));
        }
    };
    let request = Request { method: asked.method, path: asked.path, kind: asked.kind };
    let (mut passing, mut would_refuse) = (None, None);
    for grant in &grants {
        let (name, endpoint) = (grant.policy_name(), grant.rule());
        if grant.protocol().is_none() {
            passing.get_or_insert((name.to_owned(), endpoint.to_owned()));
            continue;
        }
        match policy.decide_request(grant, &request) {
            RequestDecision::Allow { rule } => {
                passing.get_or_insert((name.to_owned(), rule.to_owned()));
            }
            RequestDecision::Audit(denial) => would_refuse = Some(refused(right, denial)),
            RequestDecision::Deny(denial) => return Judged::Refuse(refused(right, denial)),
        }
    }
    match (would_refuse, passing) {
        (Some(refusal), _) => Judged::WouldRefuse(refusal),
        (None, Some((policy, rule))) => Judged::Pass { policy, rule },
        (None, None) => {
            let detail = "no program holds the connection".to_owned();
            Judged::Refuse(Box::new(Refusal::to(&right.host, right.port, Reason::Identity, detail)))
        }
    }
}

fn refused(right: &Right, denial: Denial) -> Box<Refusal> {
    let reason = reason_of(denial.reason);
    let mut refusal = Refusal::to(&right.host, right.port, reason, denial.detail);
    (refusal.policy, refusal.rule) = (denial.policy, denial.rule);
    (refusal.how, refusal.suggestion) =
        denial.suggestion.map(|suggestion| (suggestion.how, suggestion.yaml)).unzip();
    refusal.program = first_program(right);
    Box::new(refusal)
}
