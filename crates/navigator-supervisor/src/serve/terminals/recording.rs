//! Recordings of terminal sessions: asciicast v2 files that nothing in the sandbox can reach.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use navigator_isolation::TerminalSize;
use navigator_proto::v1::Recording;
use serde_json::json;

/// Recordings of one sandbox; the oldest goes when another begins. More than the sessions that can run at once.
const KEPT: usize = 50;
/// Largest recording, in bytes; what comes later is not recorded.
const BYTES: u64 = 64 * 1024 * 1024;
/// How the name of a recording ends.
const ENDING: &str = ".cast";

/// A recording that is written. It is whole after every line.
pub(super) struct Recorder {
    file: File,
    begin: Instant,
    written: u64,
    input: bool,
    /// The beginning of a character whose rest is still to come: printed, typed.
    pending: [Vec<u8>; 2],
}

impl Recorder {
    /// Begins a recording, and removes the oldest ones that are too many.
    pub(super) fn begin(
        directory: &Path,
        session: &str,
        size: TerminalSize,
        input: bool,
    ) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let kept = list(directory)?;
        for old in kept.iter().take((kept.len() + 1).saturating_sub(KEPT)) {
            std::fs::remove_file(directory.join(&old.name))?;
        }
        let now = jiff::Timestamp::now();
        let name = format!("{:013}-{session}{ENDING}", now.as_millisecond());
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(directory.join(name))?;
        let mut recorder =
            Self { file, begin: Instant::now(), written: 0, input, pending: Default::default() };
        recorder.line(&json!({
            "version": 2, "width": size.columns, "height": size.rows,
            "timestamp": now.as_second(), "title": session,
        }))?;
        Ok(recorder)
    }

    pub(super) fn printed(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.text("o", 0, bytes)
    }

    /// What is typed may be a secret: it is kept only if that was asked for.
    pub(super) fn typed(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.input { self.text("i", 1, bytes) } else { Ok(()) }
    }

    pub(super) fn resized(&mut self, size: TerminalSize) -> io::Result<()> {
        self.event("r", &format!("{}x{}", size.columns, size.rows))
    }

    fn text(&mut self, kind: &str, pending: usize, bytes: &[u8]) -> io::Result<()> {
        let mut all = std::mem::take(&mut self.pending[pending]);
        all.extend_from_slice(bytes);
        let rest = all.split_off(whole(&all));
        self.pending[pending] = rest;
        if all.is_empty() { Ok(()) } else { self.event(kind, &String::from_utf8_lossy(&all)) }
    }

    fn event(&mut self, kind: &str, text: &str) -> io::Result<()> {
        let seconds = (self.begin.elapsed().as_secs_f64() * 1e6).round() / 1e6;
        self.line(&json!([seconds, kind, text]))
    }

    fn line(&mut self, value: &serde_json::Value) -> io::Result<()> {
        let line = format!("{value}\n");
        let length = line.len() as u64;
        if self.written + length > BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.written += length;
        self.file.write_all(line.as_bytes())
    }
}

/// Bytes up to the end of the last character that is whole, or can never become so.
fn whole(bytes: &[u8]) -> usize {
    let mut end = 0;
    for chunk in bytes.utf8_chunks() {
        end += chunk.valid().len();
        let open = end + chunk.invalid().len() == bytes.len()
            && std::str::from_utf8(&bytes[end..]).is_err_and(|error| error.error_len().is_none());
        if !open {
            end += chunk.invalid().len();
        }
    }
    end
}

/// The recordings of a directory, oldest first.
pub(super) fn list(directory: &Path) -> io::Result<Vec<Recording>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        entries => entries?,
    };
    let mut all = vec![];
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let Some((started_at_ms, session)) = parts(&name) else { continue };
        let session = session.to_owned();
        all.push(Recording { name, session, started_at_ms, bytes: entry.metadata()?.len() });
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(all)
}

/// Opens a recording by its name, which can be nothing else.
pub(super) fn open(directory: &Path, name: &str) -> io::Result<File> {
    let path: PathBuf = match parts(name) {
        Some(_) => directory.join(name),
        None => return Err(io::ErrorKind::NotFound.into()),
    };
    File::open(path)
}

/// When a recording began, and of what session it is.
fn parts(name: &str) -> Option<(i64, &str)> {
    let (millis, session) = name.strip_suffix(ENDING)?.split_once('-')?;
    super::is_name(session).then_some((millis.parse().ok()?, session))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: TerminalSize = TerminalSize { rows: 24, columns: 80 };

    fn lines(directory: &Path) -> Vec<serde_json::Value> {
        let name = &list(directory).unwrap()[0].name;
        let text = std::fs::read_to_string(directory.join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_recording_is_asciicast_and_splits_no_character() {
        let dir = tempfile::tempdir().unwrap();
        let mut recorder = Recorder::begin(dir.path(), "main", SIZE, false).unwrap();
        recorder.printed(b"a\xc3").unwrap();
        recorder.printed(b"\xa4\xff\x1b[m").unwrap();
        recorder.typed(b"secret").unwrap();
        recorder.resized(TerminalSize { rows: 30, columns: 100 }).unwrap();
        let lines = lines(dir.path());
        assert_eq!((&lines[0]["version"], &lines[0]["width"]), (&json!(2), &json!(80)));
        let events: Vec<_> = lines[1..].iter().map(|line| (&line[1], &line[2])).collect();
        let expected = [("o", "a"), ("o", "\u{e4}\u{fffd}\x1b[m"), ("r", "100x30")]
            .map(|(a, b)| (json!(a), json!(b)));
        assert_eq!(events, expected.iter().map(|(kind, text)| (kind, text)).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_typed_is_recorded_only_if_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let mut recorder = Recorder::begin(dir.path(), "main", SIZE, true).unwrap();
        recorder.typed(b"ls\r").unwrap();
        assert_eq!(
            (&lines(dir.path())[1][1], &lines(dir.path())[1][2]),
            (&json!("i"), &json!("ls\r"))
        );
    }

    #[test]
    fn recordings_are_bounded_in_number_and_size() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..KEPT + 3 {
            std::fs::write(dir.path().join(format!("{number:013}-main.cast")), "").unwrap();
        }
        let mut recorder = Recorder::begin(dir.path(), "main", SIZE, false).unwrap();
        let kept = list(dir.path()).unwrap();
        assert_eq!((kept.len(), kept[0].started_at_ms), (KEPT, 4));
        recorder.written = BYTES;
        assert!(recorder.printed(b"x").is_err());
    }

    #[test]
    fn only_recordings_can_be_opened() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("secret"), "").unwrap();
        std::fs::write(dir.path().join("0000000000001-a.cast"), "").unwrap();
        assert!(open(dir.path(), "0000000000001-a.cast").is_ok());
        for name in ["secret", "", "../x", "1-../../etc/passwd.cast", "1-a.cast/", "1-\x1b.cast"] {
            assert!(open(dir.path(), name).is_err(), "{name:?}");
        }
    }
}
