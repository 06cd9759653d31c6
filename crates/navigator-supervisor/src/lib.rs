//! One sandbox from start to end: turns a policy and a request into plain values for the isolation crate,
//! lets the egress crate serve what leaves, and follows the command until it ends.
//!
//! The way is one straight pipeline: the plan judges the request, [`start()`] acts on it while the process is
//! single-threaded, [`Started::follow`] serves.
#![forbid(unsafe_code)]

pub mod audit;
mod audit_log;
mod discovery;
mod environment;
mod files;
mod follow;
mod gate;
mod launch;
mod logs;
mod plan;
mod readiness;
mod request;
mod revisions;
mod serve;
mod session;
mod start;
mod supervise;
mod terminal;
mod trust;
mod unwritable;
mod users;

pub use audit_log::{AuditError, DistinctDenial};
pub use discovery::{DiscoveryError, discover};
pub use follow::{FollowError, Outcome, Verdict};
pub use navigator_isolation::limits::{Cpus, Limits};
pub use navigator_isolation::{
    Access, Bind, ExitStatus, LaunchError, LayerStatus, Layers, RootView, SkippedPath, StartError,
};
pub use navigator_policy::Observation;
pub use plan::PlanError;
pub use request::{Judging, Request, TerminalChoice};
pub use revisions::{InForce, RevisionError, Revisions};
pub use start::{Started, StartupError, start};
pub use supervise::{SuperviseError, supervise};
pub use trust::TrustError;
pub use users::UserError;
