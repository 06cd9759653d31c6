//! What a supervisor writes on standard error: kept in a file of bounded size, shown without control characters.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::place::no_follow;

/// Size from which a log becomes the old one when a supervisor starts; there is one old one.
const ROTATE_BYTES: u64 = 1024 * 1024;
/// Most bytes that are ever read of a log.
const MOST_BYTES: u64 = 256 * 1024;

const NAME: &str = "supervisor.log";

/// The log, to be appended to, and how long it is.
pub(super) fn open(directory: &Path) -> io::Result<(File, u64)> {
    let path = directory.join(NAME);
    match std::fs::symlink_metadata(&path) {
        Ok(found) if found.len() > ROTATE_BYTES => {
            std::fs::rename(&path, directory.join("supervisor.log.1"))?;
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600).custom_flags(no_follow());
    let file = options.open(path)?;
    let length = file.metadata()?.len();
    Ok((file, length))
}

/// The last bytes, at most `limit`, of what was written after `start`; empty when there is no log.
pub(super) fn last(directory: &Path, start: u64, limit: usize) -> io::Result<String> {
    let opened = OpenOptions::new().read(true).custom_flags(no_follow()).open(directory.join(NAME));
    let mut file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(error),
    };
    let limit = u64::try_from(limit).unwrap_or(u64::MAX).min(MOST_BYTES);
    let from = file.metadata()?.len().saturating_sub(limit).max(start);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = vec![];
    file.take(limit).read_to_end(&mut bytes)?;
    // A character that was cut in two is none.
    let whole = bytes.iter().position(|byte| byte & 0xc0 != 0x80).unwrap_or(bytes.len());
    let text = clean(&String::from_utf8_lossy(&bytes[whole..]));
    Ok(bounded(text, limit))
}

/// Replacing bytes that are no text may have made it longer.
fn bounded(mut text: String, limit: u64) -> String {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut from = text.len().saturating_sub(limit);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text.split_off(from)
}

/// Takes away what could move the cursor of a terminal or turn text around.
fn clean(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().filter(|c| matches!(c, '\n' | '\t') || !(c.is_control() || turns(*c))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_grew_becomes_the_one_old_log() {
        let dir = tempfile::tempdir().unwrap();
        for content in ["first", "second"] {
            let long = content.repeat(1024 * 1024 / 5 + 1);
            std::fs::write(dir.path().join(NAME), long).unwrap();
            assert_eq!(open(dir.path()).unwrap().1, 0);
        }
        let old = std::fs::read_to_string(dir.path().join("supervisor.log.1")).unwrap();
        assert!(old.starts_with("second"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn the_last_words_are_bounded_and_without_control_characters() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(last(dir.path(), 0, 10).unwrap(), "");
        std::fs::write(dir.path().join(NAME), "old\nä\u{1b}[2J\u{202e}new\x07\r\n").unwrap();
        assert_eq!(last(dir.path(), 4, 100).unwrap(), "ä[2Jnew\n");
        assert_eq!(last(dir.path(), 0, 4).unwrap(), "w\n");
        std::fs::write(dir.path().join(NAME), [0xff; 64]).unwrap();
        assert!(last(dir.path(), 0, 10).unwrap().len() <= 10);
    }

    #[test]
    fn a_log_that_is_a_link_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/hostname", dir.path().join(NAME)).unwrap();
        assert!(open(dir.path()).is_err());
        assert!(last(dir.path(), 0, 10).is_err());
    }
}
