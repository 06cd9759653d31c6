//! Content between a stream and files here: each direction has one buffer, which the file's content goes through.
//!
//! Files are read and written where the stream is, without another thread: content that changes threads leaves the
//! processor's cache, which costs more than the system's own cache takes to answer.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use navigator_sftp::wire::Reader;

use super::ClientError;

/// A file that arrives. It is written in order only: what is there of a broken one is whole up to its end.
#[derive(Debug)]
pub(crate) struct Arrival {
    file: File,
    path: PathBuf,
    end: Mutex<u64>,
}

impl Arrival {
    /// Goes on at the end of a file; the path is for errors.
    pub(crate) fn new(file: File, path: PathBuf, end: u64) -> Self {
        Self { file, path, end: Mutex::new(end) }
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes content if it is its turn, and says whether it was.
    pub(crate) fn write(&self, at: u64, content: &[u8]) -> io::Result<bool> {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        if *end != at {
            return Ok(false);
        }
        self.file.write_all_at(content, at)?;
        *end += content.len() as u64;
        Ok(true)
    }
}

/// Where the answer to a read goes.
#[derive(Debug)]
pub(super) struct Landing {
    pub(super) into: Arc<Arrival>,
    pub(super) at: u64,
    pub(super) most: usize,
}

impl Landing {
    /// Writes an answer's content into its file. Returns its length, or nothing when it is not its turn.
    pub(super) fn land(&self, body: &[u8]) -> Result<Option<usize>, ClientError> {
        let content = content_of(body, self.most)?;
        let landed = self.into.write(self.at, content).map_err(ClientError::File)?;
        Ok(landed.then_some(content.len()))
    }
}

/// The content in an answer to a read: some, and never more than was asked for.
pub(super) fn content_of(body: &[u8], most: usize) -> Result<&[u8], ClientError> {
    let mut reader = Reader::new(body);
    let content = reader.string()?;
    if content.is_empty() || content.len() > most || !reader.is_empty() {
        return Err(ClientError::Protocol);
    }
    Ok(content)
}

/// A piece of a file that leaves.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) file: Arc<File>,
    pub(super) at: u64,
    pub(super) length: usize,
}

impl Piece {
    /// Reads the piece into a buffer that has room for it.
    pub(super) fn read<'a>(&self, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
        let content = buffer.get_mut(..self.length).ok_or(io::ErrorKind::InvalidInput)?;
        self.file.read_exact_at(content, self.at)?;
        Ok(content)
    }
}
