//! A gateway's socket that somebody else serves.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use navigator_client::{ConnectError, Gateway, Reach, connect};

use crate::block_on;

/// Listens like a gateway would, until its standard input ends.
const LISTEN: &str = "
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print('listening', flush=True)
sys.stdin.read()
";
/// Nobody.
const OTHER: u32 = 65534;

#[test]
fn a_socket_that_another_user_serves_is_told_nothing() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can be another user");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let path = dir.path().join("gateway.sock");
    let mut python = Command::new("python3");
    python.args(["-c", LISTEN]).arg(&path).uid(OTHER).gid(OTHER);
    let Ok(mut other) = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() else {
        eprintln!("skipped: there is no python3 that could be another user");
        return;
    };
    let mut ready = String::new();
    BufReader::new(other.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    let gateway = Gateway { name: "x".into(), reach: Reach::Unix(path.clone()) };
    let result = block_on(connect(&gateway)).map(drop);
    drop(other.stdin.take());
    other.wait().unwrap();
    assert_eq!(ready, "listening\n");
    assert!(matches!(result, Err(ConnectError::Owner { uid: OTHER, .. })), "{result:?}");
}
