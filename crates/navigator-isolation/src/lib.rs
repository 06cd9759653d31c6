//! Linux isolation: the namespaces, mounts, Landlock rules, system-call filters, limits and privileges of a
//! sandbox, and the process 1 that holds it together.
//!
//! This crate knows no policy: it receives plain values ([`SandboxSpec`], [`ProcessSpec`]) and returns
//! statuses. It is the only crate with `unsafe` code. The way through it is one-way:
//! [`launch`] → [`Starting`] → [`Sandbox`].

mod access;
mod binds;
mod channel;
mod confine;
mod connects;
pub mod features;
pub mod floor;
mod ids;
mod init;
pub mod limits;
mod mounts;
mod network;
mod probe;
mod root;
mod sandbox;
mod seccomp;
mod spec;
mod sys;

pub use binds::BindError;
pub use channel::{ExitStatus, Stage, WayKind};
pub use connects::{Call, Connects, Named, Waiting};
pub use mounts::is_synthetic;
pub use sandbox::{Event, LaunchError, Opened, Sandbox, StartError, Starting, launch};
pub use spec::{
    Access, Bind, Builtin, Family, LayerStatus, Layers, Leader, Network, Observe, ProcessSpec,
    Program, Requirement, RootView, SandboxSpec, SkippedPath, Stdio, SyntheticFile, Terminal,
    TerminalSize, User,
};
pub use sys::landlock_abi;
