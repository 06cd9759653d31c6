//! Whether a script is still what was started under its name.
//!
//! An interpreter keeps no trace of the file that it read, so a script counts only while nothing on its path has been
//! touched since before the process started: then the name led to this file all along. Renaming, linking and writing
//! each stamp the file, link or directory that they move (`st_ctime`, inode(7)), and no program can set that stamp.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicI64, Ordering};

use rustix::fs::{AtFlags, FileType, OFlags, StatxAttributes, StatxFlags, readlinkat, statx};
use rustix::time::{ClockId, clock_gettime};

use super::executable::open_inside;
use super::preload::is_below;

/// `/proc` counts in these, and rounds down (`USER_HZ`, the same on every supported architecture).
const NANOSECONDS_PER_TICK: i64 = 10_000_000;
/// Stamps lag behind by up to one turn of the kernel's clock, and starts are rounded: this covers both amply.
const MARGIN: i64 = 100_000_000;
/// Links that a path may lead through.
const MAX_LINKS: usize = 8;
/// Components that a path may have, links included.
const MAX_COMPONENTS: usize = 128;

/// The machine's clock, against the time since boot in which processes start.
#[derive(Debug)]
pub(super) struct Clock {
    /// The least difference that was seen. If the clock is set forward, stamps from before that must not look older
    /// than they are.
    least: AtomicI64,
}

impl Clock {
    pub(super) fn new() -> Clock {
        Clock { least: AtomicI64::new(difference()) }
    }

    /// The time at or before which a process surely had not started yet, in nanoseconds of the machine's clock.
    pub(super) fn before_start(&self, started_ticks: u64) -> i64 {
        let now = difference();
        let least = self.least.fetch_min(now, Ordering::Relaxed).min(now);
        let since_boot =
            i64::try_from(started_ticks).unwrap_or(0).saturating_mul(NANOSECONDS_PER_TICK);
        least.saturating_add(since_boot).saturating_sub(MARGIN)
    }
}

fn difference() -> i64 {
    let nanoseconds = |clock| {
        let time = clock_gettime(clock);
        time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
    };
    nanoseconds(ClockId::Realtime).saturating_sub(nanoseconds(ClockId::Boottime))
}

/// Whether a path led to the same file at every time since `moment`. What cannot be told is a no.
pub(super) fn since(moment: i64, root: BorrowedFd<'_>, path: &str, read_only: &[String]) -> bool {
    is_below(path, read_only) || Walk { moment, root, links: 0, components: 0 }.settled(path)
}

struct Walk<'a> {
    moment: i64,
    root: BorrowedFd<'a>,
    links: usize,
    components: usize,
}

