//! Hostile layers: each is refused whole or contained, and nothing outside the store is touched.

use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use navigator_images::{Digest, LayerError, Limits, Quiet, Store};
use tar::EntryType;

use crate::making::{Tar, add, contents, described};

/// A store beside a directory that must stay as it is.
struct Ground {
    dir: tempfile::TempDir,
    store: Store,
}

impl Ground {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("outside")).unwrap();
        std::fs::write(dir.path().join("outside/file"), "as it was").unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        Self { dir, store }
    }

    fn outside(&self) -> PathBuf {
        self.dir.path().join("outside")
    }

    /// Nothing outside has changed, and nothing is unfinished.
    fn check(&self, layers: usize) {
        assert_eq!(contents(&self.dir.path().join("store")), (layers, 0));
        let mut entries: Vec<_> = std::fs::read_dir(self.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        entries.sort();
        assert_eq!(entries, ["outside", "store"]);
        assert_eq!(std::fs::read_dir(self.outside()).unwrap().count(), 1);
        let file = self.outside().join("file");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "as it was");
        assert_eq!(std::fs::metadata(&file).unwrap().nlink(), 1);
    }

    fn refuse(&self, what: &str, bytes: &[u8], because: &str) {
        let adding = self.store.begin().unwrap();
        let error = add(&adding, bytes).expect_err(what);
        drop(adding);
        let text = chain(&error);
        assert!(text.contains(because), "{what}: {text}");
        self.check(0);
    }

    fn accept(&self, bytes: &[u8]) -> PathBuf {
        let adding = self.store.begin().unwrap();
        add(&adding, bytes).unwrap();
        drop(adding);
        self.check(1);
        self.dir.path().join("store/layers").join(Digest::of(bytes).hex()).join("tree")
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[test]
fn no_path_leads_out_of_a_layer() {
    let ground = Ground::new();
    let outside = ground.outside();
    let outside = outside.to_str().unwrap();
    let through = |target: &str| Tar::default().symlink("a", target).file("a/file", b"x").bytes();
    for path in ["../x", "a/../../x", "..", "a/..", "/../x"] {
        ground.refuse(path, &Tar::default().file(path, b"x").bytes(), "`..`");
    }
    for target in [outside, "../../..", ".", "b"] {
        ground.refuse(target, &through(target), "symbolic link");
    }
    let late = Tar::default().dir("a").file("a/b", b"").symlink("a", outside).file("a/file", b"x");
    ground.refuse("a directory that becomes a link", &late.bytes(), "symbolic link");
    let middle = Tar::default().symlink("a", outside).dir("a/b/c");
    ground.refuse("directories below a link", &middle.bytes(), "symbolic link");
    let whiteout = Tar::default().symlink("a", outside).file("a/.wh.file", b"");
    ground.refuse("a whiteout below a link", &whiteout.bytes(), "symbolic link");
    let opaque = Tar::default().symlink("a", outside).file("a/.wh..wh..opq", b"");
    ground.refuse("an opaque link", &opaque.bytes(), "symbolic link");
}

#[test]
fn absolute_paths_are_paths_of_the_layer() {
    let ground = Ground::new();
    let path = format!("/{}", "etc/passwd");
    let tree = ground.accept(&Tar::default().file(&path, b"x").file("//a", b"y").bytes());
    assert_eq!(std::fs::read(tree.join("etc/passwd")).unwrap(), b"x");
    assert_eq!(std::fs::read(tree.join("a")).unwrap(), b"y");
}

#[test]
fn hard_links_join_files_of_the_layer_only() {
    let ground = Ground::new();
    let file = ground.outside().join("file");
    let file = file.to_str().unwrap();
    let link = |target: &str| Tar::default().hardlink("l", target).bytes();
    ground.refuse("outside", &link(file), "hard link");
    ground.refuse("upwards", &link("../../outside/file"), "`..`");
    ground.refuse("missing", &link("nothing"), "hard link");
    let base =
        || Tar::default().symlink("s", file).symlink("d", ground.outside().to_str().unwrap());
    ground.refuse("to a link", &base().hardlink("l", "s").bytes(), "hard link");
    ground.refuse("through a link", &base().hardlink("l", "d/file").bytes(), "symbolic link");
    let whiteout = Tar::default().file(".wh.x", b"").hardlink("l", "x");
    ground.refuse("to a whiteout", &whiteout.bytes(), "hard link");
    let tree = ground
        .accept(&Tar::default().file("a", b"x").hardlink("a", "a").hardlink("b", "a").bytes());
    assert_eq!(std::fs::metadata(tree.join("a")).unwrap().nlink(), 2);
}

#[test]
fn a_link_in_place_of_a_file_is_replaced_and_never_written_through() {
    let ground = Ground::new();
    let file = ground.outside().join("file");
    let layer = Tar::default().symlink("a", file.to_str().unwrap()).file("a", b"new");
    let tree = ground.accept(&layer.bytes());
    assert!(tree.join("a").symlink_metadata().unwrap().is_file());
}

#[test]
fn whiteouts_that_hide_no_name_are_refused() {
    let ground = Ground::new();
    for path in [".wh.", ".wh..", ".wh...", ".wh..wh.x", "a/.wh.", ".wh.a/b", ".wh..wh..opq/b"] {
        ground.refuse(path, &Tar::default().file(path, b"").bytes(), "whiteout");
    }
}

#[test]
fn devices_are_left_out_and_unknown_entries_refused() {
    let ground = Ground::new();
    let entry = |kind, path| Tar::header(kind, path, 0, 0o666);
    for kind in [b'V', b'M', b'D', b'A', 0x7f] {
        let layer = Tar::default().raw(entry(EntryType::new(kind), "a"), b"");
        ground.refuse("unknown", &layer.bytes(), "are not unpacked");
    }
    let layer = Tar::default()
        .raw(entry(EntryType::Char, "c"), b"")
        .raw(entry(EntryType::Block, "b"), b"")
        .raw(entry(EntryType::Fifo, "f"), b"");
    let tree = ground.accept(&layer.bytes());
    assert_eq!(std::fs::read_dir(&tree).unwrap().count(), 0);
    let record = std::fs::read_to_string(tree.parent().unwrap().join("record.json")).unwrap();
    assert!(record.contains("\"skipped\":3"), "{record}");
}

#[test]
fn bits_and_attributes_that_give_privileges_are_dropped() {
    let ground = Ground::new();
    let attributes = "SCHILY.xattr.security.capability=\x01\x00\x00\x02\nx";
    let records = [
        ("SCHILY.xattr.user.overlay.redirect", "/x"),
        ("SCHILY.xattr.trusted.overlay.opaque", "y"),
    ];
    let mut pax = vec![];
    for (keyword, value) in records.into_iter().chain([attributes.split_once('=').unwrap()]) {
        let rest = format!(" {keyword}={value}\n");
        pax.extend_from_slice(format!("{}{rest}", rest.len() + 2).as_bytes());
    }
    let layer = Tar::default()
        .raw(Tar::header(EntryType::XHeader, "p", pax.len() as u64, 0), &pax)
        .raw(Tar::header(EntryType::Regular, "su", 0, 0o6755), b"")
        .raw(Tar::header(EntryType::Directory, "d", 0, 0o7777), b"");
    let tree = ground.accept(&layer.bytes());
    let mode = |name| std::fs::metadata(tree.join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("su"), mode("d")), (0o755, 0o1777));
    assert_eq!(rustix::fs::listxattr(tree.join("su"), &mut [0_u8; 256]).unwrap(), 0);
}

