//! Text files that a user names, read with a bound.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Largest file, in bytes.
const BYTES: u64 = 1024 * 1024;

/// A file that cannot be read as text.
#[derive(Debug, thiserror::Error)]
#[error("failed to read {path}")]
pub struct ReadError {
    path: PathBuf,
    source: io::Error,
}

/// Reads a file, or standard input for `-`.
pub fn read(path: &Path) -> Result<String, ReadError> {
    let read = || -> io::Result<String> {
        let mut text = String::new();
        let source: Box<dyn Read> = if path == Path::new("-") {
            Box::new(io::stdin())
        } else {
            if path.is_dir() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            Box::new(std::fs::File::open(path)?)
        };
        source.take(BYTES + 1).read_to_string(&mut text)?;
        if text.len() as u64 > BYTES {
            return Err(io::Error::other("it is larger than 1 MiB"));
        }
        Ok(text)
    };
    read().map_err(|source| ReadError { path: path.to_owned(), source })
}

/// A file that cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// It is none.
    #[error("failed to change standard input: it is not a file")]
    Stdin,
    /// The system refuses.
    #[error("failed to write {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Replaces a file whole: a reader sees the old text or the new one, whatever happens in between. A link stays a
/// link, and the file keeps its mode. Standard input cannot be replaced.
pub fn replace(path: &Path, text: &str) -> Result<(), WriteError> {
    if path == Path::new("-") {
        return Err(WriteError::Stdin);
    }
    replace_file(path, text).map_err(|source| WriteError::File { path: path.to_owned(), source })
}

fn replace_file(path: &Path, text: &str) -> io::Result<()> {
    let path = path.canonicalize()?;
    let mode = std::fs::metadata(&path)?.permissions();
    let mut beside = path.clone().into_os_string();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(beside);
    // Never through something that somebody else has put there.
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&beside)?;
    let written = file
        .set_permissions(mode)
        .and_then(|()| file.write_all(text.as_bytes()))
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&beside, &path));
    if written.is_err() {
        // It is of no use, and the reason why it was not renamed is the one to report.
        let _already_gone = std::fs::remove_file(&beside);
    }
    written
}
