//! Packing a layer's directory into an archive, of which there is one for each directory.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat};
use tar::{EntryType, Header};

use crate::beneath;
use crate::digest::{Digest, Hashing};
use crate::image::Layer;
use crate::limits::{CHUNK, DEPTH};
use crate::unpack::{OPAQUE_NAME, WHITEOUT, id_in_sandbox, is_opaque};

/// Bytes of a block.
const BLOCK: usize = 512;
/// Bytes of the fields for a name and a link; longer ones have an extended header before them.
const NAME: usize = 100;
/// The first size and time that eleven octal digits do not hold.
const OCTAL_END: u64 = 1 << 33;

/// Packs a layer and returns the digest and the size of its archive.
pub(crate) fn pack(layer: &Layer, out: impl Write) -> io::Result<(Digest, u64)> {
    pack_tree(&layer.path, layer.opaque, out)
}

/// The same for a directory that is not a layer yet.
pub(crate) fn pack_tree(path: &Path, opaque: bool, out: impl Write) -> io::Result<(Digest, u64)> {
    let root = beneath::directory(path)?;
    let mut packer = Packer {
        out: Hashing::new(out),
        linked: HashMap::new(),
        privileged: rustix::process::geteuid().is_root(),
        buffer: vec![0; CHUNK],
    };
    let stat = rustix::fs::fstat(&root)?;
    packer.entry(EntryType::Directory, b"./", b"", 0, &stat)?;
    if opaque {
        packer.mark(OPAQUE_NAME, &stat)?;
    }
    packer.directory(root.as_fd(), Path::new(""), 0)?;
    packer.out.write_all(&[0; 2 * BLOCK])?;
    packer.out.flush()?;
    let (digest, bytes, _) = packer.out.finish();
    Ok((digest, bytes))
}

struct Packer<W> {
    out: Hashing<W>,
    /// Files with several names, by what they are, and the first name.
    linked: HashMap<(u64, u64), PathBuf>,
    privileged: bool,
    buffer: Vec<u8>,
}

impl<W: Write> Packer<W> {
    fn directory(
        &mut self,
        directory: BorrowedFd<'_>,
        path: &Path,
        depth: usize,
    ) -> io::Result<()> {
        if depth > DEPTH {
            return Err(io::Error::other(format!("directories are more than {DEPTH} deep")));
        }
        for name in beneath::names(directory)? {
            let stat = rustix::fs::statat(directory, &name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?;
            let path = path.join(&name);
            let bytes = path.as_os_str().as_bytes();
            match beneath::kind(&stat) {
                FileType::Directory => {
                    self.entry(EntryType::Directory, &[bytes, b"/"].concat(), b"", 0, &stat)?;
                    let inner = beneath::subdirectory(directory, &name)?;
                    if is_opaque(inner.as_fd()) {
                        self.mark(&[bytes, b"/", OPAQUE_NAME].concat(), &stat)?;
                    }
                    self.directory(inner.as_fd(), &path, depth + 1)?;
                }
                FileType::RegularFile => self.file(directory, &name, &path, &stat)?,
                FileType::Symlink => {
                    let target = rustix::fs::readlinkat(directory, &name, vec![])?;
                    self.entry(EntryType::Symlink, bytes, target.as_bytes(), 0, &stat)?;
                }
                _ if beneath::is_whiteout(&stat) => self.whiteout(&path, &name, &stat)?,
                // A layer has nothing else.
                _ => {}
            }
        }
        Ok(())
    }

    fn file(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &OsStr,
        path: &Path,
        stat: &Stat,
    ) -> io::Result<()> {
        let bytes = path.as_os_str().as_bytes();
        if stat.st_nlink > 1 {
            let first =
                self.linked.entry((stat.st_dev, stat.st_ino)).or_insert_with(|| path.to_owned());
            if first != path {
                let first = first.as_os_str().as_bytes().to_vec();
                return self.entry(EntryType::Link, bytes, &first, 0, stat);
            }
        }
        let mut file = beneath::file(directory, name)?;
        let mut left = u64::try_from(stat.st_size).unwrap_or(0);
        self.entry(EntryType::Regular, bytes, b"", left, stat)?;
        let padding = left.next_multiple_of(BLOCK as u64) - left;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            let length = file.read(&mut self.buffer[..most])?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.out.write_all(&self.buffer[..length])?;
            left -= length as u64;
        }
        self.out.write_all(&[0; BLOCK][..padding as usize])
    }

