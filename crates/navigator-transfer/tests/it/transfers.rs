//! What people do with `sandbox cp` and `sandbox sync`.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use futures_util::FutureExt;
use navigator_sftp::wire::{Attributes, open};
use navigator_transfer::{
    Compare, Extra, Links, Options, Preserve, RemotePath, Report, Silent, Skipped, SyncOptions,
    TransferError, copy_down, copy_up, sync_down, sync_up, watch_up,
};
use tempfile::TempDir;

use crate::connect;

pub struct Sides {
    dir: TempDir,
}

impl Sides {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("here")).unwrap();
        fs::create_dir(dir.path().join("there")).unwrap();
        Self { dir }
    }

    pub fn here(&self, path: &str) -> PathBuf {
        self.dir.path().join("here").join(path)
    }

    pub fn there(&self, path: &str) -> PathBuf {
        self.dir.path().join("there").join(path)
    }

    pub async fn up(
        &self,
        from: &str,
        to: &str,
        options: Options,
    ) -> Result<Report, TransferError> {
        let client = connect(&self.there("")).await;
        copy_up(&client, &self.here(from), &RemotePath::new(to.as_bytes()), options, &Silent).await
    }

    pub async fn down(
        &self,
        from: &str,
        to: &str,
        options: Options,
    ) -> Result<Report, TransferError> {
        let client = connect(&self.there("")).await;
        copy_down(&client, &RemotePath::new(from.as_bytes()), &self.here(to), options, &Silent)
            .await
    }

    pub async fn sync_up(&self, options: SyncOptions) -> Report {
        let client = connect(&self.there("")).await;
        let target = RemotePath::new(b"tree");
        sync_up(&client, &self.here("tree"), &target, options, &Silent).await.unwrap()
    }

    pub async fn sync_down(&self, options: SyncOptions) -> Report {
        let client = connect(&self.there("")).await;
        let source = RemotePath::new(b"tree");
        sync_down(&client, &source, &self.here("tree"), options, &Silent).await.unwrap()
    }
}

pub fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

pub fn age(path: &Path, seconds: u64) {
    let time = UNIX_EPOCH + Duration::from_secs(seconds);
    fs::File::open(path).unwrap().set_modified(time).unwrap();
}

