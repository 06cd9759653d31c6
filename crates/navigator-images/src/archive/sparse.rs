//! Maps of sparse files: GNU's own headers, and the three forms within extended headers.

use std::io::Read;

use tar::{EntryType, Header};

use super::extended::{Extended, decimal};
use super::{Archive, ArchiveError, BLOCK, Skip, number};

/// Segments of one file: the map of a database of 64 GiB written at random has less.
pub(super) const SEGMENTS: usize = 64 << 10;
/// Bytes of a number in a map within the body, with its line feed.
const DIGITS: usize = 21;

/// Bytes that follow each other in the body and belong at `offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// A sparse file.
pub(super) struct Sparse {
    pub(super) size: u64,
    pub(super) segments: Vec<Segment>,
}

/// The map of an entry, if it has one; the archive is then at the first byte of data.
pub(super) fn read<R: Skip>(
    archive: &mut Archive<R>,
    header: &Header,
    extended: &Extended,
) -> Result<Option<Sparse>, ArchiveError> {
    let sparse = if header.entry_type() == EntryType::GNUSparse {
        gnu(archive, header)?
    } else {
        let Some(size) = extended.sparse_size else { return Ok(None) };
        let numbers = match extended.sparse_major {
            Some(1) => from_body(archive)?,
            None | Some(0) => extended.sparse_map.clone(),
            Some(_) => return Err(ArchiveError::Sparse),
        };
        Sparse { size, segments: pairs(&numbers)? }
    };
    check(&sparse, archive.body_left())?;
    Ok(Some(sparse))
}

fn pairs(numbers: &[u64]) -> Result<Vec<Segment>, ArchiveError> {
    let (pairs, rest) = numbers.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(ArchiveError::Sparse);
    }
    Ok(pairs.iter().map(|&[offset, length]| Segment { offset, length }).collect())
}

/// Segments follow each other, end within the file, and take all of the body.
fn check(sparse: &Sparse, body: u64) -> Result<(), ArchiveError> {
    let (mut end, mut sum) = (0_u64, 0_u64);
    for Segment { offset, length } in &sparse.segments {
        if *offset < end {
            return Err(ArchiveError::Sparse);
        }
        end = offset.checked_add(*length).ok_or(ArchiveError::Sparse)?;
        sum = sum.checked_add(*length).ok_or(ArchiveError::Sparse)?;
    }
    if end > sparse.size || sum != body { Err(ArchiveError::Sparse) } else { Ok(()) }
}

/// The map of GNU's header, which may go on in blocks between the header and the data.
fn gnu<R: Skip>(archive: &mut Archive<R>, header: &Header) -> Result<Sparse, ArchiveError> {
    let gnu = header.as_gnu().ok_or(ArchiveError::Sparse)?;
    let size = number::unsigned(&gnu.realsize, "a size")?;
    let mut segments = vec![];
    let mut add = |slots: &[tar::GnuSparseHeader]| {
        for slot in slots.iter().filter(|slot| !slot.is_empty()) {
            let offset = number::unsigned(&slot.offset, "an offset")?;
            let length = number::unsigned(&slot.numbytes, "a length")?;
            segments.push(Segment { offset, length });
        }
        if segments.len() > SEGMENTS { Err(ArchiveError::Sparse) } else { Ok(()) }
    };
    add(&gnu.sparse)?;
    let mut more = gnu.is_extended();
    while more {
        let mut block = tar::GnuExtSparseHeader::new();
        if !archive.block(block.as_mut_bytes())? {
            return Err(ArchiveError::Truncated);
        }
        add(&block.sparse)?;
        more = block.is_extended();
    }
    Ok(Sparse { size, segments })
}

/// The map at the body's beginning: numbers in lines, filled up to whole blocks.
fn from_body<R: Skip>(archive: &mut Archive<R>) -> Result<Vec<u64>, ArchiveError> {
    let mut lines = Lines { archive, block: [0; BLOCK], at: BLOCK };
    let count = usize::try_from(lines.number()?).unwrap_or(usize::MAX);
    if count > SEGMENTS {
        return Err(ArchiveError::Sparse);
    }
    (0..2 * count).map(|_| lines.number()).collect()
}

struct Lines<'a, R> {
    archive: &'a mut Archive<R>,
    block: [u8; BLOCK],
    at: usize,
}

impl<R: Skip> Lines<'_, R> {
    fn number(&mut self) -> Result<u64, ArchiveError> {
        let mut digits = vec![];
        loop {
            if self.at == BLOCK {
                self.archive.read_exact(&mut self.block).map_err(|_| ArchiveError::Sparse)?;
                self.at = 0;
            }
            let byte = self.block[self.at];
            self.at += 1;
            match byte {
                b'\n' => return decimal(&digits),
                _ if digits.len() == DIGITS => return Err(ArchiveError::Sparse),
                digit => digits.push(digit),
            }
        }
    }
}
