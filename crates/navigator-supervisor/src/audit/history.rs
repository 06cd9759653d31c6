//! An audit file and the full files that came before it, in the order of their lines.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, Take};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::chain::Link;
use super::reader::{Lines, RawLine};

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the audit file {path}")]
pub struct ReadError {
    /// Which.
    pub path: PathBuf,
    /// The system's reason.
    pub source: io::Error,
}

/// All lines of some audit files, oldest first. The files are opened at once, so that one that is set aside or
/// removed meanwhile is read all the same, and read once.
pub struct History {
    files: VecDeque<Opened>,
    reading: Option<(PathBuf, Lines<BufReader<Take<File>>>)>,
}

struct Opened {
    path: PathBuf,
    file: File,
}

impl History {
    /// The lines of a file, after those of the full files that it goes on from.
    pub fn of(path: &Path) -> Result<Self, ReadError> {
        let last = Opened::open(path.to_owned())?;
        let first = last.first_number();
        let mut seen = vec![last.id()];
        let mut files = VecDeque::new();
        // One that is removed just now is a missing one, and the lines tell whether it may be.
        for opened in named_aside(path).into_iter().filter_map(|path| Opened::open(path).ok()) {
            let number = opened.first_number();
            // A file that is just set aside has two names, and newer ones came after the last file was opened.
            if !seen.contains(&opened.id()) && (first.is_none() || number < first) {
                seen.push(opened.id());
                files.push_back(opened);
            }
        }
        files.push_back(last);
        Ok(Self { files, reading: None })
    }

    /// The lines of exactly these files.
    pub fn exactly(files: &[PathBuf]) -> Result<Self, ReadError> {
        let files = files.iter().cloned().map(Opened::open).collect::<Result<_, _>>()?;
        Ok(Self { files, reading: None })
    }

    /// The next line and the file that it stands in.
    pub fn next_line(&mut self) -> Result<Option<(&Path, RawLine)>, ReadError> {
        loop {
            if self.reading.is_none() {
                let Some(Opened { path, file }) = self.files.pop_front() else { return Ok(None) };
                let lines = Lines::of(file);
                let lines = lines.map_err(|source| ReadError { path: path.clone(), source })?;
                self.reading = Some((path, lines));
            }
            let Some((path, lines)) = &mut self.reading else { return Ok(None) };
            let line =
                lines.next_line().map_err(|source| ReadError { path: path.clone(), source })?;
            match line {
                Some(line) => {
                    let path = self.reading.as_ref().map(|(path, _)| path.as_path());
                    return Ok(path.map(|path| (path, line)));
                }
                None => self.reading = None,
            }
        }
    }
}

impl Opened {
    fn open(path: PathBuf) -> Result<Self, ReadError> {
        let open = || {
            let file = File::open(&path)?;
            match file.metadata()?.is_dir() {
                true => Err(io::ErrorKind::IsADirectory.into()),
                false => Ok(file),
            }
        };
        match open() {
            Ok(file) => Ok(Self { path, file }),
            Err(source) => Err(ReadError { path, source }),
        }
    }

    fn id(&self) -> Option<(u64, u64)> {
        self.file.metadata().ok().map(|data| (data.dev(), data.ino()))
    }

    /// Number of the first line. A pipe is not touched.
    fn first_number(&self) -> Option<u64> {
        let mut start = [0; 256];
        let length = self.file.read_at(&mut start, 0).ok()?;
        Link::parse(&start[..length]).map(|link| link.seq)
    }
}

/// The name of the file that is set aside at a time: `audit.jsonl` becomes `audit-20260102T030405.678901Z.jsonl`.
pub(super) fn name_at(path: &Path, time: Timestamp) -> String {
    let (stem, extension) = parts(path);
    let micros = time.subsec_nanosecond().unsigned_abs() / 1000;
    format!("{stem}-{}.{micros:06}Z{extension}", time.strftime("%Y%m%dT%H%M%S"))
}

