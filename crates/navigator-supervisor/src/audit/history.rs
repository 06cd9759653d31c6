//! An audit file and the full files that came before it, in the order of their lines.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, Read, Take};
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

/// All lines of some audit files, oldest first.
pub struct History {
    files: VecDeque<PathBuf>,
    open: Option<(PathBuf, Lines<BufReader<Take<File>>>)>,
}

impl History {
    /// The lines of a file, after those of the full files that it goes on from.
    pub fn of(path: &Path) -> Result<Self, ReadError> {
        // A missing file is an error even when full ones are left.
        Lines::open(path).map_err(|source| ReadError { path: path.to_owned(), source })?;
        let mut files = VecDeque::from(set_aside(path));
        files.push_back(path.to_owned());
        Ok(Self { files, open: None })
    }

    /// The lines of exactly these files.
    #[must_use]
    pub fn exactly(files: &[PathBuf]) -> Self {
        Self { files: files.iter().cloned().collect(), open: None }
    }

    /// The next line and the file that it stands in.
    pub fn next_line(&mut self) -> Result<Option<(&Path, RawLine)>, ReadError> {
        loop {
            if self.open.is_none() {
                let Some(path) = self.files.pop_front() else { return Ok(None) };
                let lines = Lines::open(&path)
                    .map_err(|source| ReadError { path: path.clone(), source })?;
                self.open = Some((path, lines));
            }
            let Some((path, lines)) = &mut self.open else { return Ok(None) };
            let line =
                lines.next_line().map_err(|source| ReadError { path: path.clone(), source })?;
            match line {
                Some(line) => {
                    let path = self.open.as_ref().map(|(path, _)| path.as_path());
                    return Ok(path.map(|path| (path, line)));
                }
                None => self.open = None,
            }
        }
    }
}

/// The name of the file that is set aside at a time: `audit.jsonl` becomes `audit-20260102T030405.678901Z.jsonl`.
pub(super) fn name_at(path: &Path, time: Timestamp) -> String {
    let (stem, extension) = parts(path);
    let micros = time.subsec_nanosecond().unsigned_abs() / 1000;
    format!("{stem}-{}.{micros:06}Z{extension}", time.strftime("%Y%m%dT%H%M%S"))
}

/// The full files that were set aside beside a file, oldest first. Their lines tell the order: clocks can be set.
pub(super) fn set_aside(path: &Path) -> Vec<PathBuf> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let Ok(entries) = std::fs::read_dir(parent.unwrap_or(Path::new("."))) else { return vec![] };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut files: Vec<_> = names
        .filter(|name| is_set_aside(path, name))
        .map(|name| path.with_file_name(name))
        .map(|file| (first_number(&file), file))
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

fn first_number(path: &Path) -> Option<u64> {
    let mut start = vec![];
    File::open(path).ok()?.take(256).read_to_end(&mut start).ok()?;
    Link::parse(&start).map(|link| link.seq)
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

    #[test]
    fn full_files_are_ordered_by_their_lines_and_not_by_the_clock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        let write = |year: u16, seq: u64| {
            let name = format!("audit-{year}0102T030405.000000Z.jsonl");
            std::fs::write(
                dir.path().join(&name),
                format!("{{\"seq\":{seq},\"prev\":null,\"event\":\"end\"}}\n"),
            )
            .unwrap();
            dir.path().join(name)
        };
        let (second, first) = (write(1999, 20), write(2040, 3));
        assert_eq!(set_aside(&path), [first, second]);
    }
}
