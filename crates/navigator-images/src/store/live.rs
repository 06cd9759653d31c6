//! What processes use while they live: a file that each keeps locked and in which it writes what it uses.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use uuid::Uuid;

use super::{Locked, Store, StoreError, write};
use crate::digest::Digest;

/// Bytes of the list of what a process uses: more than all layers of an image have.
const LIST_BYTES: u64 = 1 << 20;

/// What may be in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Use {
    Image(Digest),
    Layer(Digest),
}

impl Use {
    fn line(self) -> String {
        match self {
            Self::Image(digest) => format!("image {digest}\n"),
            Self::Layer(digest) => format!("layer {digest}\n"),
        }
    }

    fn read(line: &str) -> Option<Self> {
        match line.split_once(' ')? {
            ("image", digest) => digest.parse().ok().map(Self::Image),
            ("layer", digest) => digest.parse().ok().map(Self::Layer),
            _ => None,
        }
    }
}

/// A living process's part of the store; what it has not finished goes with it.
#[derive(Debug)]
pub(super) struct Session {
    list: PathBuf,
    file: File,
    /// Where it makes things.
    pub(super) tmp: PathBuf,
}

impl Session {
    /// Begins one, with what dead ones left removed first.
    pub(super) fn begin(store: &Store) -> Result<Self, StoreError> {
        let id = Uuid::now_v7().to_string();
        let list = store.root.join("live").join(&id);
        let tmp = store.root.join("tmp").join(&id);
        let dead = tmp.join("dead");
        let locked = store.lock()?;
        let made =
            OpenOptions::new().append(true).read(true).create_new(true).mode(0o600).open(&list);
        let made = made.and_then(|file| {
            rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
            write::private_directory(&tmp)?;
            write::private_directory(&dead)?;
            Ok(file)
        });
        let file = made.map_err(StoreError::at("begin to use the image store", &list))?;
        let session = Self { list, file, tmp };
        store.take_what_the_dead_left(&locked, &dead)?;
        drop(locked);
        discard(&dead).map_err(StoreError::at("remove what a dead process left", &dead))?;
        Ok(session)
    }

    /// Notes that something is in use; the store's lock is held, or what is used is not there yet.
    pub(super) fn uses(&self, what: Use) -> Result<(), StoreError> {
        let written = (&self.file).write_all(what.line().as_bytes());
        written.map_err(StoreError::at("note what is in use", &self.list))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // What stays behind is removed by the next process: its lock is free.
        let _left = discard(&self.tmp);
        let _left = std::fs::remove_file(&self.list);
    }
}

/// Removes a directory or file and returns the bytes that this frees.
pub(super) fn discard(path: &Path) -> io::Result<u64> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(0) };
    let parent = crate::beneath::directory(parent)?;
    crate::beneath::remove(std::os::fd::AsFd::as_fd(&parent), name)
}

impl Store {
    /// What living processes use.
    pub(super) fn in_use(&self, _locked: &Locked) -> Result<Vec<Use>, StoreError> {
        let dir = self.root.join("live");
        let mut all = vec![];
        for path in list(&dir).map_err(StoreError::at("read what is in use", &dir))? {
            let read = File::open(&path).and_then(|file| {
                let mut text = String::new();
                file.take(LIST_BYTES).read_to_string(&mut text).map(|_| text)
            });
            match read {
                Ok(text) => all.extend(text.lines().filter_map(Use::read)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::at("read what is in use", &path)(error)),
            }
        }
        Ok(all)
    }

    /// Moves to `to` what processes left that do not live any more.
    pub(super) fn take_what_the_dead_left(
        &self,
        _locked: &Locked,
        to: &Path,
    ) -> Result<(), StoreError> {
        let (live, tmp) = (self.root.join("live"), self.root.join("tmp"));
        let failed = |path: &Path| StoreError::at("remove what a dead process left", path);
        for path in list(&live).map_err(failed(&live))? {
            if is_dead(&path).map_err(failed(&path))? {
                std::fs::remove_file(&path).map_err(failed(&path))?;
            }
        }
        // A session's list is made before its directory, and whoever replaces a file holds the lock.
        for path in list(&tmp).map_err(failed(&tmp))? {
            let Some(name) = path.file_name() else { continue };
            if !live.join(name).exists() {
                match std::fs::rename(&path, to.join(name)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(failed(&path)(error));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// Whether nobody holds the lock of a list any more.
fn is_dead(list: &Path) -> io::Result<bool> {
    match File::open(list) {
        Ok(file) => match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Paths of what is in a directory of the store.
pub(super) fn list(dir: &Path) -> io::Result<Vec<PathBuf>> {
    std::fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.path())).collect()
}
