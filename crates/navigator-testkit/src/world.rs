//! The namespaces of a fake internet and what runs in them.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use nix::sched::CloneFlags;
use rustix::mount::MountPropagationFlags;

use crate::{FakeInternet, Seen, dns, origin};

/// Where servers note what they see.
#[derive(Clone)]
pub(crate) struct Log(Arc<Mutex<File>>);

impl Log {
    /// Notes one thing; a log that cannot be written makes the test fail by what is missing in it.
    pub(crate) fn note(&self, kind: &str, what: &str, detail: &str) {
        let seen = Seen { kind: kind.to_owned(), what: what.to_owned(), detail: detail.to_owned() };
        let mut line = serde_json::to_vec(&seen).unwrap_or_default();
        line.push(b'\n');
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.write_all(&line) {
            eprintln!("fake-internet: failed to note what was seen: {error}");
        }
    }
}

/// Makes the fake internet described in `dir`, runs a command in it, and returns the command's exit code. Must
/// be called while the process has one thread.
///
/// # Errors
/// When the namespaces or servers cannot be made, or the command cannot be started.
pub fn live(dir: &Path, command: &mut Command) -> Result<ExitCode> {
    let text =
        std::fs::read(dir.join("internet.json")).context("failed to read the description")?;
    let internet: FakeInternet = serde_json::from_slice(&text)?;
    enter()?;
    let addresses: BTreeSet<IpAddr> =
        internet.origins.iter().map(|(address, _)| address.ip()).collect();
    ip(&["link", "set", "lo", "up"])?;
    for address in addresses {
        match address {
            IpAddr::V4(address) => ip(&["address", "add", &format!("{address}/32"), "dev", "lo"])?,
            IpAddr::V6(address) => {
                ip(&["address", "add", &format!("{address}/128"), "dev", "lo", "nodad"])?;
            }
        }
    }
    cover(&dir.join("resolv.conf"), "nameserver 127.0.0.1\n", "/etc/resolv.conf")?;
    cover(&dir.join("hosts"), "127.0.0.1 localhost\n", "/etc/hosts")?;
    let log = Log(Arc::new(Mutex::new(File::create(dir.join("seen.jsonl"))?)));
    dns::serve(internet.names.clone(), log.clone())?;
    origin::serve(&internet.origins, dir, &log)?;
    let status = command.status().context("failed to start the command")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(255);
    Ok(ExitCode::from(code))
}

/// New network and mount namespaces; an ordinary user needs a user namespace to make them.
fn enter() -> Result<()> {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    let mut flags = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS;
    if !uid.is_root() {
        flags |= CloneFlags::CLONE_NEWUSER;
    }
    nix::sched::unshare(flags).context("failed to make namespaces")?;
    if !uid.is_root() {
        std::fs::write("/proc/self/setgroups", "deny")?;
        std::fs::write("/proc/self/uid_map", format!("{0} {0} 1", uid.as_raw()))?;
        std::fs::write("/proc/self/gid_map", format!("{0} {0} 1", gid.as_raw()))?;
        // A capability is kept over exec only when it is inheritable and ambient; `ip` needs this one.
        let mut sets = rustix::thread::capabilities(None)?;
        sets.inheritable |= rustix::thread::CapabilitySet::NET_ADMIN;
        rustix::thread::set_capabilities(None, sets)?;
    }
    let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", flags).context("failed to make mounts private")
}

/// Runs `ip` with the one capability that it needs; other programs never get it.
fn ip(args: &[&str]) -> Result<()> {
    let ambient = |on| {
        let capability = rustix::thread::CapabilitySet::NET_ADMIN;
        rustix::thread::configure_capability_in_ambient_set(capability, on)
    };
    let root = rustix::process::geteuid().is_root();
    if !root {
        ambient(true)?;
    }
    let status = Command::new("ip").args(args).status();
    if !root {
        ambient(false)?;
    }
    ensure!(
        status.context("failed to start `ip`; install iproute2")?.success(),
        "ip {args:?} failed"
    );
    Ok(())
}

/// Shows another content in place of a file.
fn cover(with: &Path, content: &str, path: &str) -> Result<()> {
    std::fs::write(with, content)?;
    let real = Path::new(path).canonicalize().with_context(|| format!("{path} is missing"))?;
    rustix::mount::mount_bind(with, &real).with_context(|| format!("failed to cover {path}"))
}
