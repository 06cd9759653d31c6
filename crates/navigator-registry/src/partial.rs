//! A file that grows to a blob: what is there from before counts, and only the whole, verified blob gets its name.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

use crate::digest::{Digest, Hasher};
use crate::error::Failure;
use crate::manifest::Descriptor;

/// What is appended to a blob's path while it is not whole.
const SUFFIX: &str = ".partial";
/// How often it is looked whether another pull of the same blob has ended.
const LOCK_PAUSE: Duration = Duration::from_millis(200);
const CHUNK: usize = 256 << 10;

/// What is there of a blob.
pub(crate) enum Opened {
    /// All of it, under its own name.
    Whole,
    /// The beginning, maybe of length 0.
    Part(Box<Partial>),
}

/// The beginning of a blob. Its file is locked: of two pulls, one waits for what the other gets.
pub(crate) struct Partial {
    path: PathBuf,
    target: PathBuf,
    file: tokio::fs::File,
    wanted: Descriptor,
    hasher: Box<Hasher>,
    done: u64,
}

/// Whether the content was the right one.
pub(crate) enum Verdict {
    Right,
    Wrong(Digest),
}

impl Partial {
    /// Opens what is there, and reads it through.
    pub(crate) async fn open(target: &Path, wanted: &Descriptor) -> Result<Opened, Failure> {
        let mut path = OsString::from(target);
        path.push(SUFFIX);
        let path = PathBuf::from(path);
        loop {
            let (at, of, blob) = (path.clone(), target.to_owned(), wanted.clone());
            let step = tokio::task::spawn_blocking(move || look(&of, &at, &blob)).await;
            let step = step.unwrap_or_else(|_| Err(ErrorKind::Other.into()));
            match step.map_err(|source| Failure::File { path: path.clone(), source })? {
                Look::Whole => return Ok(Opened::Whole),
                Look::Busy => tokio::time::sleep(LOCK_PAUSE).await,
                Look::Part { file, hasher, done } => {
                    let file = tokio::fs::File::from_std(file);
                    let (target, wanted) = (target.to_owned(), wanted.clone());
                    let partial = Partial { path, target, file, wanted, hasher, done };
                    return Ok(Opened::Part(Box::new(partial)));
                }
            }
        }
    }

    /// The bytes that are there.
    pub(crate) fn done(&self) -> u64 {
        self.done
    }

    /// The bytes that are missing.
    pub(crate) fn missing(&self) -> u64 {
        self.wanted.size - self.done
    }

    /// Appends what came; more than is missing is refused.
    pub(crate) async fn append(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let length = bytes.len() as u64;
        if length > self.missing() {
            let (wanted, got) = (self.wanted.size, self.done.saturating_add(length));
            return Err(Failure::Size { what: "a layer", wanted, got });
        }
        let written = self.file.write_all(bytes).await;
        written.map_err(|source| self.failed(source))?;
        self.hasher.update(bytes);
        self.done += length;
        Ok(())
    }

    /// Writes out what is still in memory, so that a later pull finds it.
    pub(crate) async fn flush(&mut self) -> Result<(), Failure> {
        let flushed = self.file.flush().await;
        flushed.map_err(|source| self.failed(source))
    }

    /// Forgets what is there.
    pub(crate) async fn restart(&mut self) -> Result<(), Failure> {
        let emptied = async {
            self.file.flush().await?;
            self.file.set_len(0).await?;
            self.file.seek(SeekFrom::Start(0)).await
        };
        emptied.await.map_err(|source| self.failed(source))?;
        *self.hasher = self.wanted.digest.hasher();
        self.done = 0;
        Ok(())
    }

    /// Compares what is there with the digest, and gives it its name when it is right.
    pub(crate) async fn finish(&mut self) -> Result<Verdict, Failure> {
        let hasher = std::mem::replace(&mut *self.hasher, self.wanted.digest.hasher());
        let digest = hasher.finish();
        if digest != self.wanted.digest {
            return Ok(Verdict::Wrong(digest));
        }
        let kept = async {
            self.file.flush().await?;
            self.file.sync_all().await?;
            tokio::fs::rename(&self.path, &self.target).await
        };
        kept.await.map_err(|source| self.failed(source))?;
        Ok(Verdict::Right)
    }

