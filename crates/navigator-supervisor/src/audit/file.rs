//! The writing side of an audit file: one chained line for each event, also when several processes write at once.
//!
//! Every line is appended under a lock on the file, because its link names the line before it. Whoever holds the
//! lock knows the last line from its own last write, and reads it again only when the file grew by somebody else.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;

use super::chain::{Digest, Link, ends_its_file};
use super::line::Event;
use super::reader::Lines;
use super::rotate::{self, Bounds};

/// How long a line waits for the lock. Others hold it for microseconds, unless they were stopped in that moment.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bytes at the end of a file in which its last line is looked for before the whole file is read: the first for
/// nearly all lines, the second for long ones.
const TAILS: [u64; 2] = [2 * 1024, 64 * 1024];
/// Files that a writer follows in one go; more were not rotated between two lines.
const SUCCESSORS: usize = 16;

/// An audit file that is open for appending.
pub(crate) struct ChainedFile {
    /// Without links, because a file is replaced by name when it is full.
    path: PathBuf,
    file: File,
    kind: Kind,
    bounds: Bounds,
    /// What this process knows of the end of the file; `None` after a failed write.
    end: Option<FileEnd>,
    /// Whether waiting for the lock was in vain the last time.
    stalled: bool,
}

/// What an audit file really is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It can be read back, locked and replaced.
    Regular,
    /// A pipe, terminal or `/dev/null`: written only. Each run has a chain of its own there.
    Stream,
}

/// The end of a file and of the chain in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileEnd {
    /// Length of the file.
    length: u64,
    /// Link of the line that comes next.
    next: Link,
    /// Length of the last line, without its newline.
    last_length: u64,
    /// Whether the last line has no newline.
    torn: bool,
    /// Whether the last line says that the file is full.
    full: bool,
}

const EMPTY: FileEnd = FileEnd {
    length: 0,
    next: Link { seq: 1, prev: None },
    last_length: 0,
    torn: false,
    full: false,
};