/// The names of full files beside a file, oldest first. Their lines tell the order: clocks can be set.
pub(super) fn named_aside(path: &Path) -> Vec<PathBuf> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let Ok(entries) = std::fs::read_dir(parent.unwrap_or(Path::new("."))) else { return vec![] };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut files: Vec<_> = names
        .filter(|name| is_set_aside(path, name))
        .map(|name| path.with_file_name(name))
        .map(|file| (Opened::open(file.clone()).ok().and_then(|file| file.first_number()), file))
        .collect();
    files.sort();
    files.into_iter().map(|(_, file)| file).collect()
}

pub(super) fn file_name(path: &Path) -> Option<String> {
    path.file_name().map(|name| name.to_string_lossy().into_owned())
}

fn is_set_aside(path: &Path, name: &str) -> bool {
    let (stem, extension) = parts(path);
    let stamp = name
        .strip_prefix(&stem)
        .and_then(|rest| rest.strip_prefix('-'))
        .and_then(|rest| rest.strip_suffix(&extension));
    const SHAPE: &str = "00000000T000000.000000Z";
    stamp.is_some_and(|stamp| {
        stamp.len() == SHAPE.len()
            && stamp
                .chars()
                .zip(SHAPE.chars())
                .all(|(c, shape)| if shape == '0' { c.is_ascii_digit() } else { c == shape })
    })
}

fn parts(path: &Path) -> (String, String) {
    let text =
        |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let extension =
        path.extension().map_or_else(String::new, |_| format!(".{}", text(path.extension())));
    (text(path.file_stem()), extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_files_are_told_from_others_by_their_whole_name() {
        let time: Timestamp = "2026-01-02T03:04:05.678901234Z".parse().unwrap();
        for (path, name) in [
            ("/x/audit.jsonl", "audit-20260102T030405.678901Z.jsonl"),
            ("/x/log", "log-20260102T030405.678901Z"),
            ("/x/a.b.c", "a.b-20260102T030405.678901Z.c"),
        ] {
            let path = Path::new(path);
            assert_eq!(name_at(path, time), name);
            assert!(is_set_aside(path, name));
            assert!(!is_set_aside(Path::new("/x/other.jsonl"), name));
        }
        for name in [
            "audit.jsonl",
            "audit-.jsonl",
            "audit-2026.jsonl",
            "audit-backup-of-monday-2345Z.jsonl",
        ] {
            assert!(!is_set_aside(Path::new("audit.jsonl"), name), "{name}");
        }
    }

    fn lines(history: &mut History) -> Vec<u64> {
        let mut numbers = vec![];
        while let Some((_, line)) = history.next_line().unwrap() {
            numbers.push(Link::parse(&line.text).unwrap().seq);
        }
        numbers
    }

    fn write(dir: &Path, name: &str, seq: u64) -> PathBuf {
        let line = format!("{{\"seq\":{seq},\"prev\":null,\"event\":\"end\"}}\n");
        std::fs::write(dir.join(name), line).unwrap();
        dir.join(name)
    }

    #[test]
    fn full_files_are_ordered_by_their_lines_and_not_by_the_clock() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "audit-19990102T030405.000000Z.jsonl", 20);
        write(dir.path(), "audit-20400102T030405.000000Z.jsonl", 3);
        let path = write(dir.path(), "audit.jsonl", 30);
        assert_eq!(lines(&mut History::of(&path).unwrap()), [3, 20, 30]);
    }

    #[test]
    fn a_file_that_is_set_aside_or_removed_while_it_is_read_is_read_once() {
        let dir = tempfile::tempdir().unwrap();
        let old = write(dir.path(), "audit-20260102T030405.000000Z.jsonl", 1);
        let path = write(dir.path(), "audit.jsonl", 2);
        let second_name = dir.path().join("audit-20260202T030405.000000Z.jsonl");
        std::fs::hard_link(&path, second_name).unwrap();
        assert_eq!(lines(&mut History::of(&path).unwrap()), [1, 2]);
        let mut history = History::of(&path).unwrap();
        std::fs::remove_file(old).unwrap();
        std::fs::remove_file(&path).unwrap();
        write(dir.path(), "audit.jsonl", 3);
        assert_eq!(lines(&mut history), [1, 2]);
        assert_eq!(lines(&mut History::of(&path).unwrap()), [2, 3]);
    }
}
