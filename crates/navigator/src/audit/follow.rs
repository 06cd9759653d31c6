//! What is added to an audit file from now on, also when a new file takes its place.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use navigator_supervisor::audit::{Entry, Lines, ReadError};

/// A file that is looked at again and again.
pub struct Following {
    path: PathBuf,
    file: File,
    offset: u64,
    /// Number of the last line that was returned.
    seen: Option<u64>,
}

impl Following {
    /// Everything in the file that comes after the line with this number.
    pub fn after(path: &Path, seen: Option<u64>) -> Result<Self, ReadError> {
        let file = File::open(path).map_err(|source| failed(path, source))?;
        Ok(Self { path: path.to_owned(), file, offset: 0, seen })
    }

    /// The records that were added since the last look.
    pub fn look(&mut self) -> Result<Vec<Entry>, ReadError> {
        let mut added = self.added()?;
        if self.is_replaced() {
            // What was written between the two looks stands in the old file still.
            added.extend(self.added()?);
            self.file = File::open(&self.path).map_err(|source| failed(&self.path, source))?;
            self.offset = 0;
            added.extend(self.added()?);
        }
        Ok(added)
    }

    fn added(&mut self) -> Result<Vec<Entry>, ReadError> {
        let failed = |source| failed(&self.path, source);
        let length = self.file.metadata().map_err(failed)?.len();
        if length < self.offset {
            // It was cut; lines that were returned are told by their numbers.
            self.offset = 0;
        }
        let mut added = vec![];
        if length == self.offset {
            return Ok(added);
        }
        let mut lines = Lines::behind(&self.file, self.offset).map_err(failed)?;
        while let Some(line) = lines.next_line().map_err(failed)?.filter(|line| line.ended) {
            self.offset += line.length + 1;
            let entry = Entry::read(line);
            added.extend(entry.filter(|entry| entry.line.seq > self.seen));
            self.seen = added.last().and_then(|entry| entry.line.seq).max(self.seen);
        }
        Ok(added)
    }

    /// A name that leads nowhere for a moment is not a new file.
    fn is_replaced(&self) -> bool {
        let id = |data: std::fs::Metadata| (data.dev(), data.ino());
        let named = std::fs::metadata(&self.path).map(id).ok();
        named.is_some() && named != self.file.metadata().map(id).ok()
    }
}

fn failed(path: &Path, source: std::io::Error) -> ReadError {
    ReadError { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn add(path: &Path, numbers: std::ops::RangeInclusive<u64>) {
        let mut file = File::options().append(true).create(true).open(path).unwrap();
        for seq in numbers {
            writeln!(file, "{{\"seq\":{seq},\"prev\":null,\"event\":\"x\"}}").unwrap();
        }
    }

    fn numbers(following: &mut Following) -> Vec<u64> {
        following.look().unwrap().iter().filter_map(|entry| entry.line.seq).collect()
    }

    #[test]
    fn added_lines_come_once_and_half_lines_when_they_are_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        add(&path, 1..=3);
        let mut following = Following::after(&path, Some(2)).unwrap();
        assert_eq!(numbers(&mut following), [3]);
        assert!(numbers(&mut following).is_empty());
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(b"{\"seq\":4,\"prev\":nul").unwrap();
        assert!(numbers(&mut following).is_empty());
        file.write_all(b"l,\"event\":\"x\"}\n").unwrap();
        assert_eq!(numbers(&mut following), [4]);
    }

    #[test]
    fn the_file_that_takes_its_place_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        add(&path, 1..=2);
        let mut following = Following::after(&path, None).unwrap();
        assert_eq!(numbers(&mut following), [1, 2]);
        add(&path, 3..=3);
        std::fs::rename(&path, dir.path().join("full.jsonl")).unwrap();
        assert_eq!(numbers(&mut following), [3]);
        add(&path, 4..=5);
        assert_eq!(numbers(&mut following), [4, 5]);
    }
}
