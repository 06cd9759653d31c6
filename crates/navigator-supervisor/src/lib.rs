//! One sandbox from start to end: turns a policy and a request into plain values for the isolation crate,
//! lets the egress crate serve what leaves, and follows the command until it ends.
//!
//! The way is one straight pipeline: the plan judges the request, [`start()`] acts on it while the process is
//! single-threaded, [`Started::follow`] serves.
#![forbid(unsafe_code)]

mod audit_log;
mod environment;
mod follow;
mod gate;
mod plan;
mod request;
mod start;
mod terminal;
mod users;

pub use audit_log::{AuditError, DistinctDenial};
pub use follow::{FollowError, Outcome, Verdict};
pub use navigator_isolation::limits::{Cpus, Limits};
pub use navigator_isolation::{
    Access, Bind, ExitStatus, LaunchError, LayerStatus, RootView, SkippedPath, StartError,
};
pub use plan::PlanError;
pub use request::{Request, TerminalChoice};
pub use start::{Started, StartupError, start};
pub use users::UserError;
