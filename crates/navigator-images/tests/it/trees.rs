//! Trees that are compared: what is unpacked, packed, committed and copied must stay the same tree.

use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use navigator_images::{Digest, Store};
use proptest::prelude::*;

use crate::making::{Tar, add, image};

/// What is compared of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub what: String,
    pub mode: u32,
    pub mtime: i64,
    pub names: u64,
}

/// A tree by its paths.
pub fn tree(root: &Path) -> BTreeMap<String, Entry> {
    let mut all = BTreeMap::new();
    collect(root, root, &mut all);
    all
}

fn collect(root: &Path, at: &Path, all: &mut BTreeMap<String, Entry>) {
    for entry in std::fs::read_dir(at).unwrap() {
        let path = entry.unwrap().path();
        let found = path.symlink_metadata().unwrap();
        let kind = found.file_type();
        let what = match () {
            () if kind.is_symlink() => format!("-> {}", path.read_link().unwrap().display()),
            () if kind.is_file() => format!("{:?}", std::fs::read(&path).unwrap()),
            () if kind.is_char_device() => format!("whiteout {}", found.rdev()),
            () if kind.is_dir() => format!("directory, opaque: {}", is_opaque(&path)),
            () => "something else".into(),
        };
        let whiteout = kind.is_char_device();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        let mtime = if whiteout { 0 } else { found.mtime() };
        let names = if kind.is_dir() { 0 } else { found.nlink() };
        let mode = if kind.is_symlink() { 0 } else { found.permissions().mode() };
        all.insert(name, Entry { what, mode, mtime, names });
        if kind.is_dir() {
            collect(root, &path, all);
        }
    }
}

pub fn is_opaque(path: &Path) -> bool {
    let mut value = [0; 8];
    rustix::fs::getxattr(path, "user.overlay.opaque", &mut value)
        .is_ok_and(|length| &value[..length] == b"y")
}

/// An entry of a random tree.
#[derive(Clone, Debug)]
enum Made {
    File(Vec<u8>),
    Directory,
    Symlink(String),
    Whiteout,
    Opaque,
    Hardlink,
}

fn made() -> impl Strategy<Value = Made> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..2000).prop_map(Made::File),
        Just(Made::Directory),
        "[a-z./]{1,120}".prop_map(Made::Symlink),
        Just(Made::Whiteout),
        Just(Made::Opaque),
        Just(Made::Hardlink),
    ]
}

/// A layer in which each directory has one entry of each kind, so that no path is taken twice.
fn layer(entries: &[(String, Made)]) -> Vec<u8> {
    let mut tar = Tar::default();
    let mut file = None;
    for (at, (name, made)) in entries.iter().enumerate() {
        let dir = format!("d{}/{name}", at % 3);
        let path = format!("{dir}/n{at}");
        tar = match made {
            Made::File(bytes) => {
                file = Some(path.clone());
                tar.file(&path, bytes)
            }
            Made::Directory => tar.dir(&path),
            Made::Symlink(target) => tar.symlink(&path, &target[..target.len().min(100)]),
            Made::Whiteout => tar.file(&format!("{dir}/.wh.n{at}"), b""),
            Made::Opaque => tar.dir(&path).file(&format!("{path}/.wh..wh..opq"), b""),
            Made::Hardlink => match &file {
                Some(target) => tar.hardlink(&path, target),
                None => tar.dir(&path),
            },
        };
    }
    tar.bytes()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_layer_stays_the_same_tree_through_commit_and_copy(
        entries in proptest::collection::vec(("[a-z]{1,20}", made()), 1..30)
    ) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let bytes = layer(&entries);
        let parent = image(&store, &[bytes], None);
        let unpacked = &parent.layers[0].path;
        let before = tree(unpacked);
        let copied = dir.path().join("copied");
        navigator_images::copy_tree(unpacked, &copied).unwrap();
        prop_assert_eq!(&tree(&copied), &before);
        let committed = store.commit(&parent, unpacked, None, "again").unwrap();
        prop_assert_eq!(&tree(&committed.layers[0].path), &before);
        prop_assert_eq!(committed.layers.len(), 2);
        // What was made of it is unpacked to the same again.
        let target = navigator_images::Target::parse(&format!("oci:{}", dir.path().join("out").display()));
        store.export(&committed, &target.unwrap()).unwrap();
        let blob = dir.path().join("out/blobs/sha256").join(committed.layers[0].diff_id.hex());
        let bytes = std::fs::read(blob).unwrap();
        let other = Store::open(&dir.path().join("other")).unwrap();
        add(&other.begin().unwrap(), &bytes).unwrap();
        let again = dir.path().join("other/layers").join(Digest::of(&bytes).hex()).join("tree");
        prop_assert_eq!(&tree(&again), &before);
    }
}
