//! The SSH server of a sandbox.
//!
//! It serves one byte stream whose owner is already known, listens nowhere, and reaches the sandbox by [`Sandbox`]
//! only. Everything that a client can make it hold has a bound.

mod channels;
mod environment;
mod flow;
mod forwards;
mod handler;
mod host_key;
mod loopback;
mod modes;
mod relay;
mod sandbox;
mod server;
mod session;
mod signals;
mod stream;
mod terminal;
mod watched;

pub use host_key::{HostKey, HostKeyError};
pub use sandbox::{
    BoxFuture, Command, Control, Ending, Process, Sandbox, StartFailure, Streams, Wanted,
};
pub use server::{Options, ServeError, serve};
pub use terminal::{Terminal, TerminalSize};

/// The only user that there is.
pub const USER: &str = "sandbox";
