//! The policy language: parse → validate → compile → decide, and what explains it.
//!
//! This crate does no I/O, knows no clock and no async. What comes from outside goes through a fallible
//! constructor ([`load`], [`Host::parse`], [`SandboxPath::parse`], [`CanonicalPath::parse`]); what comes out
//! is decided by [`CompiledPolicy::decide`] and [`CompiledPolicy::decide_request`] alone.
#![forbid(unsafe_code)]

mod address;
mod allow;
mod canonical;
mod cases;
mod comments;
mod compile;
mod decide;
mod denial;
mod diagnostics;
mod diff;
mod document;
mod explain;
mod glob;
mod host;
mod host_pattern;
mod learn;
mod model;
mod paths;
mod read;
mod request;
mod schema;
mod suggestion;
mod visible;

pub use address::{AddressRefusal, check_address};
pub use allow::AllowError;
pub use canonical::PolicyHash;
pub use cases::{Case, CaseResult, Cases, CasesError, Expected};
pub use compile::CompiledPolicy;
pub use decide::{Caller, Decision, Destination, Grant, Request, RequestDecision, RequestKind};
pub use denial::{Denial, DenialReason};
pub use diagnostics::{Diagnostic, Diagnostics, Severity};
pub use diff::{PolicyDiff, diff};
pub use explain::explain;
pub use host::{Authority, AuthorityError, Host, HostError, HostName};
pub use host_pattern::{HostPattern, PatternError};
pub use learn::{Observation, Seen};
pub use model::{
    AccessPreset, ApiPattern, Compatibility, Effect, Endpoint, EndpointHost, Enforcement,
    Filesystem, Inference, Landlock, NetworkMode, NetworkPolicy, Policy, Process, Protocol,
    Requests, Rule, TlsMode,
};
pub use paths::{PathError, SandboxPath};
pub use read::{Checked, load};
pub use request::{CanonicalPath, RequestPathError};
pub use schema::schema;
pub use suggestion::Suggestion;
pub use visible::is_visible;