    /// Removes what is there: it cannot become the blob.
    pub(crate) async fn discard(self) -> Result<(), Failure> {
        let removed = tokio::fs::remove_file(&self.path).await;
        removed.map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> Failure {
        Failure::File { path: self.path.clone(), source }
    }
}

enum Look {
    Whole,
    /// Another pull writes it.
    Busy,
    Part {
        file: File,
        hasher: Box<Hasher>,
        done: u64,
    },
}

fn look(target: &Path, path: &Path, wanted: &Descriptor) -> io::Result<Look> {
    if is_whole(target, wanted)? {
        return Ok(Look::Whole);
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let no_link = i32::try_from(OFlags::NOFOLLOW.bits()).map_err(io::Error::other)?;
    let mut file = options.custom_flags(no_link).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Look::Busy),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // The other pull may have given the file its name, or removed it, before the lock was free.
    if file.metadata()?.nlink() == 0 || std::fs::metadata(path).is_err() {
        return Ok(Look::Busy);
    }
    let (hasher, done) = prefix(&mut file, wanted)?;
    Ok(Look::Part { file, hasher, done })
}

/// Whether the blob is there; a file of its name that is something else is removed.
fn is_whole(target: &Path, wanted: &Descriptor) -> io::Result<bool> {
    let mut file = match File::open(target) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if file.metadata()?.len() == wanted.size {
        let mut hasher = wanted.digest.hasher();
        read_through(&mut file, &mut hasher)?;
        if hasher.finish() == wanted.digest {
            return Ok(true);
        }
    }
    std::fs::remove_file(target)?;
    Ok(false)
}

/// Reads what is there; more than the blob has cannot be its beginning.
fn prefix(file: &mut File, wanted: &Descriptor) -> io::Result<(Box<Hasher>, u64)> {
    let mut hasher = wanted.digest.hasher();
    if file.metadata()?.len() > wanted.size {
        file.set_len(0)?;
    }
    let done = read_through(file, &mut hasher)?;
    file.seek(SeekFrom::Start(done))?;
    Ok((Box::new(hasher), done))
}

fn read_through(file: &mut File, hasher: &mut Hasher) -> io::Result<u64> {
    let (mut buffer, mut read) = (vec![0; CHUNK], 0);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(read),
            length => {
                hasher.update(&buffer[..length]);
                read += length as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(content: &[u8]) -> Descriptor {
        let (digest, size) = (Digest::sha256(content), content.len() as u64);
        Descriptor { media_type: String::new(), digest, size }
    }

    async fn part(target: &Path, wanted: &Descriptor) -> Box<Partial> {
        match Partial::open(target, wanted).await.unwrap() {
            Opened::Part(partial) => partial,
            Opened::Whole => panic!("it is whole"),
        }
    }

    #[tokio::test]
    async fn what_is_there_from_before_counts() {
        let directory = tempfile::tempdir().unwrap();
        let (target, wanted) = (directory.path().join("blob"), descriptor(b"hello world"));
        let mut first = part(&target, &wanted).await;
        first.append(b"hello").await.unwrap();
        first.flush().await.unwrap();
        drop(first);
        let mut second = part(&target, &wanted).await;
        assert_eq!((second.done(), second.missing()), (5, 6));
        assert!(matches!(second.append(b" world!").await, Err(Failure::Size { got: 12, .. })));
        second.append(b" world").await.unwrap();
        assert!(matches!(second.finish().await, Ok(Verdict::Right)));
        drop(second);
        assert!(matches!(Partial::open(&target, &wanted).await, Ok(Opened::Whole)));
        assert_eq!(std::fs::read(&target).unwrap(), b"hello world");
    }

    #[tokio::test]
    async fn what_is_wrong_never_gets_the_name() {
        let directory = tempfile::tempdir().unwrap();
        let (target, wanted) = (directory.path().join("blob"), descriptor(b"right"));
        std::fs::write(&target, "wrong").unwrap();
        let mut partial = part(&target, &wanted).await;
        assert!(!target.exists());
        partial.append(b"wrong").await.unwrap();
        assert!(matches!(partial.finish().await, Ok(Verdict::Wrong(_))));
        partial.restart().await.unwrap();
        assert_eq!(partial.missing(), 5);
        partial.discard().await.unwrap();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_link_is_not_written_through() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("blob");
        std::os::unix::fs::symlink("/dev/null", directory.path().join("blob.partial")).unwrap();
        let opened = Partial::open(&target, &descriptor(b"x")).await;
        assert!(matches!(opened, Err(Failure::File { .. })));
    }

    #[tokio::test]
    async fn of_two_pulls_one_waits_for_the_other() {
        let directory = tempfile::tempdir().unwrap();
        let (target, wanted) = (directory.path().join("blob"), descriptor(b"x"));
        let mut first = part(&target, &wanted).await;
        let (there, blob) = (target.clone(), wanted.clone());
        let second = tokio::spawn(async move { Partial::open(&there, &blob).await });
        first.append(b"x").await.unwrap();
        first.finish().await.unwrap();
        drop(first);
        assert!(matches!(second.await.unwrap(), Ok(Opened::Whole)));
    }
}
