//! The record of one decision: the same struct for log line, file and summary.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::intent::Adapter;

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditDecision {
    /// The connection or request may go ahead.
    Allow,
    /// It was refused.
    Deny,
    /// It passed because the endpoint only records (`enforcement: audit`); enforced, it would have been refused.
    WouldDeny,
    /// It had been allowed, and a newer policy revision took the right away.
    Revoke,
}

/// The program that a decision was about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditProgram {
    /// Process id inside the sandbox.
    pub pid: u32,
    /// Executable path inside the sandbox.
    pub executable: String,
    /// SHA-256 of the executable, hexadecimal.
    pub sha256: String,
    /// Executables of the ancestors, nearest first.
    pub ancestors: Vec<String>,
    /// Scripts that interpreters among them run.
    pub scripts: Vec<String>,
}

/// The request that a decision was about, on an inspected connection. Values of parameters, header fields and
/// bodies are never recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRequest {
    /// HTTP method.
    pub method: String,
    /// The decoded path without its query, as it was judged; what came, when it could not be decoded.
    pub path: String,
    /// Names of the query's parameters, in their order.
    pub parameters: Vec<String>,
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Identifier of this decision (UUIDv7); nil in records that were written before decisions had one.
    #[serde(default)]
    pub id: Uuid,
    /// When, RFC 3339 in UTC.
    pub time: Timestamp,
    /// Identifier of the sandbox.
    pub sandbox_id: String,
    /// Name of the sandbox.
    pub sandbox_name: String,
    /// The way out that was used.
    pub adapter: Adapter,
    /// What was decided.
    pub decision: AuditDecision,
    /// The policy that allowed it, or the nearest one.
    pub policy: Option<String>,
    /// The rule that allowed it, or the nearest one.
    pub rule: Option<String>,
    /// The kind of reason of a refusal, for example `host`, `binary`, `identity`, `address`.
    pub reason: Option<String>,
    /// One sentence a person can read.
    pub detail: String,
    /// The host that was wanted.
    pub host: String,
    /// The port that was wanted.
    pub port: u16,
    /// The checked addresses that may be dialled.
    pub addresses: Vec<IpAddr>,
    /// The request, when the decision was about one.
    #[serde(default)]
    pub request: Option<AuditRequest>,
    /// The program, when it could be identified.
    pub program: Option<AuditProgram>,
    /// The command that would allow it.
    pub how: Option<String>,
    /// The smallest policy text that would allow it.
    pub suggestion: Option<String>,
}

/// Where records go. Called on the data path, so an implementation hands over and returns.
pub trait AuditSink: Send + Sync {
    /// Takes one record.
    fn record(&self, record: AuditRecord);
}