impl Walk<'_> {
    /// Looks at each component from the root on. What comes before a component was looked at already and is no link,
    /// so opening it follows none.
    fn settled(&mut self, path: &str) -> bool {
        let mut rest: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut reached = String::new();
        while let Some(component) = rest.pop() {
            self.components += 1;
            if self.components > MAX_COMPONENTS {
                return false;
            }
            match component.as_str() {
                "" | "." => continue,
                ".." => {
                    reached.truncate(reached.rfind('/').unwrap_or(0));
                    continue;
                }
                name => {
                    reached.push('/');
                    reached.push_str(name);
                }
            }
            match self.component(&reached) {
                Some(None) => {}
                Some(Some(target)) => {
                    let parent = reached.rfind('/').unwrap_or(0);
                    reached.truncate(if target.starts_with('/') { 0 } else { parent });
                    rest.extend(target.split('/').rev().map(str::to_owned));
                }
                None => return false,
            }
        }
        true
    }

    /// `None` when it was touched; otherwise where it leads if it is a link.
    fn component(&mut self, path: &str) -> Option<Option<String>> {
        let file = open_inside(self.root, path, OFlags::PATH | OFlags::NOFOLLOW).ok()?;
        let wanted = StatxFlags::CTIME | StatxFlags::TYPE;
        let stat = statx(&file, "", AtFlags::EMPTY_PATH, wanted).ok()?;
        let changed = stat.stx_ctime.tv_sec.saturating_mul(1_000_000_000);
        let changed = changed.saturating_add(i64::from(stat.stx_ctime.tv_nsec));
        let kind = FileType::from_raw_mode(stat.stx_mode.into());
        // The place of a mount cannot be moved, and a mounted directory is touched by every file made in it.
        let is_mounted_directory = kind == FileType::Directory
            && stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
        if changed >= self.moment && !is_mounted_directory {
            return None;
        }
        if kind != FileType::Symlink {
            return Some(None);
        }
        self.links += 1;
        if self.links > MAX_LINKS {
            return None;
        }
        let target = readlinkat(&file, "", Vec::new()).ok()?;
        Some(Some(target.into_string().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::{AsFd, OwnedFd};
    use std::os::unix::fs::{MetadataExt, symlink};

    use rustix::fs::{CWD, Mode, openat};
    use tempfile::TempDir;

    use super::*;

    /// `/a/b/script`, and `/link` to it; everything was last touched at the moment that is given back.
    fn root() -> (TempDir, OwnedFd, i64) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/b/script"), "#!/bin/sh\n").unwrap();
        symlink("a/b/script", dir.path().join("link")).unwrap();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = openat(CWD, dir.path(), flags, Mode::empty()).unwrap();
        let last = ["a", "a/b", "a/b/script", "link"]
            .iter()
            .map(|path| {
                let meta = fs::symlink_metadata(dir.path().join(path)).unwrap();
                meta.ctime() * 1_000_000_000 + meta.ctime_nsec()
            })
            .max()
            .unwrap();
        (dir, fd, last)
    }

    fn settled(moment: i64, root: &OwnedFd, path: &str) -> bool {
        since(moment, root.as_fd(), path, &["/usr".to_owned()])
    }

    /// Changes something until its stamp is later than `last`: stamps move in steps of the kernel's clock.
    fn touch(last: i64, path: &std::path::Path, change: impl Fn()) {
        let stamp = || {
            let meta = fs::symlink_metadata(path).unwrap();
            meta.ctime() * 1_000_000_000 + meta.ctime_nsec()
        };
        while stamp() <= last {
            change();
        }
    }

    #[test]
    fn a_path_that_nobody_touched_is_settled() {
        let (_dir, root, last) = root();
        for path in ["/a/b/script", "/link"] {
            assert!(settled(last + 1, &root, path));
            assert!(!settled(last, &root, path), "{path} was touched at that very moment");
        }
        assert!(settled(0, &root, "/usr/bin/anything"), "nothing inside can change it");
        assert!(!settled(i64::MAX, &root, "/missing"));
    }

    #[test]
    fn a_script_that_was_moved_away_and_put_back_is_not() {
        let (dir, root, last) = root();
        let path = |name: &str| dir.path().join(name);
        touch(last, &path("a/b/script"), || {
            fs::rename(path("a/b/script"), path("kept")).unwrap();
            fs::rename(path("kept"), path("a/b/script")).unwrap();
        });
        assert!(!settled(last + 1, &root, "/a/b/script"));
        assert!(!settled(last + 1, &root, "/link"), "also through a link that was left alone");
    }

    #[test]
    fn a_directory_above_it_that_was_moved_away_and_put_back_is_noticed() {
        let (dir, root, last) = root();
        let path = |name: &str| dir.path().join(name);
        touch(last, &path("a"), || {
            fs::rename(path("a"), path("kept")).unwrap();
            fs::rename(path("kept"), path("a")).unwrap();
        });
        assert!(!settled(last + 1, &root, "/a/b/script"));
        assert!(!settled(last + 1, &root, "/link"));
    }

    #[test]
    fn a_link_that_was_turned_and_turned_back_is_noticed() {
        let (dir, root, last) = root();
        touch(last, &dir.path().join("link"), || {
            fs::remove_file(dir.path().join("link")).unwrap();
            symlink("a/b/script", dir.path().join("link")).unwrap();
        });
        assert!(!settled(last + 1, &root, "/link"));
        assert!(settled(last + 1, &root, "/a/b/script"));
    }

    #[test]
    fn links_in_a_circle_end() {
        let (dir, root, _last) = root();
        symlink("/round", dir.path().join("round")).unwrap();
        assert!(!settled(i64::MAX, &root, "/round"));
    }

    #[test]
    fn this_process_started_before_now() {
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        let started: u64 =
            stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap();
        let before = Clock::new().before_start(started);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let age = i64::try_from(now.as_nanos()).unwrap() - before;
        assert!((MARGIN..3_600_000_000_000).contains(&age), "{age} ns");
    }
}
