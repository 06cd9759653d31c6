//! Where this process may make cgroups. Sources: cgroups(7), proc_pid_mountinfo(5), the kernel's
//! "Delegation Containment" rules for version 2.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

/// Version of the cgroup interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

impl Version {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::One => "v1",
            Self::Two => "v2",
        }
    }
}

/// A directory below which a group can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) version: Version,
    pub(super) parent: PathBuf,
}

/// The cgroup hierarchies that are mounted, and this process's place in each.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hierarchies {
    v1: Vec<Mounted>,
    v2: Option<Mounted>,
}

#[derive(Debug, PartialEq, Eq)]
struct Mounted {
    controllers: Vec<String>,
    mount: PathBuf,
    own: PathBuf,
}

impl Hierarchies {
    pub(super) fn of_this_process() -> io::Result<Self> {
        let memberships = std::fs::read_to_string("/proc/self/cgroup")?;
        let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
        Ok(Self::parse(&memberships, &mounts))
    }

    fn parse(memberships: &str, mounts: &str) -> Self {
        let (mut v1, mut v2) = (vec![], None);
        for line in memberships.lines() {
            let mut fields = line.splitn(3, ':');
            let (Some(number), Some(controllers), Some(path)) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let controllers: Vec<String> =
                controllers.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
            let Some(mount) = find_mount(mounts, &controllers) else { continue };
            let own = mount.join(path.trim_start_matches('/'));
            let mounted = Mounted { controllers, mount, own };
            if number == "0" { v2 = Some(mounted) } else { v1.push(mounted) }
        }
        Self { v1, v2 }
    }

    /// For each controller the directory where a group with it can be made.
    ///
    /// A process is in one group of version 2 only, so all controllers of that version share a place: the
    /// nearest that has most of them. What a group offers is a part of what those above it offer
    /// (cgroups(7)), so no choice is lost by that.
    pub(super) fn places(&self, controllers: &[&str]) -> Vec<Option<Place>> {
        let shared = self.v2.as_ref().and_then(|mounted| {
            let offered = mounted.up().map(|directory| (directory, delegated(directory)));
            let count = |offers: &[String]| controllers.iter().filter(|c| has(offers, c)).count();
            let mut best: Option<(&Path, Vec<String>)> = None;
            for (directory, offers) in offered {
                if count(&offers) > best.as_ref().map_or(0, |(_, offers)| count(offers)) {
                    best = Some((directory, offers));
                }
            }
            best
        });
        let place = |controller: &&str| match &shared {
            Some((directory, offers)) if has(offers, controller) => {
                Some(Place { version: Version::Two, parent: directory.to_path_buf() })
            }
            Some(_) | None => self.first_version(controller),
        };
        controllers.iter().map(place).collect()
    }

    fn first_version(&self, controller: &str) -> Option<Place> {
        let mounted = self.v1.iter().find(|mounted| has(&mounted.controllers, controller))?;
        let parent = mounted.up().find(|directory| writable(directory))?;
        Some(Place { version: Version::One, parent: parent.to_owned() })
    }
}

fn has(controllers: &[String], controller: &str) -> bool {
    controllers.iter().any(|name| name == controller)
}

impl Mounted {
    /// The own group and those above it, up to the mount.
    fn up(&self) -> impl Iterator<Item = &Path> {
        self.own.ancestors().take_while(|directory| directory.starts_with(&self.mount))
    }
}

/// The mount point of version 2 (no controllers named) or of the version 1 hierarchy with these.
fn find_mount(mounts: &str, controllers: &[String]) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mount = before.split(' ').nth(4)?;
        let mut after = after.split(' ');
        let (kind, options) = (after.next()?, after.nth(1)?);
        let wanted = match controllers {
            [] => kind == "cgroup2",
            [first, ..] => kind == "cgroup" && options.split(',').any(|option| option == first),
        };
        wanted.then(|| PathBuf::from(mount))
    })
}

