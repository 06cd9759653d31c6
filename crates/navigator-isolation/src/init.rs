//! Process 1 of a sandbox: builds it from inside, starts what the supervisor asks for, reaps what ends.
//!
//! It is a copy of the single-threaded supervisor, taken before that held any secret. It never enters the
//! processes' Landlock domain, so none of them can signal or trace it. When the supervisor is gone it ends,
//! and the kernel ends everything in its pid namespace with it (pid_namespaces(7)).

mod serving;
mod sessions;
mod terminals;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;

use crate::access::Domain;
use crate::binds::Detached;
use crate::channel::{Channel, DESCRIPTORS, Report, Request, WayKind};
use crate::confine::raw;
use crate::ids::IdMap;
use crate::seccomp::Filters;
use crate::spec::{LayerStatus, Network, SandboxSpec, SkippedPath};
use crate::{connects, mounts, network, sys};
use serving::Serving;

/// How readily the kernel ends a process of a sandbox when the machine runs out of memory, before anything
/// of the user's own. Source: proc_pid_oom_score_adj(5).
const OOM_SCORE: &str = "500";

/// Fields of proc_pid_stat(5): where a process's arguments begin and end in its memory.
const ARG_START: usize = 48;
const ARG_END: usize = 49;

/// What init needs from before the clone.
pub(crate) struct Init {
    pub(crate) spec: SandboxSpec,
    pub(crate) ids: IdMap,
    pub(crate) channel: Channel,
    pub(crate) mounts: Detached,
}

impl Init {
    /// Runs process 1. Returns its exit code.
    pub(crate) fn run(self) -> i32 {
        let channel = match self.prepare() {
            Ok(()) => &self.channel,
            Err(_) => return 1,
        };
        match channel.receive::<Request>() {
            Ok(Some((Request::Proceed, _))) => {}
            Ok(_) | Err(_) => return 1,
        }
        let Self { spec, ids, channel, mounts } = self;
        match set_up(&spec, ids, mounts, &channel) {
            Ok(ready) => {
                let _guard = &ready.signals;
                Serving::new(&spec, ids, &channel, &ready).run()
            }
            Err(message) => i32::from(channel.send(&Report::Failed { message }, &[]).is_err()) + 1,
        }
    }

    /// Ends with the supervisor, holds nothing of its, and can be looked at by nobody.
    fn prepare(&self) -> io::Result<()> {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        let mut keep: Vec<i32> = vec![0, 1, 2, raw(&self.channel.as_fd())];
        keep.extend(self.mounts.descriptors().map(AsRawFd::as_raw_fd));
        keep.sort_unstable();
        sys::close_all_but(&keep)?;
        rustix::thread::set_name(c"navigator-init")?;
        std::fs::write("/proc/self/oom_score_adj", OOM_SCORE)?;
        forget_arguments()
    }
}

/// Wipes the arguments that the supervisor was started with: what is in this memory is for everybody inside to see in
/// `/proc/1/cmdline`, and names what is outside.
fn forget_arguments() -> io::Result<()> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // Behind the name, which may hold anything, the first field is the third of proc_pid_stat(5).
    let fields: Vec<&str> =
        stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).and_then(|field| field.parse::<u64>().ok());
    let (Some(start), Some(end)) = (field(ARG_START), field(ARG_END)) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let memory = std::fs::OpenOptions::new().write(true).open("/proc/self/mem")?;
    let length = usize::try_from(end.saturating_sub(start)).unwrap_or(0);
    memory.write_all_at(&vec![0; length], start)
}

/// The finished sandbox, as init holds it.
struct Ready {
    domain: Domain,
    filters: Filters,
    signals: OwnedFd,
    landlock: bool,
}

/// An error with its causes, as the supervisor will show it.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn say<E: std::error::Error + 'static>(error: E) -> String {
    words(&error)
}

/// Puts the failed step in front of a system error.
fn step<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> String {
    move |error| format!("failed to {what}: {}", error.into())
}

