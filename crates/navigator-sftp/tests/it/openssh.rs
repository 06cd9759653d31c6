//! What people do with `sftp`.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The server's program, which cargo builds next to the tests.
fn server() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    tests.parent().unwrap().parent().unwrap().join("examples/sftp-server")
}

/// Runs commands in `sftp` whose both sides work in a directory.
fn sftp(directory: &Path, commands: &str) -> Output {
    let mut child = Command::new("sftp")
        .args(["-q", "-b", "-", "-D"])
        .arg(server())
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[track_caller]
fn good(directory: &Path, commands: &str) -> String {
    let output = sftp(directory, commands);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

#[test]
fn files_go_up_and_come_back_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let content = noise(20 * 1024 * 1024 + 17);
    fs::write(dir.path().join("a"), &content).unwrap();
    good(dir.path(), "put a b\nget b c\n");
    assert!(fs::read(dir.path().join("b")).unwrap() == content);
    assert!(fs::read(dir.path().join("c")).unwrap() == content);
}

#[test]
fn broken_transfers_go_on_where_they_ended() {
    let dir = tempfile::tempdir().unwrap();
    let content = noise(3_000_000);
    fs::write(dir.path().join("a"), &content).unwrap();
    fs::write(dir.path().join("up"), &content[..1_000_001]).unwrap();
    fs::write(dir.path().join("down"), &content[..2_000_003]).unwrap();
    good(dir.path(), "reput a up\nreget a down\n");
    assert!(fs::read(dir.path().join("up")).unwrap() == content);
    assert!(fs::read(dir.path().join("down")).unwrap() == content);
}

#[test]
fn names_change_as_with_local_commands() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("a"), "text").unwrap();
    fs::write(at("old"), "old").unwrap();
    good(
        dir.path(),
        "mkdir d\nrename a d/b\nrename d/b old\nsymlink old soft\nln old hard\nchmod 640 old\n\
         rmdir d\nput -p soft copy\nrm hard\ncp old twin\n",
    );
    assert_eq!(fs::read_to_string(at("old")).unwrap(), "text");
    assert_eq!(fs::read_link(at("soft")).unwrap(), Path::new("old"));
    assert_eq!(fs::metadata(at("old")).unwrap().permissions().mode() & 0o7777, 0o640);
    assert_eq!(fs::read_to_string(at("twin")).unwrap(), "text");
    assert!(!at("d").exists() && !at("hard").exists() && !at("a").exists());
}

#[test]
fn times_and_modes_are_kept_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("a"), "x").unwrap();
    fs::set_permissions(at("a"), fs::Permissions::from_mode(0o751)).unwrap();
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    fs::File::open(at("a")).unwrap().set_modified(old).unwrap();
    good(dir.path(), "put -p a b\nget -p b c\n");
    for name in ["b", "c"] {
        let found = fs::metadata(at(name)).unwrap();
        assert_eq!((found.mtime(), found.mode() & 0o777), (1_000_000_000, 0o751), "{name}");
    }
}

#[test]
fn trees_of_ten_thousand_files_are_listed_and_come_whole() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    fs::create_dir(&tree).unwrap();
    for number in 0..10_000 {
        fs::write(tree.join(format!("file-{number}")), number.to_string()).unwrap();
    }
    let listed = good(dir.path(), "ls -1 tree\nget -r tree copy\n");
    assert_eq!(listed.lines().filter(|line| line.starts_with("tree/file-")).count(), 10_000);
    for number in [0, 4_999, 9_999] {
        let copy = dir.path().join(format!("copy/file-{number}"));
        assert_eq!(fs::read_to_string(copy).unwrap(), number.to_string());
    }
    assert_eq!(fs::read_dir(dir.path().join("copy")).unwrap().count(), 10_000);
}

#[test]
fn names_that_are_not_text_are_names() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    fs::create_dir(&tree).unwrap();
    let names: [&[u8]; 4] = [b"new\nline", b"\x1b[31mred", b"\xff\xfe", b" spaces "];
    for name in names {
        fs::write(tree.join(OsStr::from_bytes(name)), name).unwrap();
    }
    good(dir.path(), "get -r tree copy\nput -r tree again\n");
    for name in names {
        for copy in ["copy", "again"] {
            let path = dir.path().join(copy).join(OsStr::from_bytes(name));
            assert_eq!(fs::read(path).unwrap(), name);
        }
    }
}

#[test]
fn space_and_long_listings_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), "12345").unwrap();
    let text = good(dir.path(), "df -h\nls -ln\nls -l\npwd\n");
    assert!(text.contains("%"), "{text}");
    assert!(text.lines().filter(|line| line.starts_with("-rw")).count() == 2, "{text}");
    assert!(text.contains(dir.path().to_str().unwrap()), "{text}");
}

#[test]
fn what_cannot_be_done_is_said_and_ends_the_batch() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("d/e")).unwrap();
    for (command, reason) in
        [("get missing", "not found"), ("rmdir d", "Failure"), ("mkdir d", "Failure")]
    {
        let output = sftp(dir.path(), &format!("{command}\n"));
        assert!(!output.status.success(), "{command}");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains(reason), "{command}: {error}");
    }
}