/// The controllers that children of a version 2 group have; none when no process may be moved into them.
fn delegated(directory: &Path) -> Vec<String> {
    if !writable(directory) {
        return vec![];
    }
    let offers = std::fs::read_to_string(directory.join("cgroup.subtree_control"));
    offers.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

fn writable(directory: &Path) -> bool {
    let allowed = |path: &Path| rustix::fs::access(path, Access::WRITE_OK).is_ok();
    allowed(directory) && allowed(&directory.join("cgroup.procs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
30 20 0:25 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
31 20 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
32 20 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";

    #[test]
    fn hybrid_layouts_are_understood() {
        let found = Hierarchies::parse("4:memory:/a/b\n3:cpu,cpuacct:/\n0::/user.slice\n", MOUNTS);
        assert_eq!(found.v1[0].own, Path::new("/sys/fs/cgroup/memory/a/b"));
        assert_eq!(found.v1[1].own, Path::new("/sys/fs/cgroup/cpu,cpuacct/"));
        assert_eq!(found.v2.unwrap().own, Path::new("/sys/fs/cgroup/unified/user.slice"));
    }

    #[test]
    fn a_hierarchy_that_is_not_mounted_is_no_place() {
        let found = Hierarchies::parse("8:pids:/\nnonsense\n", MOUNTS);
        assert_eq!(found, Hierarchies { v1: vec![], v2: None });
        assert_eq!(found.places(&["pids"]), [None]);
    }

    /// A version 2 tree `/a/b` with what each group offers its children; this process is in `/a/b`.
    fn tree(root: &str, a: &str, b: &str) -> (tempfile::TempDir, Hierarchies) {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("a/b");
        std::fs::create_dir_all(&own).unwrap();
        for (group, offers) in own.ancestors().zip([b, a, root]) {
            std::fs::write(group.join("cgroup.procs"), "").unwrap();
            std::fs::write(group.join("cgroup.subtree_control"), offers).unwrap();
        }
        let mounted = Mounted { controllers: vec![], mount: dir.path().to_owned(), own };
        (dir, Hierarchies { v1: vec![], v2: Some(mounted) })
    }

    fn second(parent: PathBuf) -> Option<Place> {
        Some(Place { version: Version::Two, parent })
    }

    #[test]
    fn a_group_needs_its_controller_in_the_parent() {
        let (dir, found) = tree("memory pids\n", "memory pids\n", "");
        assert_eq!(found.places(&["memory"]), [second(dir.path().join("a"))]);
        assert_eq!(found.places(&["cpu"]), [None]);
    }

    #[test]
    fn controllers_of_version_2_share_one_group() {
        let (dir, found) = tree("cpu memory pids\n", "memory pids\n", "");
        let root = || second(dir.path().to_owned());
        assert_eq!(found.places(&["memory", "cpu", "pids"]), [root(), root(), root()]);
        assert_eq!(found.places(&["memory", "pids"])[0], second(dir.path().join("a")));
    }

    #[test]
    fn a_controller_that_nothing_above_offers_has_no_place() {
        let (dir, found) = tree("memory pids\n", "memory pids\n", "");
        let near = || second(dir.path().join("a"));
        assert_eq!(found.places(&["memory", "cpu", "pids"]), [near(), None, near()]);
    }

    #[test]
    fn a_hybrid_layout_uses_each_version_for_what_it_has() {
        let (dir, mut found) = tree("memory\n", "memory\n", "");
        let first = dir.path().join("first");
        std::fs::create_dir(&first).unwrap();
        std::fs::write(first.join("cgroup.procs"), "").unwrap();
        let controllers = vec!["cpu".to_owned(), "cpuacct".to_owned()];
        found.v1.push(Mounted { controllers, mount: first.clone(), own: first.join("gone") });
        let places = found.places(&["memory", "cpu"]);
        assert_eq!(places[0], second(dir.path().join("a")));
        assert_eq!(places[1], Some(Place { version: Version::One, parent: first }));
    }
}
