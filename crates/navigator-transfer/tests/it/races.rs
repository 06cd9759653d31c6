//! Somebody who exchanges directories and files for links, on the user's side, while they are transferred.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use navigator_transfer::{RemotePath, Silent, copy_down, copy_up, sync_down, sync_up};
use rustix::fs::{CWD, RenameFlags};

use crate::connect;
use crate::transfers::{DELETE, KEEP, Sides, age, write};

/// How long the attacker and the transfers run against each other.
const LONG: Duration = Duration::from_millis(1500);
const SECRET: &str = "secret";
const FILES: u32 = 20;
const TIME: u64 = 1_000_000_000;

/// What the attacker does: names are exchanged for links, and a link comes and goes where a part will be.
struct Links {
    exchanged: [(PathBuf, PathBuf); 2],
    planted: PathBuf,
}

/// Exchanges names for links until it is dropped.
struct Attacker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<u32>>,
}

impl Attacker {
    fn start(links: Links) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut exchanged = 0;
            while !stopped.load(Ordering::Relaxed) {
                for (one, other) in &links.exchanged {
                    // One of them may be away for a moment: the transfer replaces and deletes.
                    let flags = RenameFlags::EXCHANGE;
                    let done = rustix::fs::renameat_with(CWD, one, CWD, other, flags);
                    exchanged += u32::from(done.is_ok());
                }
                // The part itself may be there, or gone.
                let _ = symlink("../outside/1", &links.planted);
                let _ = fs::remove_file(&links.planted);
            }
            exchanged
        });
        Self { stop, thread: Some(thread) }
    }

    fn end(mut self) -> u32 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// A tree to transfer, another on the user's side with the attacker's links, and what is outside.
fn attacked(sides: &Sides) -> Links {
    for number in 0..FILES {
        for file in [sides.there(&format!("tree/d/{number}")), sides.here(&format!("d/{number}"))] {
            write(&file, "harmless");
            age(&file, TIME);
        }
        write(&sides.here(&format!("../outside/{number}")), SECRET);
    }
    age(&sides.there("tree/d"), TIME);
    write(&sides.there("tree/f"), "harmless");
    age(&sides.there("tree/f"), TIME);
    write(&sides.here("f"), "harmless");
    symlink("../outside", sides.here("../link-d")).unwrap();
    symlink("../outside/0", sides.here("../link-f")).unwrap();
    let part = format!("f.{:x}-{TIME:x}.navigator-part", "harmless".len());
    Links {
        exchanged: [("d", "link-d"), ("f", "link-f")]
            .map(|(name, link)| (sides.here(name), sides.here("..").join(link))),
        planted: sides.here(&part),
    }
}

fn assert_outside_is_untouched(sides: &Sides) {
    let outside = sides.here("../outside");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), FILES as usize);
    assert_ne!(fs::metadata(&outside).unwrap().mtime(), TIME as i64);
    for entry in fs::read_dir(&outside).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(fs::read_to_string(entry.path()).unwrap(), SECRET);
        assert_ne!(entry.metadata().unwrap().mtime(), TIME as i64);
    }
}

fn assert_holds_no_secret(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            assert_holds_no_secret(&entry.path());
        } else if kind.is_file() {
            assert_ne!(fs::read_to_string(entry.path()).unwrap(), SECRET, "{entry:?}");
        }
    }
}

#[tokio::test]
async fn downloads_write_nothing_through_links_that_come_and_go() {
    let sides = Sides::new();
    let attacker = Attacker::start(attacked(&sides));
    let client = connect(&sides.there("")).await;
    let (source, target) = (RemotePath::new(b"tree/."), sides.here("."));
    let until = Instant::now() + LONG;
    let mut whole = 0;
    while Instant::now() < until {
        // Each may fail where a link is in the way.
        let copied = copy_down(&client, &source, &target, KEEP, &Silent).await;
        let synced = sync_down(&client, &source, &target, DELETE, &Silent).await;
        whole += u32::from(copied.is_ok()) + u32::from(synced.is_ok());
        assert_outside_is_untouched(&sides);
    }
    assert!(attacker.end() > 0, "links came and went");
    assert!(whole > 0, "transfers went on meanwhile");
    assert_outside_is_untouched(&sides);
}

#[tokio::test]
async fn uploads_read_nothing_through_links_that_come_and_go() {
    let sides = Sides::new();
    let attacker = Attacker::start(attacked(&sides));
    let client = connect(&sides.there("")).await;
    let (source, target) = (sides.here("."), RemotePath::new(b"copy/."));
    fs::create_dir(sides.there("copy")).unwrap();
    let until = Instant::now() + LONG;
    let mut whole = 0;
    while Instant::now() < until {
        // Each may fail where a link is in the way.
        let copied = copy_up(&client, &source, &target, KEEP, &Silent).await;
        let synced = sync_up(&client, &source, &target, DELETE, &Silent).await;
        whole += u32::from(copied.is_ok()) + u32::from(synced.is_ok());
        assert_holds_no_secret(&sides.there("copy"));
    }
    assert!(attacker.end() > 0, "links came and went");
    assert!(whole > 0, "transfers went on meanwhile");
    assert_outside_is_untouched(&sides);
}
