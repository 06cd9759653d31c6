//! The control plane: the only authority on which sandboxes there should be and what they may do.
#![forbid(unsafe_code)]

mod access;
pub mod activation;
mod api;
mod awaited;
pub mod certificates;
mod clock;
mod execs;
mod failure;
mod gateway;
mod lifecycle;
mod live;
mod logs;
mod metrics;
mod names;
mod policies;
mod providers;
mod reconcile;
pub mod records;
mod relays;
mod routes;
mod server;
mod session;
pub mod settings;
mod snapshots;
mod spec;
mod ssh;
pub mod store;
pub mod telemetry;
mod terminals;
mod watch;
mod wire;

pub use failure::Failure;
pub use server::{LockError, Parts, Remote, ServeError, StateLock, serve};
