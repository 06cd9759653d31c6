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

    /// The nearest directory where a group with this controller can be made.
    pub(super) fn place(&self, controller: &str) -> Option<Place> {
        let second = self.v2.as_ref().and_then(|mounted| {
            let parent = mounted.up().find(|directory| delegated(directory, controller))?;
            Some(Place { version: Version::Two, parent: parent.to_owned() })
        });
        second.or_else(|| {
            let has =
                |mounted: &&Mounted| mounted.controllers.iter().any(|name| name == controller);
            let mounted = self.v1.iter().find(has)?;
            let parent = mounted.up().find(|directory| writable(directory))?;
            Some(Place { version: Version::One, parent: parent.to_owned() })
        })
    }
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

/// A version 2 group whose children have the controller and into which processes may be moved.
fn delegated(directory: &Path, controller: &str) -> bool {
    let offers = std::fs::read_to_string(directory.join("cgroup.subtree_control"))
        .is_ok_and(|text| text.split_whitespace().any(|name| name == controller));
    offers && writable(directory)
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
        assert_eq!(found.place("pids"), None);
    }

    #[test]
    fn a_group_needs_its_controller_in_the_parent() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("a");
        std::fs::create_dir(&own).unwrap();
        for group in [dir.path(), &own] {
            std::fs::write(group.join("cgroup.procs"), "").unwrap();
        }
        std::fs::write(own.join("cgroup.subtree_control"), "").unwrap();
        std::fs::write(dir.path().join("cgroup.subtree_control"), "memory pids\n").unwrap();
        let mounted = Mounted { controllers: vec![], mount: dir.path().to_owned(), own };
        let found = Hierarchies { v1: vec![], v2: Some(mounted) };
        assert_eq!(
            found.place("memory"),
            Some(Place { version: Version::Two, parent: dir.path().to_owned() })
        );
        assert_eq!(found.place("cpu"), None);
    }
}
