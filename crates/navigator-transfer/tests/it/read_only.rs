//! Trees that their owner may only read, by somebody whom permissions bind.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::transfers::{DELETE, KEEP, Sides, write};

/// Runs the test below by somebody who has none of root's rights to pass over permissions.
#[test]
fn trees_that_may_only_be_read_are_copied_and_synced() {
    let this = std::env::current_exe().unwrap();
    let obey = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];
    let root = rustix::process::geteuid().is_root();
    let words = if root { &obey[..] } else { &["env"] };
    let ran = Command::new(words[0])
        .args(&words[1..])
        .arg(this)
        .args(["--exact", "read_only::read_only_trees", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    let errors = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}{errors}");
}

fn lock(directory: &Path) -> Locked {
    for (name, mode) in [("sub/a", 0o444), ("sub", 0o555)] {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(directory.join(name), permissions).unwrap();
    }
    Locked(directory.join("sub"))
}

/// A directory that cannot be removed until it is unlocked.
struct Locked(PathBuf);

impl Drop for Locked {
    fn drop(&mut self) {
        // It is gone when the test removed it.
        let _ = fs::set_permissions(&self.0, fs::Permissions::from_mode(0o755));
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

fn assert_like_source(directory: &Path, content: &str) {
    assert_eq!(fs::read_to_string(directory.join("sub/a")).unwrap(), content);
    assert_eq!((mode(&directory.join("sub")), mode(&directory.join("sub/a"))), (0o555, 0o444));
}

fn change(locked: &Locked, content: &str) {
    fs::set_permissions(&locked.0, fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(locked.0.join("a")).unwrap();
    write(&locked.0.join("a"), content);
}

#[tokio::test]
#[ignore = "the test above runs it without root's rights"]
async fn read_only_trees() {
    let sides = Sides::new();
    write(&sides.here("tree/sub/a"), "a");
    let here = lock(&sides.here("tree"));
    assert!(fs::write(sides.here("tree/sub/new"), "").is_err(), "permissions bind");
    let _unlocks = ["copy", "tree"].map(|name| Locked(sides.there(name).join("sub")));
    let _back = Locked(sides.here("back/sub"));
    sides.up("tree", "copy", KEEP).await.unwrap();
    assert_like_source(&sides.there("copy"), "a");
    sides.down("copy", "back", KEEP).await.unwrap();
    assert_like_source(&sides.here("back"), "a");

    sides.sync_up(DELETE).await;
    change(&here, "changed");
    lock(&sides.here("tree")).forget();
    assert_eq!(sides.sync_up(DELETE).await.files, 1);
    assert_like_source(&sides.there("tree"), "changed");
    assert_eq!(sides.sync_up(DELETE).await.files, 0);

    let there = Locked(sides.there("tree/sub"));
    change(&there, "changed there");
    lock(&sides.there("tree")).forget();
    assert_eq!(sides.sync_down(DELETE).await.files, 1);
    assert_like_source(&sides.here("tree"), "changed there");

    // What is deleted may be in a directory that may only be read.
    change(&here, "x");
    fs::remove_dir_all(sides.here("tree/sub")).unwrap();
    assert_eq!(sides.sync_up(DELETE).await.deleted, 2);
    assert!(!sides.there("tree/sub").exists());
}

impl Locked {
    /// Leaves it locked: another one unlocks it.
    fn forget(self) {
        std::mem::forget(self);
    }
}
