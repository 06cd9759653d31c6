//! How much an image may take.

/// Bounds of what is read from images, whose makers are not trusted.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a layer's archive, and of the files in it. The largest images for agents are below 40 GiB.
    pub layer_bytes: u64,
    /// Entries of a layer. A full distribution with every package has below one million.
    pub entries: u64,
    /// Bytes of the disk that stay free, so that an image cannot stop what else writes there.
    pub keep_free: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { layer_bytes: 64 << 30, entries: 4_000_000, keep_free: 256 << 20 }
    }
}

/// Bytes of a path: what the kernel takes (PATH_MAX).
pub(crate) const PATH_BYTES: usize = 4096;
/// Bytes of a name: what file systems take (NAME_MAX).
pub(crate) const NAME_BYTES: usize = 255;
/// Directories within each other. Nested package directories reach about 60; one descriptor each is open.
pub(crate) const DEPTH: usize = 256;
/// Entries of one directory, whose names are in memory while it is read: about 100 MB.
pub(crate) const DIRECTORY_ENTRIES: usize = 1_000_000;
/// Bytes of names and times of directories that are kept until a layer's end; 50,000 directories take 6 MB.
pub(crate) const DIRECTORY_BYTES: usize = 64 << 20;
/// Bytes of a manifest or an index: what registries take.
pub const MANIFEST_BYTES: u64 = 4 << 20;
/// Bytes of a configuration, which has a line for each step of the build.
pub const CONFIG_BYTES: u64 = 8 << 20;
/// Layers of an image: what overlayfs mounts (OVL_MAX_STACK).
pub(crate) const LAYERS: usize = 500;
/// Bytes read or written at once.
pub(crate) const CHUNK: usize = 128 << 10;
