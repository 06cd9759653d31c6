//! Servers and trees that try to make the user's side read or write elsewhere, or without end.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;

use navigator_sftp::wire::{Attributes, Reader, Writer, kind, status};
use navigator_transfer::{
    Client, Options, RemotePath, Report, Silent, Skipped, TransferError, copy_down, copy_up,
};

use crate::{connect, open};

const DIRECTORY: u32 = 0o040_755;
const FILE: u32 = 0o100_644;

/// What a hostile server tells: the entries of its only directory, and its file's size and content.
#[derive(Clone, Default)]
struct Lies {
    names: Vec<(Vec<u8>, u32)>,
    endless_listing: bool,
    announced: u64,
    opened: u64,
    too_much: bool,
    /// Each second read is answered before the first.
    swapped: bool,
}

async fn hostile(lies: Lies) -> Client {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    std::thread::spawn(move || {
        let mut listed = false;
        let mut later = vec![];
        let mut length = [0; 4];
        while theirs.read_exact(&mut length).is_ok() {
            let mut packet = vec![0; u32::from_be_bytes(length) as usize];
            theirs.read_exact(&mut packet).unwrap();
            let mut answer = lie(&lies, &mut listed, &packet);
            if lies.swapped && packet[0] == kind::READ && later.is_empty() {
                later = answer;
                continue;
            }
            answer.append(&mut later);
            if theirs.write_all(&answer).is_err() {
                break;
            }
        }
    });
    open(ours).await
}

fn lie(lies: &Lies, listed: &mut bool, packet: &[u8]) -> Vec<u8> {
    let mut reader = Reader::new(packet);
    let (kind, id) = (reader.u8().unwrap(), reader.u32().unwrap());
    let mut out = vec![];
    let attributes = |size, mode| Attributes {
        size: Some(size),
        permissions: Some(mode),
        times: Some((1, 1)),
        ..Attributes::default()
    };
    match kind {
        kind::INIT => Writer::begin(&mut out, kind::VERSION).u32(3).end(),
        kind::OPEN | kind::OPENDIR => {
            Writer::begin(&mut out, kind::HANDLE).u32(id).string(b"h").end();
        }
        kind::STAT => {
            let mode = if lies.names.is_empty() { FILE } else { DIRECTORY };
            let found = attributes(lies.announced, mode);
            Writer::begin(&mut out, kind::ATTRS).u32(id).attributes(&found).end();
        }
        kind::FSTAT => {
            let found = attributes(lies.opened, FILE);
            Writer::begin(&mut out, kind::ATTRS).u32(id).attributes(&found).end();
        }
        kind::READDIR if !*listed || lies.endless_listing => {
            *listed = true;
            let count = lies.names.len() as u32;
            let mut packet = Writer::begin(&mut out, kind::NAME).u32(id).u32(count);
            for (name, mode) in &lies.names {
                let found = attributes(lies.announced, *mode);
                packet = packet.string(name).string(b"").attributes(&found);
            }
            packet.end();
        }
        kind::READ => {
            let (_, at, wanted) =
                (reader.string().unwrap(), reader.u64().unwrap(), reader.u32().unwrap());
            let more = u32::from(lies.too_much);
            let content = vec![part_of(at); (wanted + more) as usize];
            Writer::begin(&mut out, kind::DATA).u32(id).string(&content).end();
        }
        kind::CLOSE => {
            Writer::begin(&mut out, kind::STATUS).u32(id).u32(status::OK).string(b"").end();
        }
        _ => Writer::begin(&mut out, kind::STATUS).u32(id).u32(status::EOF).string(b"").end(),
    }
    out
}

/// What a byte of the file is, by its place: another one in each part that a read asks for.
fn part_of(at: u64) -> u8 {
    (at >> 15) as u8 + 1
}

async fn fetch(lies: Lies, target: &std::path::Path) -> Result<Report, TransferError> {
    let client = hostile(lies).await;
    copy_down(&client, &RemotePath::new(b"x"), target, Options::default(), &Silent).await
}

