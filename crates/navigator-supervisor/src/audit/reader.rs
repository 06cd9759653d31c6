//! Reads audit files line by line in bounded memory, whatever is in them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, Take};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use sha2::Digest as _;

use super::chain::Digest;

/// Bytes of a line that are kept. Lines that this program writes are far shorter; of longer ones only the hash
/// and the length are known.
pub const MAX_LINE: usize = 4 * 1024 * 1024;
/// How long a reader waits for a writer that is in the middle of a line. Writers hold the lock for microseconds.
const WRITER_PATIENCE: Duration = Duration::from_secs(1);

/// One line as it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawLine {
    /// Number in the file, from 1.
    pub number: u64,
    /// Its bytes without the newline, at most [`MAX_LINE`] of them.
    pub text: Vec<u8>,
    /// Its whole length in bytes.
    pub length: u64,
    /// Hash of the whole line.
    pub digest: Digest,
    /// Whether a newline ends it.
    pub ended: bool,
}

impl RawLine {
    /// The bytes, if all of them were kept.
    #[must_use]
    pub fn whole(&self) -> Option<&[u8]> {
        (self.text.len() as u64 == self.length).then_some(self.text.as_slice())
    }
}

/// The lines of a file or of anything else that can be read.
pub struct Lines<R> {
    source: R,
    number: u64,
}

impl Lines<BufReader<Take<File>>> {
    /// The lines that a file has now. A line that is being written at this moment is waited for.
    pub fn of(file: File) -> io::Result<Self> {
        let regular = file.metadata()?.is_file();
        let length = if regular { settled_length(&file)? } else { u64::MAX };
        Ok(Self::new(BufReader::new(file.take(length))))
    }

    /// The lines that a file has now behind an offset.
    pub fn behind(file: &File, offset: u64) -> io::Result<Self> {
        let mut file = file.try_clone()?;
        let length = settled_length(&file)?.saturating_sub(offset);
        file.seek(io::SeekFrom::Start(offset))?;
        Ok(Self::new(BufReader::new(file.take(length))))
    }
}

impl<R: BufRead> Lines<R> {
    /// The lines of a source.
    pub fn new(source: R) -> Self {
        Self { source, number: 0 }
    }

    /// The next line, `None` at the end.
    pub fn next_line(&mut self) -> io::Result<Option<RawLine>> {
        let mut hash = sha2::Sha256::new();
        let (mut text, mut length, mut ended) = (vec![], 0_u64, false);
        while !ended {
            let chunk = match self.source.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() {
                break;
            }
            let newline = chunk.iter().position(|byte| *byte == b'\n');
            let part = &chunk[..newline.unwrap_or(chunk.len())];
            hash.update(part);
            length += part.len() as u64;
            let room = MAX_LINE - text.len();
            text.extend_from_slice(&part[..part.len().min(room)]);
            ended = newline.is_some();
            let used = part.len() + usize::from(ended);
            self.source.consume(used);
        }
        if length == 0 && !ended {
            return Ok(None);
        }
        self.number += 1;
        Ok(Some(RawLine { number: self.number, text, length, digest: Digest::finish(hash), ended }))
    }
}

/// The length of a file at a moment when nobody is writing a line.
fn settled_length(file: &File) -> io::Result<u64> {
    let start = Instant::now();
    loop {
        match rustix::fs::flock(file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => {
                let length = file.metadata()?.len();
                rustix::fs::flock(file, FlockOperation::Unlock)?;
                return Ok(length);
            }
            Err(rustix::io::Errno::WOULDBLOCK) if start.elapsed() < WRITER_PATIENCE => {
                // There is no way to wait for a lock with a deadline.
                std::thread::sleep(Duration::from_micros(200));
            }
            // A stopped writer, or a filesystem without locks: the last line may be incomplete.
            Err(_) => return Ok(file.metadata()?.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8], buffer: usize) -> Vec<RawLine> {
        let mut lines = Lines::new(BufReader::with_capacity(buffer, bytes));
        let mut all = vec![];
        while let Some(line) = lines.next_line().unwrap() {
            all.push(line);
        }
        all
    }

    #[test]
    fn lines_are_the_same_whatever_the_buffer() {
        let bytes = b"one\n\ntwo \0\xff\nhalf";
        for buffer in [1, 2, 3, 4096] {
            let lines = all(bytes, buffer);
            let texts: Vec<&[u8]> = lines.iter().map(|line| line.text.as_slice()).collect();
            assert_eq!(texts, [b"one".as_slice(), b"", b"two \0\xff", b"half"]);
            assert_eq!(
                lines.iter().map(|line| line.ended).collect::<Vec<_>>(),
                [true, true, true, false]
            );
            assert_eq!(lines[2].digest, Digest::of(b"two \0\xff"));
            assert_eq!(lines[3].number, 4);
        }
        assert!(all(b"", 16).is_empty());
    }

    #[test]
    fn a_huge_line_is_hashed_and_not_kept() {
        let huge = vec![b'x'; MAX_LINE + 3];
        let mut bytes = huge.clone();
        bytes.extend_from_slice(b"\nnext\n");
        let lines = all(&bytes, 64 * 1024);
        assert_eq!((lines[0].text.len(), lines[0].length), (MAX_LINE, MAX_LINE as u64 + 3));
        assert_eq!(lines[0].digest, Digest::of(&huge));
        assert_eq!((lines[0].whole(), lines[1].whole()), (None, Some(b"next".as_slice())));
    }
}
