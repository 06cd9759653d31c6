//! Files of an image on disk: in a directory, or in an archive that is read in place.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::OFlags;

use super::{SourceError, failed};
use crate::archive::{Archive, Kind, Skip};
use crate::beneath;
use crate::compression::decompressed;
use crate::limits::{CHUNK, PATH_BYTES};
use crate::store::Adding;

/// Files of an archive: images have a handful for each layer.
const ENTRIES: usize = 100_000;
/// Links that lead to each other before a file.
const LINKS: usize = 8;

/// Where documents and layers are, by their paths.
pub(super) trait Files {
    /// Opens a regular file and says how many bytes it has.
    fn open(&self, path: &str) -> Result<(Box<dyn Read + '_>, u64), SourceError>;
}

/// A directory; no link in it is followed.
pub(super) struct Directory(OwnedFd);

impl Directory {
    pub(super) fn open(path: &Path) -> Result<Self, SourceError> {
        let opened = File::open(path).and_then(|file| match file.metadata()?.is_dir() {
            true => Ok(Self(file.into())),
            false => Err(io::ErrorKind::NotADirectory.into()),
        });
        opened.map_err(failed(&path.display().to_string()))
    }
}

impl Files for Directory {
    fn open(&self, path: &str) -> Result<(Box<dyn Read + '_>, u64), SourceError> {
        // A pipe in place of a file must not stop this.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let opened = beneath::open(self.0.as_fd(), Path::new(path), flags).map_err(io::Error::from);
        let file = opened.map(File::from).and_then(|file| {
            let found = file.metadata()?;
            if found.is_file() {
                Ok((file, found.len()))
            } else {
                Err(io::ErrorKind::InvalidInput.into())
            }
        });
        let (file, size) = file.map_err(failed(path))?;
        Ok((Box::new(file), size))
    }
}

/// An archive.
pub(super) struct Bundle {
    file: File,
    places: BTreeMap<Vec<u8>, Place>,
}

enum Place {
    At { offset: u64, size: u64 },
    Link(Vec<u8>),
}

impl Bundle {
    /// Opens an archive; a compressed one is uncompressed beside the image in the making first.
    pub(super) fn open(path: &Path, adding: &Adding<'_>) -> Result<Self, SourceError> {
        let name = path.display().to_string();
        let file = File::open(path).and_then(|file| plain(file, adding)).map_err(failed(&name))?;
        let source = Seekable(file);
        let mut archive = Archive::new(source);
        let mut places = BTreeMap::new();
        let failed = |source| SourceError::Archive { file: name.clone(), source };
        while let Some(member) = archive.next().map_err(failed)? {
            let place = match member.kind {
                Kind::File if member.segments.is_none() => {
                    Place::At { offset: archive.position(), size: member.size }
                }
                Kind::Symlink => Place::Link(beside(&member.path, &member.link)),
                Kind::Hardlink => Place::Link(member.link),
                _ => continue,
            };
            places.insert(normal(&member.path), place);
            if places.len() > ENTRIES {
                let (size, limit) = (places.len() as u64, ENTRIES as u64);
                return Err(SourceError::Large { file: name.clone(), size, limit });
            }
        }
        Ok(Self { file: archive.into_inner().0, places })
    }
}

impl Files for Bundle {
    fn open(&self, path: &str) -> Result<(Box<dyn Read + '_>, u64), SourceError> {
        let mut wanted = normal(path.as_bytes());
        for _ in 0..LINKS {
            match self.places.get(&wanted) {
                Some(Place::At { offset, size }) => {
                    let part = Part { file: &self.file, at: *offset, left: *size };
                    return Ok((Box::new(part), *size));
                }
                Some(Place::Link(target)) => wanted = normal(target),
                None => break,
            }
        }
        Err(failed(path)(io::ErrorKind::NotFound.into()))
    }
}

/// Paths within an archive are only names in its list: nothing is opened by them.
fn normal(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = vec![];
    for part in path[..path.len().min(PATH_BYTES)].split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join(&b'/')
}

/// Where a symbolic link leads: from the directory in which it is.
fn beside(link: &[u8], target: &[u8]) -> Vec<u8> {
    if target.starts_with(b"/") {
        return target.to_vec();
    }
    let directory = Path::new(std::ffi::OsStr::from_bytes(link)).parent();
    let directory = directory.map_or(&b""[..], |path| path.as_os_str().as_bytes());
    [directory, b"/", target].concat()
}

/// The file itself, or a new one without its compression.
fn plain(mut file: File, adding: &Adding<'_>) -> io::Result<File> {
    let mut magic = [0; 2];
    let length = file.read_at(&mut magic, 0)?;
    file.seek(SeekFrom::Start(0))?;
    if length == 2 && matches!(magic, [0x1f, 0x8b] | [0x28, 0xb5]) {
        let mut stream = decompressed(BufReader::with_capacity(CHUNK, file))?;
        return adding.temporary(&mut stream);
    }
    Ok(file)
}

struct Seekable(File);

impl Read for Seekable {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Skip for Seekable {
    fn skip(&mut self, bytes: u64) -> io::Result<u64> {
        let (at, end) = (self.0.stream_position()?, self.0.metadata()?.len());
        let to = at.saturating_add(bytes).min(end);
        self.0.seek(SeekFrom::Start(to))?;
        Ok(to.saturating_sub(at))
    }
}

/// A part of a file.
struct Part<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let length = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += length as u64;
        self.left -= length as u64;
        Ok(length)
    }
}
