//! What a sandbox has written: compared, committed, copied, while the sandbox is hostile.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use navigator_images::{ChangeKind, Reference, Store, changes, copy_tree};
use rustix::fs::{FileType, Mode, XattrFlags};

use crate::making::{Tar, image};
use crate::trees::tree;

fn whiteout(path: &Path) {
    let kind = FileType::CharacterDevice;
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, Mode::empty(), 0).unwrap();
}

fn opaque(path: &Path) {
    rustix::fs::setxattr(path, "user.overlay.opaque", b"y", XattrFlags::empty()).unwrap();
}

struct Ground {
    dir: tempfile::TempDir,
    upper: PathBuf,
    store: Store,
}

impl Ground {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let upper = dir.path().join("upper");
        std::fs::create_dir(&upper).unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        Self { upper, store, dir }
    }
}

#[test]
fn changes_say_what_was_added_changed_and_deleted() {
    let Ground { dir: _dir, upper, store } = Ground::new();
    let bottom = Tar::default()
        .dir("etc")
        .file("etc/a", b"")
        .file("etc/b", b"")
        .dir("old")
        .file("old/x", b"")
        .file("old/y", b"")
        .file("gone", b"");
    let top = Tar::default().file("etc/.wh.b", b"").file("etc/c", b"");
    let parent = image(&store, &[bottom.bytes(), top.bytes()], None);
    std::fs::create_dir_all(upper.join("etc/new")).unwrap();
    std::fs::set_permissions(upper.join("etc"), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::write(upper.join("etc/a"), "changed").unwrap();
    std::fs::write(upper.join("etc/b"), "back again").unwrap();
    whiteout(&upper.join("etc/c"));
    whiteout(&upper.join("etc/never"));
    whiteout(&upper.join("gone"));
    std::fs::create_dir(upper.join("old")).unwrap();
    std::fs::set_permissions(upper.join("old"), PermissionsExt::from_mode(0o755)).unwrap();
    opaque(&upper.join("old"));
    std::fs::write(upper.join("old/y"), "").unwrap();
    let found = changes(&upper, &parent.visible_layers()).unwrap();
    let found: Vec<_> = found.iter().map(|c| (c.path.to_str().unwrap(), c.kind)).collect();
    use ChangeKind::{Added, Changed, Deleted};
    let expected = [
        ("etc/a", Changed),
        ("etc/b", Added),
        ("etc/c", Deleted),
        ("etc/new", Added),
        ("gone", Deleted),
        ("old/x", Deleted),
        ("old/y", Changed),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_commit_is_the_parent_and_one_layer_more() {
    let Ground { dir: _dir, upper, store } = Ground::new();
    let parent = image(&store, &[Tar::default().file("a", b"1").bytes()], Some("parent"));
    std::fs::write(upper.join("a"), "2").unwrap();
    let name = Reference::parse("localhost/snapshots:one").unwrap();
    let made = store.commit(&parent, &upper, Some(&name), "before the upgrade").unwrap();
    assert_eq!(made.layers[1..], parent.layers);
    assert_eq!(std::fs::read(made.layers[0].path.join("a")).unwrap(), b"2");
    assert_eq!(made.config.history.last().unwrap().comment, "before the upgrade");
    assert_eq!((&made.config.env, &made.config.cmd), (&parent.config.env, &parent.config.cmd));
    assert_eq!(store.find("localhost/snapshots:one").unwrap(), made);
    store.remove(&store.find("parent").unwrap()).unwrap();
    assert!(made.layers.iter().all(|layer| layer.path.exists()));
}

#[test]
fn what_a_hostile_sandbox_leaves_is_not_followed_opened_or_taken_along() {
    let Ground { dir, upper, store } = Ground::new();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "secret").unwrap();
    symlink(&secret, upper.join("file")).unwrap();
    symlink(dir.path(), upper.join("directory")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, upper.join("pipe"), FileType::Fifo, Mode::RWXU, 0)
        .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(upper.join("socket")).unwrap();
    std::fs::write(upper.join(".wh.name"), "").unwrap();
    std::fs::write(upper.join("su"), "").unwrap();
    std::fs::set_permissions(upper.join("su"), PermissionsExt::from_mode(0o6755)).unwrap();
    rustix::fs::setxattr(upper.join("su"), "user.overlay.redirect", b"/", XattrFlags::empty())
        .unwrap();
    let parent = image(&store, &[Tar::default().dir("x").bytes()], None);
    let made = store.commit(&parent, &upper, None, "").unwrap();
    let layer = tree(&made.layers[0].path);
    assert_eq!(layer.keys().collect::<Vec<_>>(), ["directory", "file", "su"]);
    assert_eq!(layer["file"].what, format!("-> {}", secret.display()));
    assert_eq!(layer["su"].mode & 0o7777, 0o755);
    assert_eq!(made.layers[0].skipped, 3);
    let forked = dir.path().join("forked");
    assert_eq!(copy_tree(&upper, &forked).unwrap().skipped, 2);
    let names = rustix::fs::listxattr(forked.join("su"), &mut [0_u8; 256]).unwrap();
    assert_eq!(names, 0);
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "secret");
}

#[test]
fn a_fork_has_hard_links_holes_modes_and_times() {
    let Ground { dir, upper, store: _store } = Ground::new();
    std::fs::create_dir_all(upper.join("a/b")).unwrap();
    std::fs::write(upper.join("a/one"), "x").unwrap();
    std::fs::hard_link(upper.join("a/one"), upper.join("a/b/two")).unwrap();
    let sparse = std::fs::File::create(upper.join("sparse")).unwrap();
    std::os::unix::fs::FileExt::write_at(&sparse, b"end", 64 << 20).unwrap();
    std::fs::set_permissions(upper.join("a/b"), PermissionsExt::from_mode(0o1555)).unwrap();
    whiteout(&upper.join("gone"));
    let forked = dir.path().join("forked");
    copy_tree(&upper, &forked).unwrap();
    assert_eq!(tree(&forked), tree(&upper));
    let one = forked.join("a/one").metadata().unwrap();
    assert_eq!(one.ino(), forked.join("a/b/two").metadata().unwrap().ino());
    assert!(forked.join("sparse").metadata().unwrap().blocks() < 1024);
    assert!(forked.join("gone").symlink_metadata().unwrap().file_type().is_char_device());
    std::fs::set_permissions(upper.join("a/b"), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::set_permissions(forked.join("a/b"), PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn a_sandbox_that_swaps_directories_for_links_meanwhile_leads_nowhere() {
    let Ground { dir, upper, store: _store } = Ground::new();
    let outside = dir.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), "secret").unwrap();
    std::fs::create_dir(upper.join("real")).unwrap();
    symlink(&outside, upper.join("link")).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let root = rustix::fs::open(&upper, rustix::fs::OFlags::PATH, Mode::empty()).unwrap();
            let exchange = rustix::fs::RenameFlags::EXCHANGE;
            while !stop.load(Ordering::Relaxed) {
                rustix::fs::renameat_with(&root, "real", &root, "link", exchange).unwrap();
            }
        });
        for round in 0..300 {
            let forked = dir.path().join(format!("forked-{round}"));
            // That a directory became a link in between may be an error; reading through the link may not.
            let _outcome = copy_tree(&upper, &forked);
            for name in ["real", "link"] {
                let there = forked.join(name).symlink_metadata();
                assert!(
                    there.is_err()
                        || !forked.join(name).join("secret").exists()
                        || there.unwrap().is_symlink()
                );
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn what_the_sandbox_may_not_read_itself_is_copied_with_its_modes() {
    let Ground { dir, upper, store } = Ground::new();
    std::fs::create_dir_all(upper.join("closed/inner")).unwrap();
    std::fs::write(upper.join("closed/file"), "x").unwrap();
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    };
    for (path, closed) in [("closed/file", 0o000), ("closed/inner", 0o444), ("closed", 0o000)] {
        mode(&upper.join(path), closed);
    }
    let forked = dir.path().join("forked");
    copy_tree(&upper, &forked).unwrap();
    let parent = image(&store, &[Tar::default().dir("x").bytes()], None);
    let found = changes(&upper, &parent.visible_layers()).unwrap();
    assert_eq!(found.len(), 3);
    let made = store.commit(&parent, &upper, None, "").unwrap();
    assert_eq!(std::fs::read(made.layers[0].path.join("closed/file")).unwrap(), b"x");
    for root in [&upper, &forked] {
        for (path, closed) in [("closed", 0o000), ("closed/inner", 0o444), ("closed/file", 0o000)] {
            let found = root.join(path).metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(found, closed, "{path}");
            mode(&root.join(path), 0o700);
        }
    }
}
