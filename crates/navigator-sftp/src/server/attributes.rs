//! Attributes of files: as the system gives them, and set as a client asks.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use crate::wire::Attributes;

/// Bits of a mode that a client may set.
const MODE: u32 = 0o7777;

/// Attributes of a file; times outside the protocol's range become its ends.
pub(super) fn of(stat: &Stat) -> Attributes {
    Attributes {
        size: Some(u64::try_from(stat.st_size).unwrap_or(0)),
        owner: Some((stat.st_uid, stat.st_gid)),
        permissions: Some(stat.st_mode),
        times: Some((seconds(stat.st_atime), seconds(stat.st_mtime))),
    }
}

fn seconds(time: i64) -> u32 {
    u32::try_from(time.max(0)).unwrap_or(u32::MAX)
}

/// The mode that a new file or directory asks for.
pub(super) fn mode(attributes: &Attributes, usual: u32) -> Mode {
    Mode::from_raw_mode(attributes.permissions.unwrap_or(usual) & MODE)
}

/// Sets attributes of an open file.
pub(super) fn set_open(file: &OwnedFd, wanted: &Attributes) -> Result<(), Errno> {
    if let Some(size) = wanted.size {
        rustix::fs::ftruncate(file, size)?;
    }
    if wanted.permissions.is_some() {
        rustix::fs::fchmod(file, mode(wanted, 0))?;
    }
    if let Some(times) = wanted.times {
        rustix::fs::futimens(file, &timestamps(times))?;
    }
    if let Some((user, group)) = wanted.owner {
        rustix::fs::fchown(file, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))?;
    }
    Ok(())
}

/// Sets attributes of a name; `follow` says whether of a link or of what it names.
pub(super) fn set(
    from: &OwnedFd,
    path: &[u8],
    follow: AtFlags,
    wanted: &Attributes,
) -> Result<(), Errno> {
    if let Some(size) = wanted.size {
        let mut flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        flags.set(OFlags::NOFOLLOW, follow.contains(AtFlags::SYMLINK_NOFOLLOW));
        let file = rustix::fs::openat(from, path, flags, Mode::empty())?;
        rustix::fs::ftruncate(file, size)?;
    }
    if wanted.permissions.is_some() {
        set_mode(from, path, follow, mode(wanted, 0))?;
    }
    if let Some(times) = wanted.times {
        rustix::fs::utimensat(from, path, &timestamps(times), follow)?;
    }
    if let Some((user, group)) = wanted.owner {
        let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
        rustix::fs::chownat(from, path, Some(user), Some(group), follow)?;
    }
    Ok(())
}

/// Linux has no mode of a link: asking for one is refused, and never changes what the link names.
fn set_mode(from: impl AsFd, path: &[u8], follow: AtFlags, mode: Mode) -> Result<(), Errno> {
    if follow.contains(AtFlags::SYMLINK_NOFOLLOW) {
        let stat = rustix::fs::statat(&from, path, follow)?;
        if rustix::fs::FileType::from_raw_mode(stat.st_mode).is_symlink() {
            return Err(Errno::OPNOTSUPP);
        }
    }
    rustix::fs::chmodat(from, path, mode, AtFlags::empty())
}

fn timestamps((access, change): (u32, u32)) -> Timestamps {
    let at = |seconds: u32| Timespec { tv_sec: seconds.into(), tv_nsec: 0 };
    Timestamps { last_access: at(access), last_modification: at(change) }
}
