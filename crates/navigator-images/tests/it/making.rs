//! Making layers, honest and hostile, and images of them.

use std::path::Path;

use navigator_images::manifest::{Descriptor, Manifest};
use navigator_images::{Adding, Digest, Image, LayerError, Quiet, Reference, Store};
use tar::{EntryType, Header};

pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// A layer in the making. Headers are filled in raw, so that they may say anything.
#[derive(Default)]
pub struct Tar(pub Vec<u8>);

impl Tar {
    pub fn header(kind: EntryType, path: &str, size: u64, mode: u32) -> Header {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(mode);
        header.set_mtime(1_600_000_000);
        header
    }

    pub fn raw(mut self, mut header: Header, body: &[u8]) -> Self {
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(body);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub fn file(self, path: &str, body: &[u8]) -> Self {
        self.raw(Self::header(EntryType::Regular, path, body.len() as u64, 0o644), body)
    }

    pub fn dir(self, path: &str) -> Self {
        self.raw(Self::header(EntryType::Directory, path, 0, 0o755), b"")
    }

    pub fn symlink(self, path: &str, target: &str) -> Self {
        let mut header = Self::header(EntryType::Symlink, path, 0, 0o777);
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        self.raw(header, b"")
    }

    pub fn hardlink(self, path: &str, target: &str) -> Self {
        let mut header = Self::header(EntryType::Link, path, 0, 0o644);
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        self.raw(header, b"")
    }

    pub fn bytes(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

/// Describes a layer as it is.
pub fn described(bytes: &[u8]) -> (Descriptor, Digest) {
    (Descriptor::new(LAYER, Digest::of(bytes), bytes.len() as u64), Digest::of(bytes))
}

/// Adds a layer as it is described rightly.
pub fn add(adding: &Adding<'_>, bytes: &[u8]) -> Result<Descriptor, LayerError> {
    let (layer, diff_id) = described(bytes);
    adding.add_layer(&layer, &diff_id, bytes, &Quiet).map(|()| layer)
}

/// The configuration of an image with these layers.
pub fn config(layers: &[Digest]) -> Vec<u8> {
    let architecture = navigator_images::PlatformName::of_this_machine().0;
    serde_json::to_vec(&serde_json::json!({
        "architecture": architecture, "os": "linux",
        "config": { "Env": ["PATH=/bin"], "Cmd": ["sh"] },
        "rootfs": { "type": "layers", "diff_ids": layers },
    }))
    .unwrap()
}

/// An image of layers, the lowest first.
pub fn image(store: &Store, layers: &[Vec<u8>], name: Option<&str>) -> Image {
    let adding = store.begin().unwrap();
    let described: Vec<_> = layers.iter().map(|bytes| add(&adding, bytes).unwrap()).collect();
    let digests: Vec<_> = layers.iter().map(|bytes| Digest::of(bytes)).collect();
    let config = config(&digests);
    let entry = Descriptor::new(
        "application/vnd.oci.image.config.v1+json",
        Digest::of(&config),
        config.len() as u64,
    );
    let manifest = serde_json::to_vec(&Manifest::new(entry, described)).unwrap();
    let name = name.map(|name| Reference::parse(name).unwrap());
    adding.finish(&manifest, &config, name.as_ref()).unwrap()
}

/// How many layers a store has, and whether anything is unfinished.
pub fn contents(root: &Path) -> (usize, usize) {
    let count = |name: &str| std::fs::read_dir(root.join(name)).unwrap().count();
    (count("layers"), count("tmp") + count("live"))
}
