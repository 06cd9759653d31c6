//! Clients that send what no honest client sends.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::{self, JoinHandle};

use navigator_sftp::wire::{Attributes, MAX_PACKET, Reader, Writer, kind, open, status};
use proptest::prelude::*;

struct Peer {
    stream: UnixStream,
    server: Option<JoinHandle<io::Result<()>>>,
}

impl Peer {
    fn start(directory: &Path) -> Self {
        let (stream, other) = UnixStream::pair().unwrap();
        let directory = directory.to_owned();
        let server = thread::spawn(move || {
            navigator_sftp::serve(&[], other.as_fd(), other.as_fd(), &directory)
        });
        Self { stream, server: Some(server) }
    }

    fn greeted(directory: &Path) -> Self {
        let mut peer = Self::start(directory);
        assert_eq!(peer.ask(kind::INIT, 3, |packet| packet).0, kind::VERSION);
        peer
    }

    fn ask(
        &mut self,
        kind: u8,
        id: u32,
        fill: impl FnOnce(Writer<'_>) -> Writer<'_>,
    ) -> (u8, Vec<u8>) {
        let mut packet = vec![];
        fill(Writer::begin(&mut packet, kind).u32(id)).end();
        self.stream.write_all(&packet).unwrap();
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        assert!(answer.len() <= MAX_PACKET);
        self.stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer[1..5], id.to_be_bytes());
        (answer[0], answer[5..].to_vec())
    }

    fn status(&mut self, kind: u8, fill: impl FnOnce(Writer<'_>) -> Writer<'_>) -> u32 {
        let (answer, body) = self.ask(kind, 7, fill);
        assert_eq!(answer, kind::STATUS);
        Reader::new(&body).u32().unwrap()
    }

    fn end(mut self) -> io::Result<()> {
        self.stream.shutdown(std::net::Shutdown::Both).unwrap();
        self.server.take().unwrap().join().expect("the server does not panic")
    }
}

#[test]
fn requests_that_end_early_are_refused_and_the_session_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut peer = Peer::greeted(dir.path());
    for kind in kind::OPEN..=kind::SYMLINK {
        assert_eq!(peer.status(kind, |packet| packet.u32(1000)), status::BAD_MESSAGE, "{kind}");
    }
    assert_eq!(peer.ask(kind::REALPATH, 1, |packet| packet.string(b".")).0, kind::NAME);
    peer.end().unwrap();
}

#[test]
fn unknown_requests_are_unsupported() {
    let dir = tempfile::tempdir().unwrap();
    let mut peer = Peer::greeted(dir.path());
    for kind in [0, 21, 99, 101, 201, 255] {
        assert_eq!(peer.status(kind, |packet| packet.string(b"x")), status::OP_UNSUPPORTED);
    }
    let extended = peer.status(kind::EXTENDED, |packet| packet.string(b"own@example.org"));
    assert_eq!(extended, status::OP_UNSUPPORTED);
    peer.end().unwrap();
}

#[test]
fn impossible_lengths_end_the_session() {
    let dir = tempfile::tempdir().unwrap();
    for length in [0, MAX_PACKET as u32 + 1, u32::MAX] {
        let mut peer = Peer::greeted(dir.path());
        peer.stream.write_all(&length.to_be_bytes()).unwrap();
        let ended = peer.server.take().unwrap().join().unwrap();
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}

#[test]
fn a_request_before_the_version_ends_the_session() {
    let dir = tempfile::tempdir().unwrap();
    let mut peer = Peer::start(dir.path());
    let mut packet = vec![];
    Writer::begin(&mut packet, kind::STAT).u32(1).string(b".").end();
    peer.stream.write_all(&packet).unwrap();
    let ended = peer.server.take().unwrap().join().unwrap();
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[test]
fn handles_are_bounded_and_old_ones_mean_nothing() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a"), "x").unwrap();
    let mut peer = Peer::greeted(dir.path());
    let mut fields = vec![];
    Writer::fragment(&mut fields).string(b"a").u32(open::READ).attributes(&Attributes::default());
    let mut handles = vec![];
    let refused = loop {
        let (answer, body) = peer.ask(kind::OPEN, 9, |packet| packet.raw(&fields));
        match answer {
            kind::HANDLE => handles.push(Reader::new(&body).string().unwrap().to_vec()),
            _ => break Reader::new(&body).u32().unwrap(),
        }
        assert!(handles.len() < 5000);
    };
    assert_eq!(refused, status::FAILURE);
    let first = handles[0].clone();
    assert_eq!(peer.status(kind::CLOSE, |packet| packet.string(&first)), status::OK);
    assert_eq!(peer.status(kind::CLOSE, |packet| packet.string(&first)), status::NO_SUCH_FILE);
    assert_eq!(peer.ask(kind::OPEN, 9, |packet| packet.raw(&fields)).0, kind::HANDLE);
    let read = peer.status(kind::READ, |packet| packet.string(&first).u64(0).u32(1));
    assert_eq!(read, status::NO_SUCH_FILE);
    peer.end().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn random_bytes_neither_panic_nor_hang(
        requests in proptest::collection::vec(
            // Without requests that change names: the names are random and the tests may run as root.
            (prop_oneof![3_u8..=8, 10_u8..=12, 16_u8..=17, 19_u8..=19, 200_u8..=255],
             proptest::collection::vec(any::<u8>(), 0..64)),
            0..40,
        )
    ) {
        let dir = tempfile::tempdir().unwrap();
        let peer = Peer::greeted(dir.path());
        let mut reader = peer.stream.try_clone().unwrap();
        let drain = thread::spawn(move || io::copy(&mut reader, &mut io::sink()));
        for (kind, body) in &requests {
            let mut packet = vec![];
            Writer::begin(&mut packet, *kind).u32(1).raw(body).end();
            if (&peer.stream).write_all(&packet).is_err() { break; }
        }
        peer.stream.shutdown(std::net::Shutdown::Write).unwrap();
        drain.join().unwrap().unwrap();
        prop_assert!(peer.end().is_ok());
    }
}
