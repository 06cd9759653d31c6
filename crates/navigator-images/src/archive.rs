//! Reading tar archives that are not trusted, in one pass and bounded memory.
//!
//! The reader of the `tar` crate keeps long names and extended headers in memory whatever their size, and has no way to
//! bound them; so only its header's fields are used here.

mod extended;
mod number;
mod sparse;

use std::io::{self, Read};

use tar::{EntryType, Header};

use self::extended::Extended;
pub(crate) use self::sparse::Segment;

/// Bytes of a block.
const BLOCK: usize = 512;
/// Bytes of an extended header or a long name. Attributes of one file reach some 100 KiB.
const EXTENSION_BYTES: u64 = 1 << 20;
/// Where the sum of a header is, which counts as spaces in itself.
const SUM: std::ops::Range<usize> = 148..156;

/// An archive that is not read further.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The stream under it.
    #[error("failed to read the archive")]
    Read(#[from] io::Error),
    /// It ends within an entry.
    #[error("failed to read the archive: it ends in the middle")]
    Truncated,
    /// A header whose sum is another, such as one in the middle of data.
    #[error("failed to read the archive: a header's sum is wrong")]
    Sum,
    /// A number that is none, negative, or out of range.
    #[error("failed to read the archive: {field} is no number that makes sense")]
    Number {
        /// Which.
        field: &'static str,
    },
    /// An extended header that breaks its own rules.
    #[error("failed to read the archive: an extended header is malformed")]
    Extended,
    /// A name or extended header beyond every use.
    #[error("failed to read the archive: a name or header of {size} bytes is too long")]
    TooLong {
        /// Bytes.
        size: u64,
    },
    /// A map of a sparse file that overlaps, runs backwards or does not fit.
    #[error("failed to read the archive: the map of a sparse file is wrong")]
    Sparse,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    Symlink,
    Hardlink,
    /// A device or a pipe.
    Device,
    /// Anything else.
    Other(u8),
}

/// An entry; its body is read from the archive.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) path: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) link: Vec<u8>,
    /// Bytes of the file once it is unpacked, holes included.
    pub(crate) size: u64,
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    /// Seconds and nanoseconds.
    pub(crate) mtime: (i64, u32),
    /// Where the body's bytes belong, if not one after the other.
    pub(crate) segments: Option<Vec<Segment>>,
}

/// A stream in which bytes can be passed over.
pub(crate) trait Skip: Read {
    /// Passes over some bytes and returns how many there were.
    fn skip(&mut self, bytes: u64) -> io::Result<u64>;
}

/// A stream that is read to pass over it.
pub(crate) struct Streamed<R>(pub(crate) R);

impl<R: Read> Read for Streamed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read> Skip for Streamed<R> {
    fn skip(&mut self, bytes: u64) -> io::Result<u64> {
        io::copy(&mut (&mut self.0).take(bytes), &mut io::sink())
    }
}

/// A tar archive.
pub(crate) struct Archive<R> {
    source: R,
    /// Bytes of the body that were not read yet, and after it up to the next header.
    body: u64,
    padding: u64,
    /// Bytes read so far.
    at: u64,
}

