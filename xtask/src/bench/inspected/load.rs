//! Runs the load direct, by nginx and in a sandbox.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use serde::Deserialize;

use super::{EVENTS_PORT, ORIGIN, PEER, TURN};
use crate::bench::row::Summary;
use crate::shell;

/// Where the load is in a sandbox.
const INSIDE: &str = "/sandbox/bench-http";

/// Where a load runs and whom it asks.
#[derive(Clone, Copy)]
pub enum Place {
    /// Outside, the origin.
    Direct,
    /// Outside, nginx in front of the origin.
    Peer,
    /// In a sandbox, the origin.
    Sandbox,
}

/// What all loads need.
pub struct Load {
    release: PathBuf,
    dir: PathBuf,
}

/// What came of some turns.
#[derive(Default, Deserialize)]
pub struct Samples {
    nanoseconds: Vec<u64>,
    seconds: f64,
}

impl Samples {
    pub fn add(&mut self, more: Self) {
        self.nanoseconds.extend(more.nanoseconds);
        self.seconds += more.seconds;
    }

    pub fn rate(&self) -> f64 {
        self.nanoseconds.len() as f64 / self.seconds
    }

    pub fn summary(&self) -> Summary {
        let times: Vec<_> = self.nanoseconds.iter().copied().map(Duration::from_nanos).collect();
        Summary::of(&times)
    }
}

impl Load {
    /// Writes what the runs need to `dir`.
    pub fn prepare(release: &Path, dir: &Path, peer: Option<&str>) -> Result<Self> {
        let mut trusted = std::fs::File::create(dir.join("trusted.pem"))?;
        trusted.write_all(&std::fs::read(dir.join("ca.pem"))?)?;
        trusted.write_all(peer.unwrap_or_default().as_bytes())?;
        let load = Self { release: release.to_owned(), dir: dir.to_owned() };
        std::fs::write(load.policy(), policy_text("/**"))?;
        Ok(load)
    }

    /// The file of the policy that sandboxes get.
    pub fn policy(&self) -> PathBuf {
        self.dir.join("policy.yaml")
    }

    /// One turn.
    pub fn run(&self, place: Place, mode: &str, port: u16, concurrency: usize) -> Result<Samples> {
        let mut command = self.command(place, &[], mode, port, TURN, concurrency);
        Ok(serde_json::from_str(&shell::output(&mut command)?)?)
    }

    /// The command of a load; `options` are those of a sandbox.
    pub fn command(
        &self,
        place: Place,
        options: &[&str],
        mode: &str,
        port: u16,
        time: Duration,
        concurrency: usize,
    ) -> Command {
        let program = self.release.join("bench-http");
        let mut command = match place {
            Place::Direct | Place::Peer => {
                let mut command = Command::new(program);
                command.env("SSL_CERT_FILE", self.dir.join("trusted.pem"));
                command
            }
            Place::Sandbox => {
                let mut command = Command::new(self.release.join("navigator"));
                command.args(["run", "-q", "-T", "--audit", "/dev/null"]).args(options);
                command.arg("--upstream-ca").arg(self.dir.join("ca.pem"));
                command.arg("--policy").arg(self.policy());
                command.args(["--mount", &format!("{}:{INSIDE}:ro", program.display())]);
                command.args(["--", INSIDE]);
                command
            }
        };
        let (host, _) = match place {
            Place::Direct | Place::Sandbox => ORIGIN,
            Place::Peer => PEER,
        };
        command.args([mode, host, &port.to_string(), &time.as_millis().to_string()]);
        command.arg(concurrency.to_string());
        command
    }
}

/// A policy that lets the load get these paths.
pub fn policy_text(path: &str) -> String {
    let endpoint = |port: u16, tls: &str| {
        format!(
            "      - {{ host: {}, port: {port}, protocol: rest, {tls}enforcement: enforce, \
             rules: [{{ allow: {{ method: GET, path: \"{path}\" }} }}] }}\n",
            ORIGIN.0
        )
    };
    let terminate = "tls: terminate, ";
    let endpoints =
        [endpoint(80, ""), endpoint(443, terminate), endpoint(EVENTS_PORT, "")].concat();
    format!(
        "version: 1\nfilesystem_policy: {{ read_only: [/usr, /bin, /lib, /lib64, /etc, /proc] }}\n\
         network_policies:\n  bench:\n    endpoints:\n{endpoints}    binaries: [{{ path: {INSIDE} }}]\n"
    )
}
