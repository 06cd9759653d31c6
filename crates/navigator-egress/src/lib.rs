//! Everything that leaves a sandbox: adapters translate, one function decides, relays carry.
//!
//! A way out ([`Ways`]) is only a descriptor. Each adapter turns what arrives on it into an
//! [`EgressIntent`]; [`authorise`](authorise::Judge::authorise) is the single place where an intent
//! becomes a [`Verdict`](authorise::Verdict), and the single place that writes the audit record.
#![forbid(unsafe_code)]

pub mod audit;
pub mod authorise;
pub mod context;
pub mod dial;
pub mod dns;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod gate;
mod head;
pub mod identity;
mod inspect;
pub mod intent;
pub mod learning;
pub mod limits;
mod places;
mod proxy;
mod reach;
pub mod refuse;
pub mod registry;
mod relay;
pub mod resolve;
mod rewind;
mod serve;
pub mod tls;
mod transparent;
pub mod ways;

pub use audit::{AuditDecision, AuditProgram, AuditRecord, AuditRequest, AuditSink};
pub use context::{EgressContext, EgressSettings, SandboxLabel};
pub use gate::{Call, ConnectGate, Named, Waiting};
pub use intent::{Adapter, EgressIntent};
pub use resolve::{Resolve, ResolveError, SystemResolver};
pub use serve::{ServeError, serve};
pub use ways::{TcpWay, Ways};
