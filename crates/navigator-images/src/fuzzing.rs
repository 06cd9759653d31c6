//! What the fuzzer calls: it takes the bytes of a layer, and panics when a promise is broken.

use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use tar::Header;

use crate::beneath;
use crate::compression::decompressed;
use crate::limits::Limits;
use crate::pack::pack_tree;
use crate::unpack::{Contents, unpack};

/// Bytes of a block.
const BLOCK: usize = 512;
const LIMITS: Limits = Limits { layer_bytes: 1 << 20, entries: 1000, keep_free: 0 };

/// A layer: whatever it is, nothing is made outside its directory, nothing in it gives privileges, and what was unpacked
/// can be packed and unpacked again to the same.
pub fn layer(bytes: &[u8]) {
    let ground = tempfile::tempdir().unwrap();
    for bytes in [bytes.to_vec(), with_sums(bytes)] {
        let (one, two) = (ground.path().join("one"), ground.path().join("two"));
        if let Some(contents) = unpacked(&bytes, &one) {
            assert!(contents.bytes <= LIMITS.layer_bytes && contents.entries <= LIMITS.entries);
            check(&one);
            let mut packed = vec![];
            let (digest, _) = pack_tree(&one, contents.opaque, &mut packed).unwrap();
            unpacked(&packed, &two).unwrap();
            assert_eq!(pack_tree(&two, contents.opaque, std::io::sink()).unwrap().0, digest);
        }
        for made in std::fs::read_dir(ground.path()).unwrap() {
            let made = made.unwrap().file_name();
            assert!(made == "one" || made == "two", "{made:?}");
            beneath::remove(beneath::directory(ground.path()).unwrap().as_fd(), &made).unwrap();
        }
    }
}

fn unpacked(bytes: &[u8], to: &Path) -> Option<Contents> {
    std::fs::create_dir(to).unwrap();
    let root = beneath::directory(to).unwrap();
    // What was packed has entries for directories that the first archive only implied.
    let limits = Limits { entries: 100 * LIMITS.entries, ..LIMITS };
    let limits = if to.ends_with("one") { LIMITS } else { limits };
    unpack(root.as_fd(), decompressed(bytes).ok()?, &limits).ok()
}

fn check(dir: &Path) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let found = path.symlink_metadata().unwrap();
        let kind = found.file_type();
        let whiteout = kind.is_char_device() && found.rdev() == 0;
        assert!(kind.is_file() || kind.is_dir() || kind.is_symlink() || whiteout);
        assert!(kind.is_symlink() || found.mode() & 0o6000 == 0);
        if kind.is_dir() {
            check(&path);
        }
    }
}

/// The same archive with sums that are right, which a fuzzer seldom finds.
fn with_sums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    while let Some(block) = bytes.get_mut(at..at + BLOCK) {
        let mut header = Header::new_old();
        header.as_mut_bytes().copy_from_slice(block);
        header.set_cksum();
        block.copy_from_slice(header.as_bytes());
        let size = header.entry_size().unwrap_or(0).min(bytes.len() as u64) as usize;
        at += BLOCK + size.next_multiple_of(BLOCK);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Between the places where a seed is cut: a few within each block.
    const STEP: usize = 100;

    #[test]
    fn promises_hold_for_the_seeds() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/layer");
        let seeds: Vec<_> = std::fs::read_dir(directory).unwrap().collect();
        assert!(seeds.len() > 5, "{directory}");
        for seed in seeds {
            let bytes = std::fs::read(seed.unwrap().path()).unwrap();
            layer(&bytes);
            for cut in (0..bytes.len()).step_by(STEP) {
                layer(&bytes[..cut]);
            }
        }
    }
}