#[tokio::test]
async fn names_that_leave_the_directory_are_refused_and_write_nothing() {
    for name in [&b"../evil"[..], b"/etc/evil", b"a/b", b"", b"nul\0", &[b'a'; 300]] {
        let dir = tempfile::tempdir().unwrap();
        let lies = Lies { names: vec![(name.to_vec(), FILE)], ..Lies::default() };
        let refused = fetch(lies, &dir.path().join("target")).await.unwrap_err();
        assert!(matches!(refused, TransferError::Name { .. }), "{refused}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn listings_without_end_and_trees_without_ground_end() {
    let dir = tempfile::tempdir().unwrap();
    let dots = Lies {
        names: vec![(b".".to_vec(), DIRECTORY); 3000],
        endless_listing: true,
        ..Lies::default()
    };
    let refused = fetch(dots, &dir.path().join("a")).await.unwrap_err();
    assert!(matches!(refused, TransferError::TooMuch { .. }), "{refused}");
    let files = Lies {
        names: vec![(b"file".to_vec(), FILE); 3000],
        endless_listing: true,
        ..Lies::default()
    };
    let refused = fetch(files, &dir.path().join("b")).await.unwrap_err();
    assert!(matches!(refused, TransferError::TooMuch { .. }), "{refused}");
}

#[tokio::test]
async fn a_file_is_never_longer_than_announced() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("file");
    let grown = Lies { announced: 10, opened: u64::MAX, ..Lies::default() };
    fetch(grown, &target).await.unwrap();
    assert_eq!(fs::metadata(&target).unwrap().len(), 10);
    let lies = Lies { announced: 10, opened: 10, too_much: true, ..Lies::default() };
    fetch(lies, &dir.path().join("other")).await.unwrap_err();
    assert!(!dir.path().join("other").exists());
}

#[tokio::test]
async fn answers_in_another_order_make_the_same_file() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("file");
    let size = 40 << 15;
    let swapped = Lies { announced: size, opened: size, swapped: true, ..Lies::default() };
    fetch(swapped, &target).await.unwrap();
    let expected: Vec<u8> = (0..size).map(part_of).collect();
    assert!(fs::read(&target).unwrap() == expected);
}

#[tokio::test]
async fn one_name_as_link_and_directory_leads_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let outside = dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::create_dir_all(dir.path().join("there/tree/d")).unwrap();
    fs::write(dir.path().join("there/tree/d/evil"), "x").unwrap();
    // What stands here is a link that the user did not name: nothing goes through it.
    fs::create_dir(dir.path().join("here")).unwrap();
    symlink(&outside, dir.path().join("here/d")).unwrap();
    let client = connect(&dir.path().join("there")).await;
    let target = dir.path().join("here/.");
    let source = RemotePath::new(b"tree/.");
    let refused = copy_down(&client, &source, &target, Options::default(), &Silent).await;
    assert!(matches!(refused, Err(TransferError::InTheWay(_))), "{refused:?}");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[tokio::test]
async fn a_link_in_a_files_place_is_replaced_and_not_written_through() {
    let dir = tempfile::tempdir().unwrap();
    let outside = dir.path().join("outside");
    fs::write(&outside, "mine").unwrap();
    for side in ["here", "there"] {
        fs::create_dir_all(dir.path().join(side).join("tree")).unwrap();
        symlink(&outside, dir.path().join(side).join("tree/f")).unwrap();
    }
    fs::create_dir(dir.path().join("from")).unwrap();
    fs::write(dir.path().join("from/f"), "new").unwrap();
    let client = connect(dir.path()).await;
    let none = Options::default();
    let (from, tree) = (RemotePath::new(b"from/f"), dir.path().join("here/tree/f"));
    copy_down(&client, &from, &tree, none, &Silent).await.unwrap();
    let tree = RemotePath::new(b"there/tree/f");
    copy_up(&client, &dir.path().join("from/f"), &tree, none, &Silent).await.unwrap();
    assert_eq!(fs::read(&outside).unwrap(), b"mine");
    assert_eq!(fs::read(dir.path().join("here/tree/f")).unwrap(), b"new");
}

#[tokio::test]
async fn links_of_the_sandbox_that_lead_out_are_left_out() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("there/tree/sub")).unwrap();
    for (name, target) in [("abs", "/etc/passwd"), ("up", "../../x"), ("sub/in", "../f")] {
        symlink(target, dir.path().join("there/tree").join(name)).unwrap();
    }
    let client = connect(&dir.path().join("there")).await;
    let target = dir.path().join("here");
    let source = RemotePath::new(b"tree");
    let report = copy_down(&client, &source, &target, Options::default(), &Silent).await.unwrap();
    let mut skipped = report.skipped;
    skipped.sort_by(|a, b| a.0.cmp(&b.0));
    let outside = Skipped::LinkOutside;
    assert_eq!(skipped, [("abs".into(), outside), ("up".into(), outside)]);
    assert!(fs::symlink_metadata(target.join("abs")).is_err());
    assert!(fs::read_link(target.join("sub/in")).is_ok());
}

#[tokio::test]
async fn uploads_do_not_go_through_links_in_a_directorys_place() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("from/d")).unwrap();
    fs::write(dir.path().join("from/d/f"), "x").unwrap();
    fs::create_dir_all(dir.path().join("there/tree")).unwrap();
    fs::create_dir(dir.path().join("elsewhere")).unwrap();
    symlink("../../elsewhere", dir.path().join("there/tree/d")).unwrap();
    let client = connect(&dir.path().join("there")).await;
    let (from, tree) = (dir.path().join("from/."), RemotePath::new(b"tree/."));
    let refused = copy_up(&client, &from, &tree, Options::default(), &Silent).await;
    assert!(matches!(refused, Err(TransferError::InTheWay(_))), "{refused:?}");
    assert_eq!(fs::read_dir(dir.path().join("elsewhere")).unwrap().count(), 0);
}
