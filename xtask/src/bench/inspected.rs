//! The rows of inspected requests. Everything runs in one fake internet: the origin, nginx, and the load, which runs
//! in a sandbox for the rows that are ours. Variants take turns, so that a machine that drifts moves all of them.

mod load;
mod nginx;
mod other;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::row::{Check, Kind, Row, Summary};
use crate::shell;
use load::{Load, Place, Samples};
use nginx::Nginx;

/// The origin's name and address.
const ORIGIN: (&str, &str) = ("origin.example", "203.0.113.10");
/// Where nginx stands in front of the origin.
const PEER: (&str, &str) = ("peer.example", "203.0.113.11");
/// Where the origin streams events.
const EVENTS_PORT: u16 = 8080;
/// Turns that each variant takes.
const ROUNDS: usize = 3;
/// The length of one turn.
const TURN: Duration = Duration::from_millis(700);

/// Starts the fake internet and measures inside it.
pub fn rows(release: &Path) -> Result<Vec<Row>> {
    if !shell::has("ip") {
        println!("inspected requests: skipped: `ip` is missing; install iproute2");
        return Ok(vec![]);
    }
    if !shell::has("nginx") {
        println!("nginx as a reverse proxy: skipped: nginx is not installed");
    }
    let dir = std::env::temp_dir().join(format!("navigator-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let mut names = json!({});
    for (name, address) in [ORIGIN, PEER] {
        names[name] = json!([address]);
    }
    let at = |port: u16| format!("{}:{port}", ORIGIN.1);
    // Nobody is at port 9, but the address of the peer must be there.
    let internet = json!({ "names": names, "origins": [
        [at(80), "Quick"], [at(443), { "QuickTls": { "name": ORIGIN.0 } }], [at(EVENTS_PORT), "Web"],
        [format!("{}:9", PEER.1), "Close"],
    ]});
    std::fs::write(dir.join("internet.json"), internet.to_string())?;
    let mut command = Command::new(release.join("fake-internet"));
    command.arg(&dir).arg(std::env::current_exe()?).arg("bench-inside").arg(release).arg(&dir);
    let result = shell::output(&mut command);
    std::fs::remove_dir_all(&dir)?;
    Ok(serde_json::from_str(&result?)?)
}

/// Measures inside the fake internet that [`rows`] made, and prints the rows as JSON.
pub fn inside(release: &Path, dir: &Path) -> Result<()> {
    let nginx = shell::has("nginx").then(|| Nginx::start(dir)).transpose()?;
    let load = Load::prepare(release, dir, nginx.as_ref().map(Nginx::certificate))?;
    let peer = nginx.is_some();
    let mut rows = vec![];
    for wire in [Wire::Plain, Wire::Tls] {
        for concurrency in [1, 16] {
            rows.extend(kept(&load, peer, wire, concurrency)?);
        }
    }
    rows.extend(connections(&load, peer)?);
    rows.extend(other::events(&load)?);
    rows.push(other::watched(&load)?);
    rows.push(other::memory(&load)?);
    println!("{}", serde_json::to_string(&rows)?);
    Ok(())
}

/// What carries requests.
#[derive(Clone, Copy)]
enum Wire {
    Plain,
    Tls,
}

impl Wire {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "HTTP",
            Self::Tls => "HTTPS",
        }
    }

    fn mode(self) -> (&'static str, u16) {
        match self {
            Self::Plain => ("plain", 80),
            Self::Tls => ("tls", 443),
        }
    }

    /// What inspection may add.
    fn added(self) -> Duration {
        match self {
            Self::Plain => Duration::from_micros(100),
            Self::Tls => Duration::from_micros(150),
        }
    }
}

/// The same load direct, by nginx, and from a sandbox.
struct Variants {
    direct: Samples,
    peer: Option<Samples>,
    ours: Samples,
}

fn variants(
    load: &Load,
    peer: bool,
    mode: &str,
    port: u16,
    concurrency: usize,
) -> Result<Variants> {
    let mut all = Variants {
        direct: Samples::default(),
        peer: peer.then(Samples::default),
        ours: Samples::default(),
    };
    for _ in 0..ROUNDS {
        let run = |place| load.run(place, mode, port, concurrency);
        all.direct.add(run(Place::Direct)?);
        if let Some(peer) = &mut all.peer {
            peer.add(run(Place::Peer)?);
        }
        all.ours.add(run(Place::Sandbox)?);
    }
    Ok(all)
}

/// Requests on kept connections: latency, and rate. What is added to a latency means something only where requests
/// do not wait for each other.
fn kept(load: &Load, peer: bool, wire: Wire, concurrency: usize) -> Result<Vec<Row>> {
    let (mode, port) = wire.mode();
    let all = variants(load, peer, mode, port, concurrency)?;
    let added = (concurrency == 1).then_some(wire.added());
    let mut rates = vec![];
    if let (Wire::Plain, Some(peer)) = (wire, &all.peer) {
        let limit = 0.6 * peer.rate();
        rates.push(Check::at_least(all.ours.rate(), limit, "/s (60 % of nginx)"));
    }
    if matches!(wire, Wire::Plain) && concurrency == 16 {
        rates.push(Check::at_least(all.ours.rate(), 15_000.0, "/s"));
    }
    let name = |what: &str| format!("{}, kept, concurrency {concurrency}, {what}", wire.name());
    let mut rows = latencies(&all, &name, added);
    let rate = |what: &str, samples: &Samples, kind| {
        Row::one(format!("rate of {}", name(what)), samples.rate(), "/s", kind)
    };
    rows.push(rate("direct", &all.direct, Kind::Floor));
    rows.extend(all.peer.as_ref().map(|peer| rate("nginx", peer, Kind::Peer)));
    rows.push(rate("inspected", &all.ours, Kind::Ours(rates)));
    Ok(rows)
}

/// New connections with one request each, to a host whose certificate is made already.
fn connections(load: &Load, peer: bool) -> Result<Vec<Row>> {
    let all = variants(load, peer, "connect", 443, 1)?;
    let name = |what: &str| format!("new HTTPS connection and request, {what}");
    Ok(latencies(&all, &name, Some(Duration::from_micros(1_500))))
}

fn latencies(all: &Variants, name: &dyn Fn(&str) -> String, added: Option<Duration>) -> Vec<Row> {
    let (direct, ours) = (all.direct.summary(), all.ours.summary());
    let mut rows = vec![Row::times(name("direct"), direct, Kind::Floor)];
    let peer = all.peer.as_ref().map(Samples::summary);
    rows.extend(peer.map(|peer| Row::times(name("nginx"), peer, Kind::Peer)));
    let checks = added.map(|added| over(&direct, &ours, added)).into_iter().collect();
    rows.push(Row::times(name("inspected"), ours, Kind::Ours(checks)));
    rows
}

/// The median is not longer than this over that of its floor.
fn over(direct: &Summary, ours: &Summary, added: Duration) -> Check {
    let what = format!("p50 ({} µs over direct)", added.as_micros());
    Check::at_most(&what, ours.p50, direct.p50 + added)
}
