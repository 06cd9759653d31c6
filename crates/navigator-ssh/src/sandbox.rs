//! What the server asks of the sandbox, and what it gets.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::Pin;

use rustix::process::Signal;
use tokio::net::{TcpListener, TcpStream};

use crate::Terminal;

/// A future whose type has no name.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The sandbox, as far as the server reaches into it.
pub trait Sandbox: Send + Sync + 'static {
    /// Starts a process.
    ///
    /// With a terminal, call [`Terminal::set_up`] on its controlling side before the program runs.
    fn start(&self, wanted: Wanted) -> impl Future<Output = Result<Process, StartFailure>> + Send;

    /// Connects to an address of the sandbox's own loopback; others are never asked for.
    fn dial(&self, to: SocketAddr) -> impl Future<Output = io::Result<TcpStream>> + Send;

    /// Listens at an address of the sandbox's own loopback; others are never asked for.
    fn listen(&self, at: SocketAddr) -> impl Future<Output = io::Result<TcpListener>> + Send;
}

/// A process that a client wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What it runs.
    pub command: Command,
    /// What the client may set: names are allowed ones, and nothing holds a NUL.
    pub environment: BTreeMap<String, String>,
    /// The terminal that it runs on, if it has one.
    pub terminal: Option<Terminal>,
}

/// What a process runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The login shell.
    Shell,
    /// A line for the login shell (`-c`).
    Line(String),
    /// The server of the SFTP protocol, on its standard input and output.
    Sftp,
}

/// A process that runs.
pub struct Process {
    /// Its input and output.
    pub streams: Streams,
    /// Says how it ended.
    pub ending: BoxFuture<'static, Ending>,
    /// Reaches it; dropped before its end, it kills what it reaches.
    pub control: Box<dyn Control>,
}

/// Input and output of a process: our ends of them.
#[derive(Debug)]
pub enum Streams {
    /// One pipe each.
    Pipes {
        /// Written to by us.
        stdin: OwnedFd,
        /// Read by us.
        stdout: OwnedFd,
        /// Read by us.
        stderr: OwnedFd,
    },
    /// The controlling side of its terminal.
    Terminal(OwnedFd),
}

/// Reaches a process.
pub trait Control: Send + Sync {
    /// Sends a signal to its process group.
    fn signal(&self, signal: Signal) -> BoxFuture<'_, io::Result<()>>;
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// Why a process could not be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartFailure {
    /// The exit code that the client sees: 127 not found, 126 not executable, 125 our failure.
    pub exit_code: i32,
    /// What the client reads.
    pub message: String,
}