fn large() -> Vec<u8> {
    (0..5_000_001_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

pub const KEEP: Options = Options { preserve: Preserve::Yes, links: Links::Copy };
pub const DELETE: SyncOptions = SyncOptions { compare: Compare::SizeAndTime, extra: Extra::Delete };

#[tokio::test]
async fn files_arrive_whole_in_both_directions() {
    let sides = Sides::new();
    write(&sides.here("a"), large());
    write(&sides.here("empty"), "");
    sides.up("a", "b", Options::default()).await.unwrap();
    sides.up("empty", ".", Options::default()).await.unwrap();
    sides.down("b", "c", Options::default()).await.unwrap();
    assert!(fs::read(sides.there("b")).unwrap() == large());
    assert!(fs::read(sides.here("c")).unwrap() == large());
    assert_eq!(fs::read(sides.there("empty")).unwrap(), b"");
    assert_eq!(fs::read_dir(sides.there("")).unwrap().count(), 2, "no part is left");
}

#[tokio::test]
async fn trees_are_placed_as_by_cp() {
    let sides = Sides::new();
    write(&sides.here("tree/sub/a"), "x");
    symlink("sub/a", sides.here("tree/link")).unwrap();
    sides.up("tree", "new", Options::default()).await.unwrap();
    sides.up("tree", "new", Options::default()).await.unwrap();
    assert_eq!(fs::read(sides.there("new/sub/a")).unwrap(), b"x");
    assert_eq!(fs::read(sides.there("new/tree/sub/a")).unwrap(), b"x");
    assert_eq!(fs::read_link(sides.there("new/link")).unwrap(), Path::new("sub/a"));
    sides.down("new", "back", Options::default()).await.unwrap();
    sides.down("new", "", Options::default()).await.unwrap();
    assert_eq!(fs::read(sides.here("back/tree/sub/a")).unwrap(), b"x");
    assert_eq!(fs::read(sides.here("new/sub/a")).unwrap(), b"x");
    assert_eq!(fs::read_link(sides.here("new/link")).unwrap(), Path::new("sub/a"));
}

#[tokio::test]
async fn times_and_permissions_are_kept_when_asked() {
    let sides = Sides::new();
    write(&sides.here("tree/a"), "x");
    fs::set_permissions(sides.here("tree/a"), fs::Permissions::from_mode(0o6750)).unwrap();
    age(&sides.here("tree/a"), 1_000_000_000);
    sides.up("tree", "copy", KEEP).await.unwrap();
    sides.down("copy", "back", KEEP).await.unwrap();
    for copy in [sides.there("copy/a"), sides.here("back/a")] {
        let found = fs::metadata(copy).unwrap();
        assert_eq!((found.mtime(), found.mode() & 0o7777), (1_000_000_000, 0o750));
    }
}

#[tokio::test]
async fn a_broken_transfer_goes_on_where_it_ended() {
    let sides = Sides::new();
    let part = format!("a.{:x}-{:x}.navigator-part", large().len(), 1_000_000_000);
    // The beginning differs on purpose: it shows that it was not sent again.
    let begun = vec![7; 1_000_001];
    write(&sides.here("a"), large());
    age(&sides.here("a"), 1_000_000_000);
    write(&sides.there(&part), &begun);
    sides.up("a", "a", KEEP).await.unwrap();
    let found = fs::read(sides.there("a")).unwrap();
    assert!(found[..begun.len()] == begun && found[begun.len()..] == large()[begun.len()..]);
    assert!(!sides.there(&part).exists());

    let part = part.replacen('a', "b", 1);
    write(&sides.here(&part), &begun);
    write(&sides.there("b"), large());
    age(&sides.there("b"), 1_000_000_000);
    sides.down("b", "b", KEEP).await.unwrap();
    let found = fs::read(sides.here("b")).unwrap();
    assert!(found[..begun.len()] == begun && found[begun.len()..] == large()[begun.len()..]);
    assert!(!sides.here(&part).exists());
}

#[tokio::test]
async fn another_version_of_a_file_does_not_go_on() {
    let sides = Sides::new();
    write(&sides.here("a"), large());
    age(&sides.here("a"), 1_000_000_001);
    let other = format!("a.{:x}-{:x}.navigator-part", large().len(), 1_000_000_000);
    write(&sides.there(&other), vec![7; 1000]);
    sides.up("a", "a", KEEP).await.unwrap();
    assert!(fs::read(sides.there("a")).unwrap() == large());
}

#[tokio::test]
async fn links_are_followed_only_when_asked() {
    let sides = Sides::new();
    write(&sides.here("secret"), "s");
    write(&sides.here("tree/a"), "a");
    symlink("../secret", sides.here("tree/link")).unwrap();
    sides.up("tree", "links", Options::default()).await.unwrap();
    assert_eq!(fs::read_link(sides.there("links/link")).unwrap(), Path::new("../secret"));
    let follow = Options { links: Links::Follow, ..Options::default() };
    sides.up("tree", "files", follow).await.unwrap();
    assert_eq!(fs::read(sides.there("files/link")).unwrap(), b"s");
}

#[tokio::test]
async fn sync_moves_only_what_differs_and_honours_the_rules() {
    let sides = Sides::new();
    write(&sides.here("tree/.gitignore"), "*.log\n/out/\n");
    write(&sides.here("tree/sub/.gitignore"), "!kept.log\n");
    for name in ["a", "x.log", "sub/kept.log", "sub/y.log", "out/z", "sub/out/z"] {
        write(&sides.here("tree").join(name), name);
    }
    assert_eq!(sides.sync_up(SyncOptions::default()).await.files, 5);
    for (name, there) in [("a", true), ("x.log", false), ("sub/kept.log", true)] {
        assert_eq!(sides.there("tree").join(name).exists(), there, "{name}");
    }
    for (name, there) in [("sub/y.log", false), ("out", false), ("sub/out/z", true)] {
        assert_eq!(sides.there("tree").join(name).exists(), there, "{name}");
    }
    assert_eq!(sides.sync_up(SyncOptions::default()).await.files, 0);
    write(&sides.here("tree/a"), "changed");
    assert_eq!(sides.sync_up(SyncOptions::default()).await.files, 1);
    assert_eq!(fs::read(sides.there("tree/a")).unwrap(), b"changed");
}

#[tokio::test]
async fn sync_deletes_when_asked_and_never_what_the_rules_leave_out() {
    let sides = Sides::new();
    write(&sides.here("tree/.gitignore"), "*.log\n");
    write(&sides.here("tree/a"), "a");
    write(&sides.here("tree/file"), "now a file");
    write(&sides.there("tree/extra/deep/b"), "b");
    write(&sides.there("tree/keep.log"), "log");
    write(&sides.there("tree/file/was"), "a directory");
    let report = sides.sync_up(DELETE).await;
    assert_eq!((report.files, report.deleted), (3, 5));
    assert!(!sides.there("tree/extra").exists());
    assert!(sides.there("tree/keep.log").exists());
    assert_eq!(fs::read(sides.there("tree/file")).unwrap(), b"now a file");
}

#[tokio::test]
async fn sync_down_leaves_repositories_and_what_they_run_alone() {
    let sides = Sides::new();
    write(&sides.there("tree/a"), "a");
    write(&sides.there("tree/.git/hooks/post-checkout"), "evil");
    write(&sides.there("tree/sub/.GIT/config"), "evil");
    write(&sides.here("tree/.git/config"), "mine");
    write(&sides.here("tree/old"), "old");
    let report = sides.sync_down(DELETE).await;
    assert_eq!(fs::read(sides.here("tree/.git/config")).unwrap(), b"mine");
    assert!(!sides.here("tree/.git/hooks").exists() && !sides.here("tree/sub/.GIT").exists());
    assert!(sides.here("tree/a").exists() && !sides.here("tree/old").exists());
    assert!(report.skipped.contains(&(".git".into(), Skipped::Repository)));
}

#[tokio::test]
async fn equal_sizes_and_times_differ_by_content_when_asked() {
    let sides = Sides::new();
    write(&sides.here("tree/a"), "one");
    write(&sides.there("tree/a"), "two");
    age(&sides.here("tree/a"), 1_000_000_000);
    age(&sides.there("tree/a"), 1_000_000_000);
    assert_eq!(sides.sync_up(SyncOptions::default()).await.files, 0);
    let content = SyncOptions { compare: Compare::Content, ..SyncOptions::default() };
    assert_eq!(sides.sync_up(content).await.files, 1);
    assert_eq!(sides.sync_up(content).await.files, 0);
    assert_eq!(fs::read(sides.there("tree/a")).unwrap(), b"one");
}

#[tokio::test]
async fn changes_are_synced_as_they_come() {
    let sides = Sides::new();
    write(&sides.here("tree/a"), "a");
    let client = connect(&sides.there("")).await;
    let (sender, mut reports) = tokio::sync::mpsc::unbounded_channel();
    let (source, target) = (sides.here("tree"), RemotePath::new(b"tree"));
    let done = move |report| sender.send(report).unwrap();
    let watch = watch_up(&client, &source, &target, DELETE, &Silent, done);
    let change = async {
        assert_eq!(reports.recv().await.unwrap().files, 1);
        write(&sides.here("tree/sub/b"), "b");
        while !sides.there("tree/sub/b").exists() {
            reports.recv().await.unwrap();
        }
    };
    tokio::select! {
        ended = watch => panic!("watching ended: {ended:?}"),
        () = change => {}
    }
}

#[tokio::test]
async fn ten_thousand_files_go_up_and_down() {
    let sides = Sides::new();
    for number in 0..10_000 {
        write(&sides.here(&format!("tree/{}/{number}", number % 10)), number.to_string());
    }
    assert_eq!(sides.up("tree", "tree", Options::default()).await.unwrap().files, 10_000);
    assert_eq!(sides.down("tree", "back", Options::default()).await.unwrap().files, 10_000);
    for number in [0, 1234, 9_999] {
        let copy = sides.here(&format!("back/{}/{number}", number % 10));
        assert_eq!(fs::read_to_string(copy).unwrap(), number.to_string());
    }
}

/// More transfers than a server has handles for one connection.
const MANY: usize = 600;

#[tokio::test]
async fn failed_transfers_leave_nothing_open() {
    let sides = Sides::new();
    write(&sides.there("a"), "a");
    age(&sides.there("a"), 1_000_000_000);
    // Where the part would be is a directory.
    let part = format!("a.{:x}-{:x}.navigator-part", 1, 1_000_000_000);
    fs::create_dir(sides.here(&part)).unwrap();
    let client = connect(&sides.there("")).await;
    let (remote, options) = (RemotePath::new(b"a"), Options::default());
    for _ in 0..MANY {
        let failed = copy_down(&client, &remote, &sides.here("a"), options, &Silent).await;
        assert!(matches!(failed, Err(TransferError::Local { action: "create", .. })), "{failed:?}");
    }
    // A file of the system that says it is longer than it is.
    let (short, target) = (Path::new("/sys/devices/system/cpu/online"), RemotePath::new(b"b"));
    for _ in 0..MANY {
        let failed = copy_up(&client, short, &target, options, &Silent).await;
        assert!(matches!(failed, Err(TransferError::Changed(_))), "{failed:?}");
    }
    fs::remove_dir(sides.here(&part)).unwrap();
    copy_down(&client, &remote, &sides.here("a"), options, &Silent).await.unwrap();
}

#[tokio::test]
async fn what_is_opened_for_who_has_gone_is_closed() {
    let sides = Sides::new();
    write(&sides.there("a"), "a");
    let client = connect(&sides.there("")).await;
    let (path, none) = (RemotePath::new(b"a"), Attributes::default());
    for _ in 0..2 * MANY {
        // Asked once it has sent one request: the opening, or the closing of what was opened before.
        assert!(client.open_file(&path, open::READ, none).now_or_never().is_none());
        client.lstat(&path).await.unwrap();
    }
    client.open_file(&path, open::READ, none).await.unwrap();
}
