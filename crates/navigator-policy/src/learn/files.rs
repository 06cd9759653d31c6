//! From the files that programs used to the shortest list of paths that grants them.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::Policy;
use crate::paths::SandboxPath;

/// Files beside each other that are listed one by one; from the next one on their directory stands for them.
const SIBLINGS: usize = 4;
/// Paths that a learned policy lists; with more of them, fewer siblings are listed one by one.
const PATHS: usize = 200;

/// A directory, or a file without anything in it.
#[derive(Default)]
struct Node<'a> {
    used: bool,
    below: BTreeMap<&'a str, Node<'a>>,
}

impl Policy {
    /// Reduces what may be read to what was used. Nothing is granted that was not granted before.
    ///
    /// What every sandbox has of its own (`/proc`, `/dev`) stays as it is listed.
    pub fn learn_files(&mut self, used: &BTreeSet<String>) {
        let own = |path: &&SandboxPath| {
            let top = path.as_str().split('/').nth(1).unwrap_or_default();
            ["proc", "dev"].contains(&top)
        };
        let before = &self.filesystem.read_only;
        let granted = |path: &&String| before.iter().any(|listed| is_below(path, listed.as_str()));
        let used: Vec<&str> = used.iter().filter(granted).map(String::as_str).collect();
        let mut paths: Vec<SandboxPath> = before.iter().filter(own).cloned().collect();
        let folded = shortest(&used);
        for path in folded {
            let listed = || before.iter().map(SandboxPath::as_str);
            let kept: Vec<&str> = if listed().any(|listed| is_below(&path, listed)) {
                vec![&path]
            } else {
                // A directory is never wider than what was listed in it.
                listed().filter(|listed| is_below(listed, &path)).collect()
            };
            paths.extend(kept.into_iter().filter_map(|path| SandboxPath::parse(path).ok()));
        }
        self.filesystem.read_only = paths;
    }
}

fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn shortest(used: &[&str]) -> Vec<String> {
    let mut root = Node::default();
    for path in used {
        let mut node = &mut root;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            node = node.below.entry(name).or_default();
        }
        node.used = true;
    }
    let lists = (0..=SIBLINGS).rev().map(|few| {
        let tops = root.below.iter().map(|(name, node)| (format!("/{name}"), node));
        tops.flat_map(|(path, node)| grants(&path, node, few)).collect::<Vec<_>>()
    });
    let mut last = vec![];
    for list in lists {
        last = list;
        if last.len() <= PATHS {
            break;
        }
    }
    last
}

/// The paths that grant what was used at and below a node.
fn grants(path: &str, node: &Node<'_>, few: usize) -> Vec<String> {
    if node.used {
        return vec![path.to_owned()];
    }
    let mut list = vec![];
    let mut beside = 0;
    for (name, below) in &node.below {
        let child = format!("{path}/{name}");
        let granted = grants(&child, below, few);
        beside += usize::from(granted.len() == 1 && granted[0] == child);
        list.extend(granted);
    }
    if beside > few { vec![path.to_owned()] } else { list }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(before: &[&str], used: &[&str]) -> Vec<String> {
        let mut policy = Policy::default();
        let paths = before.iter().map(|path| SandboxPath::parse(path).unwrap());
        policy.filesystem.read_only = paths.collect();
        policy.learn_files(&used.iter().map(|path| (*path).to_owned()).collect());
        policy.filesystem.read_only.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_directory_stands_only_for_many_files() {
        let used = ["/usr/bin/a", "/usr/bin/b", "/usr/bin/c", "/usr/bin/d"];
        assert_eq!(learned(&["/usr"], &used), used);
        let more = [&used[..], &["/usr/bin/e", "/usr/lib/x/y"]].concat();
        assert_eq!(learned(&["/usr"], &more), ["/usr/bin", "/usr/lib/x/y"]);
    }

    #[test]
    fn nothing_is_granted_that_was_not_before() {
        let used = ["/a/1", "/a/2", "/a/3", "/a/4", "/a/5", "/b/1"];
        let before = ["/a/1", "/a/2", "/a/3", "/a/4", "/a/5", "/a/6"];
        // The directory of five used files was never listed itself.
        assert_eq!(learned(&before, &used), before);
        assert!(learned(&["/usr"], &["/etc/passwd", "/usrx/a"]).is_empty());
    }

    #[test]
    fn what_every_sandbox_has_stays() {
        assert_eq!(learned(&["/proc", "/dev/urandom", "/usr"], &[]), ["/proc", "/dev/urandom"]);
    }

    #[test]
    fn the_list_stays_short() {
        let used: Vec<String> =
            (0..2000).map(|n| format!("/usr/{}/{}/{n}", n % 40, n % 500)).collect();
        let used: Vec<&str> = used.iter().map(String::as_str).collect();
        assert!(learned(&["/usr"], &used).len() <= PATHS);
    }
}