fn set_up(
    spec: &SandboxSpec,
    ids: IdMap,
    mounts: Detached,
    channel: &Channel,
) -> Result<Ready, String> {
    take_ids(spec, ids).map_err(step("take the sandbox's ids"))?;
    rustix::system::sethostname(spec.name.as_bytes()).map_err(step("set the host name"))?;
    let mut ways = match &spec.network {
        Network::None => vec![],
        Network::Captured { ports } => network::capture(ports).map_err(say)?,
    };
    let owner = (spec.user.uid, spec.user.gid);
    let grants = mounts::enter(spec, owner, mounts).map_err(say)?;
    let mut skipped = grants.skipped;
    let (domain, landlock) =
        Domain::new(&grants.rules, &spec.network, spec.landlock, &mut skipped).map_err(say)?;
    let filters = Filters::new(&spec.network, ids).map_err(say)?;
    let signals = sys::child_signals().map_err(step("watch for ended processes"))?;
    let enforced = domain.for_process().map_err(step("copy the Landlock rules"))?.is_some();
    let places = open_places().map_err(step("open its own /proc and /"))?;
    if matches!(spec.network, Network::Captured { .. }) {
        // From here on nothing may name a file before the supervisor listens, and it does once it is told.
        let connects = connects::install(spec.observe)
            .map_err(step("make connects wait for a look at their program"))?;
        ways.push((WayKind::Connects, connects));
    }
    send_ways(channel, ways).map_err(step("hand out the sandbox's sockets"))?;
    announce(channel, layers(landlock, ids), skipped, &places)
        .map_err(step("report that it is ready"))?;
    Ok(Ready { domain, filters, signals, landlock: enforced })
}

/// Becomes the user inside that owns what init makes; from here on init has no right outside.
fn take_ids(spec: &SandboxSpec, ids: IdMap) -> io::Result<()> {
    let (uid, gid) = ids.init_ids(&spec.user);
    let (uid, gid) = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
    rustix::thread::set_keep_capabilities(true)?;
    if ids.may_drop_groups() {
        rustix::thread::set_thread_groups(&[])?;
    }
    let all = rustix::thread::capabilities(None)?.permitted;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    let sets = rustix::thread::CapabilitySets {
        effective: all,
        permitted: all,
        inheritable: rustix::thread::CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, sets)?;
    // Changing ids cleared the death signal and may have made this process traceable: set both again.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    Ok(())
}

fn send_ways(channel: &Channel, ways: Vec<(WayKind, OwnedFd)>) -> io::Result<()> {
    for batch in ways.chunks(DESCRIPTORS) {
        let kinds = batch.iter().map(|(kind, _)| *kind).collect();
        let fds: Vec<BorrowedFd<'_>> = batch.iter().map(|(_, fd)| fd.as_fd()).collect();
        channel.send(&Report::Ways(kinds), &fds)?;
    }
    Ok(())
}

/// The sandbox's `/proc` and root, by which it is examined.
fn open_places() -> io::Result<[OwnedFd; 2]> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc = rustix::fs::open("/proc", flags, Mode::empty())?;
    Ok([proc, rustix::fs::open("/", flags, Mode::empty())?])
}

fn announce(
    channel: &Channel,
    layers: Vec<LayerStatus>,
    skipped: Vec<SkippedPath>,
    places: &[OwnedFd; 2],
) -> io::Result<()> {
    channel.send(&Report::Ready { layers, skipped }, &places.each_ref().map(AsFd::as_fd))
}

fn layers(landlock: LayerStatus, ids: IdMap) -> Vec<LayerStatus> {
    let enforced = |layer: &str, detail: &str| LayerStatus {
        layer: layer.into(),
        degraded: None,
        detail: detail.into(),
    };
    let groups = match ids {
        IdMap::Range { .. } => None,
        IdMap::Single { .. } => Some(
            "an ordinary user's supplementary groups cannot be dropped; only granted paths are mounted"
                .to_owned(),
        ),
    };
    vec![
        enforced("namespaces", "user, mount, pid, network, ipc, uts, cgroup"),
        enforced("mounts", "granted paths only"),
        landlock,
        enforced("seccomp", "filter loaded into every process"),
        LayerStatus {
            layer: "privileges".into(),
            degraded: groups,
            detail: "no capabilities, no_new_privs".into(),
        },
    ]
}
