//! What the SQLite store does when its process is killed, its disk is full or its file cannot be written.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use navigator_gateway::records::{Page, Sandbox};
use navigator_gateway::store::{Store, StoreError, StoreUrl};
use uuid::Uuid;

use super::bed::{block_on, file_in, key};
use super::samples::{PAGE, event, name, revision, sandbox};

/// Tells a child where the store is.
const PLACE: &str = "NAVIGATOR_TEST_STORE";
/// All records; the tests make fewer.
const EVERYTHING: Page = Page { limit: 100_000, offset: 0 };

/// Sandboxes that a writer would make if nobody killed it.
const MORE_THAN_IT_LIVES: u32 = 1_000_000;

fn place() -> PathBuf {
    std::env::var_os(PLACE).expect("another test runs this one").into()
}

async fn open(path: &Path) -> Result<Store, StoreError> {
    Store::open(&StoreUrl::file(path), key()).await
}

/// Runs another test of this file in a process of its own, behind the words of some program.
fn child(words: &[&str], test: &str, place: &Path) -> Command {
    let own = std::env::current_exe().unwrap();
    let mut command = match words {
        [] => Command::new(own),
        [program, rest @ ..] => {
            let mut command = Command::new(program);
            command.args(rest).arg(own);
            command
        }
    };
    let test = format!("store::faults::{test}");
    command.args(["--exact", "--ignored", "--nocapture", &test]).env(PLACE, place);
    command
}

fn succeeds(mut command: Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn is_intact(path: &Path) {
    let connection = rusqlite::Connection::open(path).unwrap();
    let check = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, String>(0));
    assert_eq!(check("PRAGMA integrity_check").unwrap(), "ok");
    let broken = check("PRAGMA foreign_key_check");
    assert_eq!(broken, Err(rusqlite::Error::QueryReturnedNoRows));
}

#[test]
fn a_killed_process_leaves_whole_records_and_all_that_it_answered_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = PathBuf::from(file_in(dir.path()));
    let mut answered = vec![];
    for round in 1..=10 {
        let mut writer = child(&[], "writes_until_it_is_killed", &path);
        let mut writer = writer.stdout(Stdio::piped()).spawn().unwrap();
        answered.extend(names_until(&mut writer, round * 7));
        is_intact(&path);
    }
    assert!(answered.len() >= 300, "{}", answered.len());
    block_on(async {
        let store = open(&path).await.unwrap();
        let found = store.sandboxes(EVERYTHING).await.unwrap();
        for made in &answered {
            assert!(found.iter().any(|one| one.name.as_str() == made), "{made} is lost");
        }
        for one in &found {
            is_whole(&store, one).await;
        }
    });
}

/// Kills a writer after it has answered for so many sandboxes, and returns all that it answered for.
fn names_until(writer: &mut Child, count: usize) -> Vec<String> {
    let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
    let mut names = vec![];
    for line in lines {
        if let Some(name) = line.unwrap().strip_prefix("made ") {
            names.push(name.to_owned());
            if names.len() == count {
                writer.kill().unwrap();
            }
        }
    }
    writer.wait().unwrap();
    names
}

/// Either as it was made or as it was saved, with its revision and its events.
async fn is_whole(store: &Store, found: &Sandbox) {
    let mut made = sandbox(found.name.as_str());
    made.id = found.id;
    if found.record_version == 2 {
        changed(&mut made);
        made.record_version = 2;
    }
    assert_eq!(*found, made);
    assert_eq!(store.newest_revision(found.id).await.unwrap(), Some(revision(1)));
    for (at, found) in (0..).zip(store.events(found.id, 10).await.unwrap()) {
        assert_eq!(found, event(at));
    }
}

fn changed(sandbox: &mut Sandbox) {
    sandbox.restarts = 99;
    sandbox.layers.pop();
    sandbox.conditions.clear();
}

#[test]
#[ignore = "another test runs and kills it"]
fn writes_until_it_is_killed() {
    block_on(async {
        let store = open(&place()).await.unwrap();
        let writers = (0..4).map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..MORE_THAN_IT_LIVES {
                    let mut made = sandbox(&format!("s-{}", Uuid::now_v7()));
                    store.create_sandbox(&made, Some(&revision(1))).await.unwrap();
                    println!("\nmade {}", made.name);
                    changed(&mut made);
                    store.save_sandbox(&mut made).await.unwrap();
                    store.add_event(made.id, &event(0)).await.unwrap();
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
    });
}

#[test]
fn on_a_full_disk_reads_go_on_and_nothing_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let mount = "mount -t tmpfs -o size=2m,mode=700 none \"$0\" && exec \"$@\"";
    let at = dir.path().to_str().unwrap();
    let words = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, at];
    succeeds(child(&words, "fills_its_disk", dir.path()));
}

#[test]
#[ignore = "another test runs it on a small disk of its own"]
fn fills_its_disk() {
    let (dir, filler) = (place(), place().join("filler"));
    let path = dir.join("navigator.db");
    block_on(async {
        let store = open(&path).await.unwrap();
        let mut kept = sandbox("kept");
        store.create_sandbox(&kept, Some(&revision(1))).await.unwrap();
        let error = std::fs::write(&filler, vec![1; 3 << 20]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        let mut made = vec![];
        let full = loop {
            let one = sandbox(&format!("s{}", made.len()));
            match store.create_sandbox(&one, Some(&revision(1))).await {
                Ok(()) => made.push(one),
                Err(error) => break error,
            }
        };
        assert!(matches!(full, StoreError::Full(_)), "{full:?}");
        assert!(full.to_string().contains("the disk is full"), "{full}");
        assert_eq!(store.sandbox(kept.id).await.unwrap().as_ref(), Some(&kept));
        assert_eq!(store.sandboxes(EVERYTHING).await.unwrap().len(), made.len() + 1);
        std::fs::remove_file(&filler).unwrap();
        kept.restarts = 5;
        store.save_sandbox(&mut kept).await.unwrap();
        drop(store);
        is_intact(&path);
        let store = open(&path).await.unwrap();
        assert_eq!(store.sandbox(kept.id).await.unwrap(), Some(kept));
        assert_eq!(store.count_sandboxes().await.unwrap() as usize, made.len() + 1);
    });
}

#[test]
fn a_file_that_cannot_be_written_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = PathBuf::from(file_in(dir.path()));
    block_on(async {
        let store = open(&path).await.unwrap();
        store.create_sandbox(&sandbox("demo"), Some(&revision(1))).await.unwrap();
    });
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
    // Root may write every file; this makes it obey.
    let obey = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];
    let words = if rustix::process::geteuid().is_root() { &obey[..] } else { &[] };
    succeeds(child(words, "reads_and_cannot_write", &path));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    is_intact(&path);
}

#[test]
#[ignore = "another test runs it without the right to write"]
fn reads_and_cannot_write() {
    block_on(async {
        let store = open(&place()).await.unwrap();
        let mut made = store.sandbox_named(&name("demo")).await.unwrap().unwrap();
        let refused = [
            store.save_sandbox(&mut made).await.err(),
            store.create_sandbox(&sandbox("other"), None).await.err(),
            store.remove_sandbox(made.id).await.err(),
        ];
        for error in refused {
            assert!(matches!(error, Some(StoreError::ReadOnly(_))), "{error:?}");
        }
        assert_eq!(store.sandboxes(PAGE).await.unwrap(), [made]);
    });
}
