//! A fake internet for tests: public-looking addresses, DNS, HTTP and TLS origins, slow and broken ones, in
//! namespaces of its own. Nothing leaves the machine and no root is needed.
//!
//! ```no_run
//! use navigator_testkit::{FakeInternet, Origin};
//! use std::process::Command;
//!
//! let internet = FakeInternet::new()
//!     .name("api.example.net", &["203.0.113.10"])
//!     .origin("203.0.113.10:80", Origin::Http)
//!     .origin("203.0.113.10:443", Origin::Tls { name: "api.example.net".into() });
//! let (output, seen) = internet.run(Command::new("curl").arg("http://api.example.net/")).unwrap();
//! ```
#![forbid(unsafe_code)]

mod certificates;
mod dns;
pub mod gateway;
mod origin;
mod postgres;
mod web;
mod world;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

pub use postgres::Postgres;
pub use world::live;

/// What there is in a fake internet.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct FakeInternet {
    pub(crate) names: BTreeMap<String, Vec<IpAddr>>,
    pub(crate) origins: Vec<(SocketAddr, Origin)>,
}

/// A server and how it behaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// Answers every HTTP request with 200 and the request line as body.
    Http,
    /// The same inside TLS, with a certificate of the test CA for this name.
    Tls {
        /// Name in the certificate.
        name: String,
    },
    /// Answers each request with the same short text, keeps connections and notes no request: for measuring.
    Quick,
    /// The same inside TLS, with a certificate of the test CA for this name.
    QuickTls {
        /// Name in the certificate.
        name: String,
    },
    /// A web server that shows what it was asked: HTTP/1.1, and HTTP/2 with prior knowledge. Its paths are `/mirror`
    /// (the request as JSON), `/stream?n=` (server-sent events), `/big?n=` (that many bytes), `/trailers`,
    /// `/slow?ms=`, `/redirect?to=`, `/status/NNN`, `/git/` (the repositories in the directory `git`) and the gRPC
    /// methods `/test.Echo/Unary`, `/test.Echo/Stream` and `/test.Echo/Chat`. Every WebSocket is an echo. Each
    /// request is noted as JSON.
    Web,
    /// The same inside TLS, with HTTP/2 preferred.
    WebTls(Certificate),
    /// Answers the first request of each connection with these bytes, whatever they are, then ends.
    Raw {
        /// What is sent.
        answer: String,
    },
    /// Ends each connection in the middle of the TLS handshake.
    BreaksTls,
    /// The system's OpenSSH server, with the configuration in the file `sshd_config`.
    Ssh,
    /// Sends back what it gets; ends its side when the other side is ended.
    Echo,
    /// Reads everything and sends nothing.
    Sink,
    /// Accepts and ends the connection at once.
    Close,
    /// Accepts and never says anything.
    Silent,
    /// Resets each connection at once.
    Reset,
    /// Answers with bytes that are no protocol, then ends.
    Garbage,
    /// Answers one byte after the other, with this pause in milliseconds.
    Slow {
        /// Pause between two bytes, in milliseconds.
        pause_ms: u64,
    },
}

/// How a server proves who it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Certificate {
    /// By a valid certificate of the test CA.
    Good {
        /// Name in the certificate.
        name: String,
    },
    /// By a certificate of the test CA that is valid no more.
    Expired {
        /// Name in the certificate.
        name: String,
    },
    /// By a certificate that it issued itself.
    SelfSigned {
        /// Name in the certificate.
        name: String,
    },
}

/// Something that the fake internet saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// `dns`, `connection` or `request`.
    pub kind: String,
    /// The address that was reached, or the name that was asked for.
    pub what: String,
    /// Request line, record type, or the request as JSON.
    pub detail: String,
}

impl Seen {
    /// The request that a web server saw: `method`, `target`, `authority`, `version` and `fields`.
    #[must_use]
    pub fn web_request(&self) -> Option<serde_json::Value> {
        (self.kind == "request").then(|| serde_json::from_str(&self.detail).ok()).flatten()
    }
}

impl FakeInternet {
    /// An empty one: no name resolves and nothing answers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets a name resolve to these addresses, in this order.
    ///
    /// # Panics
    /// When one of them is no address.
    #[must_use]
    pub fn name(mut self, name: &str, addresses: &[&str]) -> Self {
        let parse = |text: &&str| text.parse().unwrap_or_else(|_| panic!("{text} is no address"));
        self.names.insert(name.to_owned(), addresses.iter().map(parse).collect());
        self
    }

    /// Puts a server on an address and port.
    ///
    /// # Panics
    /// When it is no address with a port.
    #[must_use]
    pub fn origin(mut self, address: &str, origin: Origin) -> Self {
        let address =
            address.parse().unwrap_or_else(|_| panic!("{address} is no address and port"));
        self.origins.push((address, origin));
        self
    }

    /// Runs a command inside and returns its output and what was seen.
    ///
    /// # Errors
    /// When the namespaces or servers cannot be made.
    pub fn run(&self, command: &Command) -> Result<(Output, Vec<Seen>)> {
        let dir = tempfile::tempdir()?;
        let mut launcher = self.launcher(dir.path(), command)?;
        let output = launcher.output().context("failed to start the fake internet")?;
        let text = std::fs::read_to_string(dir.path().join("seen.jsonl")).unwrap_or_default();
        let seen = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        Ok((output, seen))
    }

    /// The command that runs another one inside, for callers that want to start it themselves. `dir` must be
    /// writable for the user who starts it; `seen.jsonl` and `ca.pem` appear there.
    ///
    /// # Errors
    /// When the description cannot be written to `dir`, or the launcher was not built.
    pub fn launcher(&self, dir: &Path, command: &Command) -> Result<Command> {
        let description = dir.join("internet.json");
        std::fs::write(&description, serde_json::to_vec(self)?)?;
        let mut launcher = Command::new(launcher()?);
        launcher.arg(dir).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => launcher.env(name, value),
                None => launcher.env_remove(name),
            };
        }
        if let Some(dir) = command.get_current_dir() {
            launcher.current_dir(dir);
        }
        Ok(launcher)
    }
}

/// The launcher's executable, which stands beside the tests' own directory.
///
/// # Errors
/// When it was not built.
pub fn launcher() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let found = own.ancestors().skip(1).take(2).map(|dir| dir.join("fake-internet"));
    let mut found = found.filter(|path| path.exists());
    found.next().context("fake-internet was not built; run `cargo build -p navigator-testkit`")
}