impl<R: Skip> Archive<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source, body: 0, padding: 0, at: 0 }
    }

    /// Where the body of the present entry is.
    pub(crate) fn position(&self) -> u64 {
        self.at
    }

    /// Bytes of the body that are still to be read.
    pub(crate) fn body_left(&self) -> u64 {
        self.body
    }

    pub(crate) fn into_inner(self) -> R {
        self.source
    }

    /// The next entry, or nothing at the archive's end.
    pub(crate) fn next(&mut self) -> Result<Option<Member>, ArchiveError> {
        let mut extended = Extended::default();
        loop {
            self.skip_body()?;
            let Some(header) = self.header()? else {
                return if extended.is_empty() { Ok(None) } else { Err(ArchiveError::Truncated) };
            };
            let stored = number::unsigned(&header.as_old().size, "a size")?;
            self.expect_body(stored)?;
            match header.entry_type() {
                EntryType::GNULongName => extended.set_path(self.extension()?),
                EntryType::GNULongLink => extended.set_link(self.extension()?),
                EntryType::XHeader => extended.read(&self.extension()?)?,
                // Says the same for all entries, such as the commit of `git archive`: nothing that is unpacked.
                EntryType::XGlobalHeader => drop(self.extension()?),
                _ => return self.member(&header, extended).map(Some),
            }
        }
    }

    fn member(&mut self, header: &Header, extended: Extended) -> Result<Member, ArchiveError> {
        let path = extended.path.clone().unwrap_or_else(|| header.path_bytes().into_owned());
        let kind = kind(header.entry_type(), &path);
        // Links and directories have no body, whatever size some programs write for them.
        let stored = match kind {
            Kind::File | Kind::Other(_) => extended.size.unwrap_or(self.body),
            Kind::Directory | Kind::Symlink | Kind::Hardlink | Kind::Device => 0,
        };
        self.expect_body(stored)?;
        let sparse = sparse::read(self, header, &extended)?;
        let old = header.as_old();
        let link = || header.link_name_bytes().unwrap_or_default().into_owned();
        Ok(Member {
            kind,
            link: extended.link.unwrap_or_else(link),
            size: sparse.as_ref().map_or(stored, |sparse| sparse.size),
            mode: (number::unsigned(&old.mode, "a mode")? & 0o7777) as u32,
            uid: extended.uid.map_or_else(|| number::unsigned(&old.uid, "an owner"), Ok)?,
            gid: extended.gid.map_or_else(|| number::unsigned(&old.gid, "a group"), Ok)?,
            mtime: match extended.mtime {
                Some(time) => time,
                None => (number::signed(&old.mtime, "a time")?, 0),
            },
            path: extended.sparse_name.unwrap_or(path),
            segments: sparse.map(|sparse| sparse.segments),
        })
    }

    /// Sets what follows the header: a body, and zeros to the end of its last block.
    fn expect_body(&mut self, size: u64) -> Result<(), ArchiveError> {
        self.body = size;
        let blocks = size.checked_next_multiple_of(BLOCK as u64);
        self.padding = blocks.ok_or(ArchiveError::Number { field: "a size" })? - size;
        Ok(())
    }

    fn skip_body(&mut self) -> Result<(), ArchiveError> {
        let left = self.body.checked_add(self.padding).ok_or(ArchiveError::Truncated)?;
        if left > 0 && self.source.skip(left)? != left {
            return Err(ArchiveError::Truncated);
        }
        self.at = self.at.saturating_add(left);
        (self.body, self.padding) = (0, 0);
        Ok(())
    }

    /// A header, or nothing at a block of zeros or the stream's end.
    fn header(&mut self) -> Result<Option<Header>, ArchiveError> {
        let mut header = Header::new_old();
        if !self.block(header.as_mut_bytes())? || header.as_bytes().iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let sum = |range: &[u8]| range.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        let bytes = header.as_bytes();
        let spaces = SUM.len() as u64 * u64::from(b' ');
        let computed = sum(&bytes[..SUM.start]) + spaces + sum(&bytes[SUM.end..]);
        if number::unsigned(&bytes[SUM], "a sum").ok() != Some(computed) {
            return Err(ArchiveError::Sum);
        }
        Ok(Some(header))
    }

    /// Reads a whole block; false at the stream's end.
    fn block(&mut self, block: &mut [u8; BLOCK]) -> Result<bool, ArchiveError> {
        let mut length = 0;
        while length < BLOCK {
            match self.source.read(&mut block[length..]) {
                Ok(0) if length == 0 => return Ok(false),
                Ok(0) => return Err(ArchiveError::Truncated),
                Ok(more) => length += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.at += BLOCK as u64;
        Ok(true)
    }

    /// The body of a header that belongs to the next entry.
    fn extension(&mut self) -> Result<Vec<u8>, ArchiveError> {
        let size = self.body;
        if size > EXTENSION_BYTES {
            return Err(ArchiveError::TooLong { size });
        }
        let mut bytes = vec![];
        self.take(size).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != size { Err(ArchiveError::Truncated) } else { Ok(bytes) }
    }
}

/// Reads the body of the present entry.
impl<R: Read> Read for Archive<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.body).unwrap_or(usize::MAX).min(buffer.len());
        let length = self.source.read(&mut buffer[..most])?;
        self.body -= length as u64;
        self.at += length as u64;
        if length == 0 && most > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, ArchiveError::Truncated));
        }
        Ok(length)
    }
}

fn kind(entry: EntryType, path: &[u8]) -> Kind {
    match entry {
        // Archives from before directories had a type of their own.
        EntryType::Regular if path.ends_with(b"/") => Kind::Directory,
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Kind::File,
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink => Kind::Symlink,
        EntryType::Link => Kind::Hardlink,
        EntryType::Char | EntryType::Block | EntryType::Fifo => Kind::Device,
        other => Kind::Other(other.as_byte()),
    }
}

#[cfg(test)]
mod tests;