    fn whiteout(&mut self, path: &Path, name: &OsStr, stat: &Stat) -> io::Result<()> {
        let hidden = [WHITEOUT, name.as_bytes()].concat();
        let mark = path.with_file_name(OsStr::from_bytes(&hidden));
        self.mark(mark.as_os_str().as_bytes(), stat)
    }

    /// An empty file whose name says what is hidden.
    fn mark(&mut self, path: &[u8], stat: &Stat) -> io::Result<()> {
        let mut stat = *stat;
        stat.st_mode = 0;
        self.entry(EntryType::Regular, path, b"", 0, &stat)
    }

    fn entry(
        &mut self,
        kind: EntryType,
        path: &[u8],
        link: &[u8],
        size: u64,
        stat: &Stat,
    ) -> io::Result<()> {
        let mut records = vec![];
        if path.len() > NAME {
            record(&mut records, "path", path);
        }
        if link.len() > NAME {
            record(&mut records, "linkpath", link);
        }
        if size >= OCTAL_END {
            record(&mut records, "size", size.to_string().as_bytes());
        }
        let time = stat.st_mtime.max(0) as u64;
        if time >= OCTAL_END {
            record(&mut records, "mtime", time.to_string().as_bytes());
        }
        extended(&mut self.out, records)?;
        let mode = stat.st_mode & 0o7777;
        let (uid, gid) = match self.privileged {
            true => (id_in_sandbox(stat.st_uid.into()), id_in_sandbox(stat.st_gid.into())),
            // Whoever unpacked it had only files of their own, which are root's in the image.
            false => (0, 0),
        };
        let numbers = [uid.into(), gid.into(), time];
        let header = header(kind, path, link, size, mode, numbers);
        self.out.write_all(header.as_bytes())
    }
}

/// A header; what does not fit stands in an extended one before it.
fn header(
    kind: EntryType,
    path: &[u8],
    link: &[u8],
    size: u64,
    mode: u32,
    [uid, gid, mtime]: [u64; 3],
) -> Header {
    let mut header = Header::new_ustar();
    let old = header.as_old_mut();
    let (path, link) = (&path[..path.len().min(NAME)], &link[..link.len().min(NAME)]);
    old.name[..path.len()].copy_from_slice(path);
    old.linkname[..link.len()].copy_from_slice(link);
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(uid);
    header.set_gid(gid);
    header.set_size(if size < OCTAL_END { size } else { 0 });
    header.set_mtime(if mtime < OCTAL_END { mtime } else { 0 });
    header.set_cksum();
    header
}

/// A record of an extended header: its length, which counts itself, keyword and value.
fn record(records: &mut Vec<u8>, keyword: &str, value: &[u8]) {
    let rest = keyword.len() + value.len() + 3;
    let digits = |length: usize| length.to_string().len();
    let mut length = rest + digits(rest);
    length = rest + digits(length);
    records.extend_from_slice(format!("{length} {keyword}=").as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// A file of an archive that is no layer itself.
pub(crate) fn member<W: Write>(
    out: &mut W,
    name: &str,
    size: u64,
    body: impl FnOnce(&mut W) -> io::Result<()>,
) -> io::Result<()> {
    let mut records = vec![];
    if size >= OCTAL_END {
        record(&mut records, "size", size.to_string().as_bytes());
    }
    extended(out, records)?;
    out.write_all(
        header(EntryType::Regular, name.as_bytes(), b"", size, 0o644, [0; 3]).as_bytes(),
    )?;
    body(out)?;
    let padding = size.next_multiple_of(BLOCK as u64) - size;
    out.write_all(&[0; BLOCK][..padding as usize])
}

/// Records before an entry, if there are any.
fn extended(out: &mut impl Write, mut records: Vec<u8>) -> io::Result<()> {
    if records.is_empty() {
        return Ok(());
    }
    let header = header(EntryType::XHeader, b"extended", b"", records.len() as u64, 0o644, [0; 3]);
    out.write_all(header.as_bytes())?;
    records.resize(records.len().next_multiple_of(BLOCK), 0);
    out.write_all(&records)
}
