//! Which host ids stand behind the ids of a sandbox.
//!
//! As root a sandbox gets a range of host ids that nobody else has; as an ordinary user it gets that user's
//! own id and nothing more. Source: user_namespaces(7).

use std::io;

use rustix::process::Pid;

use crate::spec::User;

/// First host id of the lowest range; far above what `/etc/subuid` and systemd hand out.
const RANGES_START: u32 = 0x4000_0000;
/// Number of ids in a range.
pub(crate) const RANGE_LENGTH: u32 = 0x1_0000;
/// Number of ranges; running sandboxes rarely share one, and when they do their namespaces still part them.
const RANGES: u32 = 0x2000;

/// How the ids inside are mapped to ids outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdMap {
    /// Ids 0 to 65535 inside are a range outside.
    Range {
        /// Host id of id 0.
        base: u32,
    },
    /// The sandbox's user inside is the caller outside.
    Single {
        /// The caller's user id.
        uid: u32,
        /// The caller's group id.
        gid: u32,
    },
}

impl IdMap {
    /// Picks the map for this process: a range when it may hand out any id, else its own id.
    pub(crate) fn choose() -> io::Result<Self> {
        let uid = rustix::process::geteuid().as_raw();
        let gid = rustix::process::getegid().as_raw();
        let own = std::fs::read_to_string("/proc/self/uid_map")?;
        if uid == 0 && maps_everything(&own) {
            let slot = std::process::id() % RANGES;
            return Ok(Self::Range { base: RANGES_START + slot * RANGE_LENGTH });
        }
        Ok(Self::Single { uid, gid })
    }

    /// Writes the maps of a process that was just cloned into a new user namespace.
    pub(crate) fn write(self, pid: Pid, user: &User) -> io::Result<()> {
        let file = |name: &str| format!("/proc/{}/{name}", pid.as_raw_nonzero());
        let (uid_map, gid_map) = match self {
            Self::Range { base } => {
                let line = format!("0 {base} {RANGE_LENGTH}");
                (line.clone(), line)
            }
            Self::Single { uid, gid } => {
                std::fs::write(file("setgroups"), "deny")?;
                (format!("{} {uid} 1", user.uid), format!("{} {gid} 1", user.gid))
            }
        };
        std::fs::write(file("uid_map"), uid_map)?;
        std::fs::write(file("gid_map"), gid_map)
    }

    /// The ids inside that init takes: those that own what it makes.
    pub(crate) fn init_ids(self, user: &User) -> (u32, u32) {
        match self {
            Self::Range { .. } => (0, 0),
            Self::Single { .. } => (user.uid, user.gid),
        }
    }

    /// Whether supplementary groups can be dropped. An unprivileged user namespace forbids it.
    pub(crate) fn may_drop_groups(self) -> bool {
        matches!(self, Self::Range { .. })
    }
}

fn maps_everything(uid_map: &str) -> bool {
    let mut fields = uid_map.split_ascii_whitespace().map(str::parse::<u64>);
    matches!(
        (fields.next(), fields.next(), fields.next()),
        (Some(Ok(0)), Some(Ok(0)), Some(Ok(length))) if length >= u64::from(u32::MAX)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_initial_map_counts_as_everything() {
        assert!(maps_everything("         0          0 4294967295\n"));
        assert!(!maps_everything("0 100000 65536\n"));
        assert!(!maps_everything("0 0 65536\n"));
        assert!(!maps_everything(""));
    }
}