#[test]
fn sizes_that_no_disk_should_hold_are_refused() {
    let ground = Ground::new();
    let mut sparse = Tar::header(EntryType::GNUSparse, "s", 0, 0o644);
    sparse.as_gnu_mut().unwrap().realsize[..]
        .copy_from_slice(&[0x80, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0]);
    ground.refuse("sparse", &Tar::default().raw(sparse, b"").bytes(), "take more than");
    let mut negative = Tar::header(EntryType::Regular, "n", 0, 0o644);
    negative.as_old_mut().size = [0xff; 12];
    ground.refuse("negative", &Tar::default().raw(negative, b"").bytes(), "a size");
    let huge = Tar::header(EntryType::Regular, "h", u64::MAX, 0o644);
    ground.refuse("overflowing", &Tar::default().raw(huge, b"").bytes(), "a size");
    let cut = Tar::default().raw(Tar::header(EntryType::Regular, "c", 4096, 0o644), b"short");
    ground.refuse("cut", &cut.0, "ends in the middle");
}

#[test]
fn names_without_end_are_refused() {
    let ground = Ground::new();
    for kind in [EntryType::GNULongName, EntryType::XHeader] {
        let name = vec![b'a'; 2 << 20];
        let layer =
            Tar::default().raw(Tar::header(kind, "x", name.len() as u64, 0), &name).file("a", b"");
        ground.refuse("2 MiB", &layer.bytes(), "too long");
    }
    let long = format!("{}/{}", "a".repeat(250), "b/".repeat(3000));
    let layer = Tar::default()
        .raw(Tar::header(EntryType::GNULongName, "x", long.len() as u64, 0), long.as_bytes())
        .file("a", b"");
    ground.refuse("6000 bytes", &layer.bytes(), "has more than");
    let nul = Tar::default()
        .raw(Tar::header(EntryType::XHeader, "x", 12, 0), b"12 path=a\0b\n")
        .file("a", b"");
    ground.refuse("NUL", &nul.bytes(), "NUL");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_bomb_stops_at_the_bound() {
    let ground = Ground::new();
    let store =
        ground.store.clone().with_limits(Limits { layer_bytes: 1 << 20, ..Limits::default() });
    let zeros = vec![0; 8 << 20];
    let in_files =
        Tar::default().file("a", &zeros[..600 << 10]).file("b", &zeros[..600 << 10]).bytes();
    let after = [Tar::default().file("a", b"").bytes(), zeros].concat();
    for plain in [in_files, after] {
        let bomb = gzip(&plain);
        let (mut layer, _) = described(&bomb);
        layer.media_type += "+gzip";
        let adding = store.begin().unwrap();
        let error = adding.add_layer(&layer, &Digest::of(&plain), &bomb[..], &Quiet).unwrap_err();
        drop(adding);
        let text = chain(&error);
        assert!(text.contains("more than 1048576 bytes"), "{text}");
        ground.check(0);
    }
}

#[test]
fn entries_and_the_disk_have_bounds() {
    let ground = Ground::new();
    let layer = Tar::default().dir("a").dir("b").dir("c").bytes();
    let few = ground.store.clone().with_limits(Limits { entries: 2, ..Limits::default() });
    let error = add(&few.begin().unwrap(), &layer).unwrap_err();
    assert!(chain(&error).contains("more than 2 entries"));
    let full =
        ground.store.clone().with_limits(Limits { keep_free: u64::MAX, ..Limits::default() });
    let error = add(&full.begin().unwrap(), &Tar::default().file("a", b"x").bytes()).unwrap_err();
    assert!(chain(&error).contains("would be free"));
    ground.check(0);
}

#[test]
fn every_byte_is_verified() {
    let ground = Ground::new();
    let plain = Tar::default().file("a", b"x").bytes();
    let packed = gzip(&plain);
    let (layer, _) = described(&packed);
    let diff_id = Digest::of(&plain);
    let other = Digest::of(b"other");
    let attempt = |layer: &_, diff_id: &_, bytes: &[u8]| {
        let adding = ground.store.begin().unwrap();
        adding.add_layer(layer, diff_id, bytes, &Quiet)
    };
    let mut wrong = layer.clone();
    wrong.digest = other;
    assert!(matches!(attempt(&wrong, &diff_id, &packed), Err(LayerError::Digest { .. })));
    assert!(matches!(attempt(&layer, &other, &packed), Err(LayerError::DiffId { .. })));
    for size in [layer.size - 1, layer.size + 1, 0, u64::MAX] {
        let mut wrong = layer.clone();
        wrong.size = size;
        assert!(attempt(&wrong, &diff_id, &packed).is_err(), "{size}");
    }
    assert!(attempt(&layer, &diff_id, &packed[..packed.len() - 4]).is_err());
    assert!(attempt(&layer, &diff_id, &[&packed[..], b"garbage"].concat()).is_err());
    ground.check(0);
    let endless = std::io::Cursor::new(packed.clone()).chain(std::io::repeat(0));
    let adding = ground.store.begin().unwrap();
    assert!(adding.add_layer(&layer, &diff_id, endless, &Quiet).is_err());
    drop(adding);
    ground.check(0);
    attempt(&layer, &diff_id, &packed).unwrap();
    ground.check(1);
}

#[test]
fn later_entries_replace_earlier_ones_of_any_type() {
    let ground = Ground::new();
    let layer = Tar::default()
        .dir("a")
        .file("a/x", b"")
        .file("a", b"file")
        .symlink("b", "x")
        .dir("b")
        .file("b/y", b"")
        .file(".wh.c", b"")
        .dir("c")
        .file(".wh.b", b"")
        .bytes();
    let tree = ground.accept(&layer);
    assert_eq!(std::fs::read(tree.join("a")).unwrap(), b"file");
    assert!(tree.join("b/y").exists());
    for hidden_before in ["b", "c"] {
        assert!(is_opaque(&tree.join(hidden_before)), "{hidden_before}");
    }
}

fn is_opaque(path: &Path) -> bool {
    let mut value = [0; 8];
    rustix::fs::getxattr(path, "user.overlay.opaque", &mut value)
        .is_ok_and(|length| &value[..length] == b"y")
}

#[test]
fn sparse_files_as_gnu_tar_writes_them_are_whole() {
    for (name, bytes) in [
        ("gnu", &include_bytes!("../../../../fuzz/seeds/layer/sparse")[..]),
        ("extended", include_bytes!("../../../../fuzz/seeds/layer/sparse_extended")),
    ] {
        let ground = Ground::new();
        let file = ground.accept(bytes).join("s");
        let whole = std::fs::read(&file).unwrap();
        assert_eq!((whole.len(), &whole[100_000..100_003]), (200_000, &b"abc"[..]), "{name}");
        assert!(whole[..100_000].iter().chain(&whole[100_003..]).all(|byte| *byte == 0), "{name}");
        assert!(std::fs::metadata(&file).unwrap().blocks() < 100, "{name}");
    }
}
