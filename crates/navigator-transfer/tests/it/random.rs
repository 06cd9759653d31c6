//! Servers whose answers are random, or nearly right.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

use navigator_sftp::wire::{Attributes, MAX_PACKET, Writer, kind, status};
use navigator_transfer::{Client, Options, RemotePath, Silent, SyncOptions, copy_down, sync_down};
use proptest::collection::vec;
use proptest::prelude::*;

/// Kinds of answers, real ones more often than others.
fn answer_kind() -> impl Strategy<Value = u8> {
    prop_oneof![
        8 => kind::STATUS..=kind::ATTRS,
        1 => Just(kind::EXTENDED_REPLY),
        1 => any::<u8>(),
    ]
}

/// Fields like those of the protocol: numbers that are small, huge or modes, strings, and bytes without a meaning.
fn fields() -> impl Strategy<Value = Vec<u8>> {
    let number =
        prop_oneof![0..16_u32, Just(0o100_644), Just(0o040_755), Just(0o120_777), any::<u32>()];
    let string = prop_oneof![
        Just(b"..".to_vec()),
        Just(b"/etc".to_vec()),
        Just(b"file".to_vec()),
        vec(any::<u8>(), 0..40),
    ];
    let field = prop_oneof![
        3 => number.prop_map(|number| number.to_be_bytes().to_vec()),
        3 => string.prop_map(|bytes| [&(bytes.len() as u32).to_be_bytes()[..], &bytes].concat()),
        1 => vec(any::<u8>(), 0..12),
    ];
    vec(field, 0..12).prop_map(|fields| fields.concat())
}

/// One answer: random, or of the right kind with what a hostile server would say.
#[derive(Clone, Debug)]
enum Answer {
    Random { other_id: Option<u32>, kind: u8, fields: Vec<u8> },
    Fitting { name: Vec<u8>, mode: u32, size: u64, content: Vec<u8> },
}

fn answer() -> impl Strategy<Value = Answer> {
    let other = proptest::option::weighted(0.1, any::<u32>());
    let random = (other, answer_kind(), fields())
        .prop_map(|(other_id, kind, fields)| Answer::Random { other_id, kind, fields });
    let names = ["..", ".", "a/b", "../evil", "/nowhere/evil", "", "file", "sub", "link"];
    let name = prop::sample::select(names.map(|name| name.as_bytes().to_vec()).to_vec());
    let mode = prop::sample::select(vec![0o100_644, 0o040_755, 0o120_777, 0o010_644, 0]);
    let fitting = (name, mode, 0..60_u64, vec(any::<u8>(), 0..60))
        .prop_map(|(name, mode, size, content)| Answer::Fitting { name, mode, size, content });
    prop_oneof![1 => random, 9 => fitting]
}

impl Answer {
    fn write(&self, asked: u8, id: u32, packet: &mut Vec<u8>) {
        match self {
            Self::Random { other_id, kind, fields } => {
                Writer::begin(packet, *kind).u32(other_id.unwrap_or(id)).raw(fields).end();
            }
            Self::Fitting { name, mode, size, content } => {
                // What is opened is mostly what it has to be, so that transfers get far.
                let permissions = Some(match asked {
                    kind::STAT => 0o040_755,
                    kind::FSTAT => 0o100_644,
                    _ => *mode,
                });
                let times = Some((1, 1));
                let size = Some(*size);
                let found = Attributes { size, permissions, times, ..Attributes::default() };
                let begin = |packet, kind| Writer::begin(packet, kind).u32(id);
                match asked {
                    kind::OPEN | kind::OPENDIR => begin(packet, kind::HANDLE).string(b"h").end(),
                    kind::STAT | kind::LSTAT | kind::FSTAT => {
                        begin(packet, kind::ATTRS).attributes(&found).end();
                    }
                    // Every other listing ends here.
                    kind::READDIR if content.len() % 2 == 0 => {
                        begin(packet, kind::STATUS).u32(status::EOF).string(b"").end();
                    }
                    kind::READDIR | kind::READLINK => {
                        let named = begin(packet, kind::NAME).u32(1).string(name).string(b"");
                        named.attributes(&found).end();
                    }
                    kind::READ => begin(packet, kind::DATA).string(content).end(),
                    _ => begin(packet, kind::STATUS).u32(status::OK).string(b"").end(),
                }
            }
        }
    }
}

/// Answers requests one after the other, until there are no more answers or the client goes.
fn serve(mut stream: UnixStream, answers: Vec<Answer>) -> JoinHandle<()> {
    thread::spawn(move || {
        let (mut next, mut length) = (0, [0; 4]);
        while stream.read_exact(&mut length).is_ok() && next < answers.len() {
            let length = u32::from_be_bytes(length) as usize;
            assert!(length <= MAX_PACKET, "the client keeps the protocol");
            let mut request = vec![0; length];
            if stream.read_exact(&mut request).is_err() {
                return;
            }
            let mut packet = vec![];
            if request[0] == kind::INIT {
                Writer::begin(&mut packet, kind::VERSION).u32(3).end();
            } else {
                let id = u32::from_be_bytes(request[1..5].try_into().unwrap());
                answers[next].write(request[0], id, &mut packet);
                next += 1;
            }
            if stream.write_all(&packet).is_err() {
                return;
            }
        }
    })
}

/// Transfers what such a server has. Whether that works does not matter: it ends, and nothing else is written.
fn transfer(stream: UnixStream, target: &std::path::Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        stream.set_nonblocking(true).unwrap();
        let stream = tokio::net::UnixStream::from_std(stream).unwrap();
        let Ok(client) = Client::open(stream).await else { return };
        let source = RemotePath::new(b"tree");
        let _ = copy_down(&client, &source, target, Options::default(), &Silent).await;
        let _ = sync_down(&client, &source, target, SyncOptions::default(), &Silent).await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn random_answers_neither_panic_nor_hang_nor_write_elsewhere(answers in vec(answer(), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let server = serve(theirs, answers);
        transfer(ours, &dir.path().join("target"));
        server.join().unwrap();
        for entry in fs::read_dir(dir.path()).unwrap() {
            let name = entry.unwrap().file_name();
            prop_assert!(name.as_encoded_bytes().starts_with(b"target"), "{:?}", name);
        }
    }

    #[test]
    fn random_bytes_in_an_answers_place_end_the_connection(bytes in vec(any::<u8>(), 0..200)) {
        let dir = tempfile::tempdir().unwrap();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let server = thread::spawn(move || {
            let mut hello = vec![];
            Writer::begin(&mut hello, kind::VERSION).u32(3).end();
            hello.extend_from_slice(&bytes);
            theirs.write_all(&hello).unwrap();
        });
        transfer(ours, &dir.path().join("target"));
        server.join().unwrap();
        prop_assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
