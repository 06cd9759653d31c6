//! Small files that are replaced whole: a reader sees the old text or the new one, whatever ends the writer.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Largest small file, in bytes: three PEM files with long chains have a tenth of it.
const BYTES: u64 = 1024 * 1024;

/// Writes a file that only its owner may read, and the directories above it.
pub(crate) fn write(path: &Path, text: &str) -> io::Result<()> {
    let directory = path.parent().unwrap_or_else(|| Path::new("/"));
    make_directory(directory)?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = Path::new(&beside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(beside, path));
    if written.is_err() {
        // It is of no use, and the reason why it was not renamed is the one to report.
        let _already_gone = std::fs::remove_file(beside);
    }
    written
}

/// Makes a directory that only its owner may enter, unless it is there.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Reads a small text file.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > BYTES {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(text)
}
