//! The same tests as a user who is not root.

use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;

/// A user that no machine has.
const USER: u32 = 61_234;

#[test]
fn everything_holds_for_an_ordinary_user_too() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: this is an ordinary user already");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    chown(dir.path(), Some(USER), Some(USER)).unwrap();
    // The program may be where only root can read.
    let program = dir.path().join("tests");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let user = USER.to_string();
    let output = Command::new("setpriv")
        .args(["--reuid", &user, "--regid", &user, "--clear-groups"])
        .arg(&program)
        .args(["--skip", "ordinary::"])
        .current_dir(dir.path())
        .env("TMPDIR", dir.path())
        .env("PROPTEST_CASES", "16")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("test result: ok."), "{text}");
}
