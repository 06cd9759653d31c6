//! Text files that a user names, read with a bound.

use std::io::{self, Read};
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

/// Replaces a file whole: a reader sees the old text or the new one, whatever happens in between.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(beside);
    let written = std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        // What was not renamed is of no use; that it may not exist is fine.
        let _already_gone = std::fs::remove_file(&beside);
    }
    written
}
