//! Small files that are replaced whole: a reader sees the old text or the new one, whatever ends the writer.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Largest small file, in bytes: three PEM files with long chains have a tenth of it.
const BYTES: u64 = 1024 * 1024;
/// The right of everybody to write.
const EVERYBODY: u32 = 0o002;

/// Writes a file that only its owner may read, and the directories above it.
///
/// # Errors
/// The system's; then the file is as it was.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
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

/// Makes a directory that only its owner may enter, unless it is there; one that others could put files into is refused.
///
/// # Errors
/// The system's, and when it is somebody else's.
pub fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    check(path, &std::fs::metadata(path)?)
}

/// Reads a small text file of this user or of root, which nobody else may write: what it says is done.
///
/// # Errors
/// The system's, and when it is somebody else's, too large or no text.
pub fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    check(path, &file.metadata()?)?;
    file.take(BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > BYTES {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(text)
}

/// Refuses what belongs to another user than this one and root, and what everybody may write.
fn check(path: &Path, found: &std::fs::Metadata) -> io::Result<()> {
    let (owner, own) = (found.uid(), rustix::process::geteuid().as_raw());
    let shown = path.display();
    if owner != own && owner != 0 {
        return Err(io::Error::other(format!("{shown} belongs to user {owner}, not to you")));
    }
    if found.mode() & EVERYBODY != 0 {
        return Err(io::Error::other(format!(
            "everybody may write {shown}; run `chmod o-w` on it"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_everybody_may_write_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        write(&file, "text").unwrap();
        assert_eq!(read(&file).unwrap(), "text");
        for path in [file.as_path(), dir.path()] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o702)).unwrap();
        }
        assert!(read(&file).is_err());
        assert!(make_directory(dir.path()).is_err());
        assert!(write(&file, "text").is_err());
    }
}
