//! A client that is killed in the middle of a transfer, and the next one, which goes on.

use std::fs;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use navigator_transfer::{Options, RemotePath, Silent, copy_down, copy_up};

const DIRECTION: &str = "TRANSFER_TEST_DIRECTION";
const LOCAL: &str = "TRANSFER_TEST_LOCAL";
const SIZE: usize = 16 * 1024 * 1024;
/// What goes through before the client is killed.
const HALF: usize = SIZE / 2;

/// The client's process: its connection is its standard input.
#[tokio::test]
#[ignore = "it is the process that the other tests here start"]
async fn client_process() {
    let Some(direction) = std::env::var_os(DIRECTION) else { return };
    let local = PathBuf::from(std::env::var_os(LOCAL).unwrap());
    let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned().unwrap());
    let client = crate::open(stream).await;
    let (remote, options) = (RemotePath::new(b"file"), Options::default());
    match direction.to_str().unwrap() {
        "up" => copy_up(&client, &local, &remote, options, &Silent).await,
        _ => copy_down(&client, &remote, &local, options, &Silent).await,
    }
    .unwrap();
}

/// A client's process, a server, and what carries bytes between them.
struct Transfer {
    client: Child,
    carried: [JoinHandle<usize>; 2],
    server: JoinHandle<io::Result<()>>,
    ends: [UnixStream; 2],
}

impl Transfer {
    /// Starts one that carries so many bytes in each direction, and no more until it is ended.
    fn start(direction: &str, dir: &Path, most: usize, full: &mpsc::Sender<()>) -> Self {
        let (client_end, left) = UnixStream::pair().unwrap();
        let (right, server_end) = UnixStream::pair().unwrap();
        let there = dir.join("there");
        let server = thread::spawn(move || {
            navigator_sftp::serve(&[], server_end.as_fd(), server_end.as_fd(), &there)
        });
        let client = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::client_process", "--ignored"])
            .env(DIRECTION, direction)
            .env(LOCAL, dir.join("here/file"))
            .stdin(OwnedFd::from(client_end))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let carried = [(&left, &right), (&right, &left)].map(|(from, to)| {
            let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            let full = full.clone();
            thread::spawn(move || carry(from, to, most, &full))
        });
        Self { client, carried, server, ends: [left, right] }
    }

    /// Waits until both sides have ended. Returns the bytes that went to the server and to the client.
    fn end(mut self) -> [usize; 2] {
        self.client.wait().unwrap();
        for end in &self.ends {
            // It may have ended before.
            let _ = end.shutdown(Shutdown::Both);
        }
        // A client that was killed ends in the middle of a packet.
        let _ = self.server.join().expect("the server does not panic");
        self.carried.map(|carried| carried.join().unwrap())
    }
}

/// Carries bytes until there are no more, or so many were carried.
fn carry(mut from: UnixStream, mut to: UnixStream, most: usize, full: &mpsc::Sender<()>) -> usize {
    let mut buffer = vec![0; 64 * 1024];
    let mut carried = 0;
    while carried < most {
        match from.read(&mut buffer) {
            Ok(count @ 1..) if to.write_all(&buffer[..count]).is_ok() => carried += count,
            _ => {
                // The other side has gone already, or learns it now.
                let _ = to.shutdown(Shutdown::Write);
                return carried;
            }
        }
    }
    full.send(()).unwrap();
    carried
}

fn content() -> Vec<u8> {
    (0..SIZE as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn part_in(directory: &Path) -> Option<Vec<u8>> {
    let mut entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.find(|path| path.as_os_str().as_encoded_bytes().ends_with(b"navigator-part")).map(
        |part| {
            // The size alone is read while the file grows.
            if fs::metadata(&part).unwrap().len() < HALF as u64 / 2 {
                return vec![];
            }
            fs::read(part).unwrap()
        },
    )
}

fn kill_and_go_on(direction: &str, source: &str, target: &str) -> ([usize; 2], usize) {
    let dir = tempfile::tempdir().unwrap();
    for side in ["here", "there"] {
        fs::create_dir(dir.path().join(side)).unwrap();
    }
    fs::write(dir.path().join(source).join("file"), content()).unwrap();
    let target = dir.path().join(target);
    let (full, is_full) = mpsc::channel();
    let mut transfer = Transfer::start(direction, dir.path(), HALF, &full);
    is_full.recv().unwrap();
    // Nothing more comes through, so that the receiver gets this far and no further.
    while part_in(&target).is_none_or(|part| part.is_empty()) {
        thread::sleep(Duration::from_millis(1));
    }
    transfer.client.kill().unwrap();
    transfer.end();
    let part = part_in(&target).unwrap();
    assert!(part.len() <= HALF && content().starts_with(&part) && !target.join("file").exists());
    let carried = Transfer::start(direction, dir.path(), usize::MAX, &full).end();
    assert!(fs::read(target.join("file")).unwrap() == content());
    assert!(part_in(&target).is_none(), "no part is left");
    (carried, SIZE - part.len())
}

#[test]
fn an_upload_goes_on_after_its_client_was_killed() {
    let ([to_server, _], missing) = kill_and_go_on("up", "here", "there");
    assert!((missing..missing + SIZE / 8).contains(&to_server), "{to_server} of {missing}");
}

#[test]
fn a_download_goes_on_after_its_client_was_killed() {
    let ([_, to_client], missing) = kill_and_go_on("down", "there", "here");
    assert!((missing..missing + SIZE / 8).contains(&to_client), "{to_client} of {missing}");
}
