//! What a sandbox may leave behind, and that it goes.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn id() -> Uuid {
    Uuid::now_v7()
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn everything_goes_and_links_are_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (kept, sandboxes, id) = (dir.path().join("kept"), dir.path().join("sandboxes"), id());
    std::fs::create_dir(&kept).unwrap();
    std::fs::write(kept.join("file"), "x").unwrap();
    let sandbox = sandboxes.join(id.to_string());
    std::fs::create_dir_all(sandbox.join("home/a/b")).unwrap();
    symlink(&kept, sandbox.join("home/link")).unwrap();
    symlink(kept.join("file"), sandbox.join("home/a/link")).unwrap();
    symlink(&kept, sandbox.join("link")).unwrap();
    std::fs::write(sandbox.join("home/a/b/file"), "x").unwrap();
    let bin = set_aside(&sandboxes, id).unwrap().unwrap();
    assert!(!sandbox.exists());
    empty(&bin, &CancellationToken::new()).unwrap();
    assert_eq!(names(&sandboxes), Vec::<String>::new());
    assert_eq!(names(&kept), ["file"]);
    assert!(set_aside(&sandboxes, id).unwrap().is_none());
    empty(&bin, &CancellationToken::new()).unwrap();
}

#[test]
fn directories_without_any_right_go() {
    if rustix::process::geteuid().is_root() {
        // Rights do not bind root; the same in a child without that privilege.
        let test = "local::remove::tests::directories_without_any_right_go";
        let program = std::env::current_exe().unwrap();
        let readable = tempfile::tempdir().unwrap();
        std::fs::set_permissions(readable.path(), Permissions::from_mode(0o755)).unwrap();
        let copy = readable.path().join("test");
        std::fs::copy(program, &copy).unwrap();
        let mut command = std::process::Command::new(copy);
        std::os::unix::process::CommandExt::uid(&mut command, 65_534);
        let output = command
            .args(["--exact", test])
            .env("TMPDIR", "/tmp")
            .current_dir("/")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
        return;
    }
    let (dir, id) = (tempfile::tempdir().unwrap(), id());
    let sandbox = dir.path().join(id.to_string());
    let inner = sandbox.join("home/cache/module/inner");
    std::fs::create_dir_all(&inner).unwrap();
    std::fs::write(inner.join("file"), "x").unwrap();
    for (path, mode) in
        [("home/cache/module/inner", 0o555), ("home/cache/module", 0o000), ("home/cache", 0o400)]
    {
        std::fs::set_permissions(sandbox.join(path), Permissions::from_mode(mode)).unwrap();
    }
    let bin = set_aside(dir.path(), id).unwrap().unwrap();
    empty(&bin, &CancellationToken::new()).unwrap();
    assert_eq!(names(dir.path()), Vec::<String>::new());
}

#[test]
fn a_tree_deeper_than_descriptors_or_paths_goes() {
    let (dir, id) = (tempfile::tempdir().unwrap(), id());
    let mut at = open(CWD, dir.path()).unwrap();
    rustix::fs::mkdirat(&at, id.to_string(), Mode::RWXU).unwrap();
    at = open(&at, id.to_string()).unwrap();
    for _ in 0..1500 {
        rustix::fs::mkdirat(&at, "down", Mode::RWXU).unwrap();
        rustix::fs::mkdirat(&at, "beside", Mode::RWXU).unwrap();
        at = open(&at, "down").unwrap();
    }
    drop(at);
    let bin = set_aside(dir.path(), id).unwrap().unwrap();
    empty(&bin, &CancellationToken::new()).unwrap();
    assert_eq!(names(dir.path()), Vec::<String>::new());
}

#[test]
fn a_removal_that_was_cut_short_goes_on_and_meets_a_new_sandbox_of_the_same_id() {
    let (dir, id) = (tempfile::tempdir().unwrap(), id());
    let sandbox = dir.path().join(id.to_string());
    for name in ["a", "b", "c"] {
        std::fs::create_dir_all(sandbox.join(name).join("deep/er")).unwrap();
    }
    let bin = set_aside(dir.path(), id).unwrap().unwrap();
    let ended = CancellationToken::new();
    ended.cancel();
    assert_eq!(empty(&bin, &ended).unwrap_err().kind(), io::ErrorKind::Interrupted);
    assert_eq!(bins(dir.path()).unwrap(), std::slice::from_ref(&bin));
    std::fs::create_dir_all(sandbox.join("again")).unwrap();
    assert_eq!(set_aside(dir.path(), id).unwrap().unwrap(), bin);
    empty(&bin, &CancellationToken::new()).unwrap();
    assert_eq!(names(dir.path()), Vec::<String>::new());
}

#[test]
fn what_is_mounted_below_stays_whole() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: mounting needs root");
        return;
    }
    let (dir, id) = (tempfile::tempdir().unwrap(), id());
    let point = dir.path().join(id.to_string()).join("home/deep/mounted");
    std::fs::create_dir_all(&point).unwrap();
    std::fs::write(point.parent().unwrap().join("beside"), "x").unwrap();
    // The mount is made in a namespace of its own, where the removal runs as well.
    let test = "local::remove::tests::what_is_mounted_below_stays_whole";
    if std::env::var_os("NAVIGATOR_TEST_MOUNTED").is_none() {
        let status = std::process::Command::new("unshare")
            .args(["--mount", "--propagation", "private"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test])
            .env("NAVIGATOR_TEST_MOUNTED", "1")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let script = "mount -t tmpfs none \"$1\" && echo x > \"$1/kept\" && chmod 0500 \"$1\"";
    let mounted =
        std::process::Command::new("sh").args(["-c", script, "sh"]).arg(&point).status().unwrap();
    assert!(mounted.success());
    let bin = set_aside(dir.path(), id).unwrap().unwrap();
    let refused = empty(&bin, &CancellationToken::new()).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(Errno::BUSY.raw_os_error()));
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let line = mounts.lines().find(|line| line.contains(&id.to_string())).unwrap();
    let point = PathBuf::from(line.split(' ').nth(4).unwrap());
    assert_eq!(names(&point), ["kept"]);
    assert!(!point.parent().unwrap().join("beside").exists());
    let mode = std::fs::metadata(&point).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o500);
    assert!(std::process::Command::new("umount").arg(&point).status().unwrap().success());
    empty(&bin, &CancellationToken::new()).unwrap();
    assert_eq!(names(dir.path()), Vec::<String>::new());
}