impl ChainedFile {
    /// Opens the file for appending and makes its directory, both for this user alone.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::open_bounded(path, Bounds::default())
    }

    pub(super) fn open_bounded(path: &Path, bounds: Bounds) -> io::Result<Self> {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        }
        // A pipe that is opened for reading too never tells that its reader is gone.
        let stream = std::fs::metadata(path).is_ok_and(|kind| !kind.is_file());
        let file =
            OpenOptions::new().read(!stream).append(true).create(true).mode(0o600).open(path)?;
        let regular = !stream && file.metadata()?.is_file();
        let (kind, end) = if regular { (Kind::Regular, None) } else { (Kind::Stream, Some(EMPTY)) };
        Ok(Self { path: path.canonicalize()?, file, kind, bounds, end, stalled: false })
    }

    /// Where the lines go.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends one line.
    pub(crate) fn append(&mut self, event: &Event) -> io::Result<()> {
        // Outside of the lock, as it is most of the work.
        let body = serde_json::to_vec(event)?;
        if self.kind == Kind::Stream {
            let end = self.end.unwrap_or(EMPTY);
            let written = self.write(end, &body);
            self.end.get_or_insert(FileEnd { torn: true, ..end });
            return written.map(|_| ());
        }
        self.lock()?;
        let result = self.append_locked(&body);
        // A copy of the descriptor in another process would keep the lock if it were not given up here.
        rustix::fs::flock(&self.file, FlockOperation::Unlock)?;
        result
    }

    fn append_locked(&mut self, body: &[u8]) -> io::Result<()> {
        let mut end = self.current_end()?;
        if end.length >= self.bounds.rotate_at {
            end = self.rotate(end);
        }
        self.write(end, body).map(|_| ())
    }

    /// Waits for the lock, but not long: whoever waits keeps a whole sandbox waiting. After one wait in vain the
    /// next lines only try.
    fn lock(&mut self) -> io::Result<()> {
        let start = Instant::now();
        loop {
            match rustix::fs::flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {
                    self.stalled = false;
                    return Ok(());
                }
                Err(rustix::io::Errno::WOULDBLOCK)
                    if !self.stalled && start.elapsed() < PATIENCE =>
                {
                    // There is no way to wait for a lock with a deadline.
                    std::thread::sleep(Duration::from_micros(50));
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    self.stalled = true;
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "another process holds its lock",
                    ));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The end of the file that this name has now. Called under the lock, and returns under a lock.
    fn current_end(&mut self) -> io::Result<FileEnd> {
        for _ in 0..SUCCESSORS {
            let now = self.file.metadata()?;
            let end = match self.end {
                Some(end) if end.length == now.len() && now.nlink() > 0 => end,
                // Somebody deleted the file or cut it: go on from what is known, so that the gap shows.
                Some(end) if now.nlink() == 0 => {
                    self.change_to_successor()?;
                    self.end = Some(FileEnd { length: 0, torn: false, ..end });
                    continue;
                }
                Some(end) if now.len() < end.length || !self.has_last_line(end)? => {
                    let torn = now.len() > 0 && byte_at(&self.file, now.len() - 1)? != b'\n';
                    FileEnd { length: now.len(), torn, ..end }
                }
                Some(_) | None if now.nlink() == 0 => {
                    self.change_to_successor()?;
                    continue;
                }
                Some(_) | None => read_end(&self.file, now.len())?,
            };
            self.end = Some(end);
            if !end.full {
                return Ok(end);
            }
            if self.is_the_named_file()? {
                // Whoever rotated it was killed before the new file was in place.
                return Ok(self
                    .start_successor(end)
                    .unwrap_or_else(|error| self.grow_on(end, &error)));
            } else {
                self.change_to_successor()?;
                self.end = None;
            }
        }
        Err(io::Error::other("it is being replaced all the time"))
    }

    /// Whether the last line that this process knows still stands where it was.
    fn has_last_line(&self, end: FileEnd) -> io::Result<bool> {
        let Some(digest) = end.next.prev else { return Ok(true) };
        let newline = u64::from(!end.torn);
        let start = end.length.checked_sub(end.last_length + newline);
        let (Some(start), Ok(length)) = (start, usize::try_from(end.last_length)) else {
            return Ok(false);
        };
        let mut line = vec![0; length];
        self.file.read_exact_at(&mut line, start)?;
        Ok(Digest::of(&line) == digest)
    }

    fn is_the_named_file(&self) -> io::Result<bool> {
        let ours = self.file.metadata()?;
        match std::fs::metadata(&self.path) {
            Ok(named) => Ok((named.dev(), named.ino()) == (ours.dev(), ours.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Opens and locks the file that now has the name, and gives the old one up.
    fn change_to_successor(&mut self) -> io::Result<()> {
        let new = Self::open_bounded(&self.path, self.bounds)?;
        self.replace_file(new.file)?;
        self.kind = new.kind;
        self.lock()
    }

    fn replace_file(&mut self, new: File) -> io::Result<()> {
        let old = std::mem::replace(&mut self.file, new);
        Ok(rustix::fs::flock(&old, FlockOperation::Unlock)?)
    }

    /// Moves a full file aside. Without the right to do that the file grows on.
    fn rotate(&mut self, end: FileEnd) -> FileEnd {
        match self.try_rotate(end) {
            Ok(end) => end,
            Err(error) => self.grow_on(self.end.unwrap_or(end), &error),
        }
    }

    fn grow_on(&mut self, end: FileEnd, error: &io::Error) -> FileEnd {
        let path = self.path.display();
        tracing::warn!(%path, %error, "failed to rotate the audit file; it grows on");
        // One try is enough for this process.
        self.bounds.rotate_at = u64::MAX;
        end
    }

    fn try_rotate(&mut self, end: FileEnd) -> io::Result<FileEnd> {
        if !self.is_the_named_file()? {
            return Err(io::Error::other("the file has another name by now"));
        }
        let (name, event) = rotate::set_aside(&self.path)?;
        let closed = self.write(end, &serde_json::to_vec(&event)?);
        let closed = closed.inspect_err(|_| rotate::take_back(&self.path, &name))?;
        self.start_successor(closed)
    }

    /// Puts a new file in the place of this one, which is full and has its other name already.
    fn start_successor(&mut self, closed: FileEnd) -> io::Result<FileEnd> {
        let from = rotate::name_aside(&self.path, &self.file)?;
        let (mut file, temporary) = rotate::successor(&self.path)?;
        // Nobody else knows the new file yet.
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        let surplus = rotate::surplus(&self.path, self.bounds.kept);
        let event = serde_json::to_vec(&rotate::continuation(from, &surplus))?;
        let (line, end) = FileEnd { next: closed.next, ..EMPTY }.line(&event);
        file.write_all(&line)?;
        std::fs::rename(temporary, &self.path)?;
        // Recorded before it is done: a file that is gone without a record is a missing one.
        rotate::remove(&surplus);
        self.replace_file(file)?;
        self.end = Some(end);
        Ok(end)
    }

    /// One write, so that a reader without a lock sees whole lines.
    fn write(&mut self, end: FileEnd, body: &[u8]) -> io::Result<FileEnd> {
        let (line, next) = end.line(body);
        // Nobody knows how much of a failed write is there.
        self.end = None;
        self.file.write_all(&line)?;
        self.end = Some(next);
        Ok(next)
    }
}

impl FileEnd {
    /// The bytes of the line that comes here, and the end that it makes.
    fn line(self, body: &[u8]) -> (Vec<u8>, Self) {
        let mut bytes = Vec::with_capacity(body.len() + 128);
        if self.torn {
            // Seals a line that a crash or a full disk cut off; its hash goes into this one.
            bytes.push(b'\n');
        }
        let start = bytes.len();
        self.next.write(body, &mut bytes);
        let line = &bytes[start..];
        let next = Link { seq: self.next.seq.saturating_add(1), prev: Some(Digest::of(line)) };
        let (last_length, full) = (line.len() as u64, ends_its_file(line));
        bytes.push(b'\n');
        let length = self.length + bytes.len() as u64;
        (bytes, Self { length, next, last_length, torn: false, full })
    }
}

fn byte_at(file: &File, offset: u64) -> io::Result<u8> {
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset)?;
    Ok(byte[0])
}

/// Finds the last line and its number.
fn read_end(file: &File, length: u64) -> io::Result<FileEnd> {
    for size in TAILS {
        let start = length.saturating_sub(size);
        let mut tail = vec![0; usize::try_from(length - start).map_err(io::Error::other)?];
        file.read_exact_at(&mut tail, start)?;
        if let Some(end) = end_within(&tail, start == 0, length) {
            return Ok(end);
        }
    }
    read_whole(file, length)
}

/// The end, if these last bytes of a file have a line with a link. Lines without one count: they were cut off, or
/// another program wrote them.
fn end_within(tail: &[u8], whole: bool, length: u64) -> Option<FileEnd> {
    let torn = tail.last().is_some_and(|byte| *byte != b'\n');
    let text = if torn { tail } else { &tail[..tail.len().saturating_sub(1)] };
    let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    if !whole {
        lines.remove(0);
    }
    let last = *lines.last()?;
    let found =
        lines.iter().rev().zip(1..).find_map(|(line, behind)| Some((Link::parse(line)?, behind)));
    let next_seq = match found {
        Some((link, behind)) => link.seq.saturating_add(behind),
        None if whole => 1,
        None => return None,
    };
    let prev = (length > 0).then(|| Digest::of(last));
    Some(FileEnd {
        length,
        next: Link { seq: next_seq, prev },
        last_length: last.len() as u64,
        torn,
        full: !torn && ends_its_file(last),
    })
}

/// The same for files with lines that are longer than any of ours, in bounded memory.
fn read_whole(file: &File, length: u64) -> io::Result<FileEnd> {
    use std::io::{Read, Seek};
    let mut file = file.try_clone()?;
    file.rewind()?;
    let mut lines = Lines::new(BufReader::new(file.take(length)));
    let mut end = FileEnd { length, ..EMPTY };
    let mut linked = false;
    while let Some(line) = lines.next_line()? {
        let link = Link::parse(&line.text);
        linked |= link.is_some();
        let seq = match link {
            Some(link) => link.seq.saturating_add(1),
            None if linked => end.next.seq.saturating_add(1),
            None => 1,
        };
        end.next = Link { seq, prev: Some(line.digest) };
        (end.last_length, end.torn) = (line.length, !line.ended);
        end.full = line.ended && ends_its_file(&line.text);
    }
    Ok(end)
}

#[cfg(test)]
mod tests;
