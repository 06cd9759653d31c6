//! A sandbox's log: the newest lines in memory, all of them on disk.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::records::Millis;

/// Lines in memory.
pub(crate) const LINES: usize = 2000;
/// Bytes of a file; then it becomes the old one, and the old one goes.
const FILE_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes from the end of the file that are read for the newest lines after a restart.
const TAIL_BYTES: u64 = 1024 * 1024;
/// Longest text of a line, in bytes; what is longer is cut.
const TEXT_BYTES: usize = 16 * 1024;
/// Most fields of a line.
const FIELDS: usize = 64;
/// Most bytes of all its fields, names and values.
const FIELD_BYTES: usize = 64 * 1024;
/// Most bytes of the lines in memory; usual ones have a tenth of it. The newest is kept however long it is.
const MEMORY_BYTES: usize = 4 * 1024 * 1024;

/// How bad it is, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Level {
    const ALL: [(Self, &str); 5] = [
        (Self::Error, "ERROR"),
        (Self::Warn, "WARN"),
        (Self::Info, "INFO"),
        (Self::Debug, "DEBUG"),
        (Self::Trace, "TRACE"),
    ];

    /// Reads a level, in any case.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, name)| name.eq_ignore_ascii_case(text));
        found.map(|(level, _)| *level)
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(level, _)| *level == self);
        found.map_or("INFO", |(_, name)| name)
    }
}

/// Who logged a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    Gateway,
    Sandbox,
}

impl Source {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Sandbox => "sandbox",
        }
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) at: Millis,
    pub(crate) level: Level,
    pub(crate) source: Source,
    pub(crate) target: String,
    pub(crate) message: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) fields: BTreeMap<String, String>,
}

impl Line {
    /// The line with bounded texts.
    pub(crate) fn bounded(mut self) -> Self {
        cut(&mut self.target);
        cut(&mut self.message);
        self.fields.values_mut().for_each(cut);
        while self.fields.len() > FIELDS || self.field_bytes() > FIELD_BYTES {
            self.fields.pop_last();
        }
        self
    }

    fn field_bytes(&self) -> usize {
        self.fields.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.target.len() + self.message.len() + self.field_bytes()
    }
}

fn cut(text: &mut String) {
    if text.len() > TEXT_BYTES {
        text.truncate(text.floor_char_boundary(TEXT_BYTES));
        text.push('…');
    }
}

/// Which lines are wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) since: Millis,
    pub(crate) sources: Vec<Source>,
    pub(crate) level: Option<Level>,
}

impl Wanted {
    /// Whether a line is.
    pub(crate) fn is(&self, line: &Line) -> bool {
        line.at >= self.since
            && (self.sources.is_empty() || self.sources.contains(&line.source))
            && self.level.is_none_or(|least| line.level <= least)
    }
}

/// One sandbox's log.
pub(crate) struct Log {
    path: PathBuf,
    kept: Mutex<Option<Kept>>,
}

#[derive(Default)]
struct Kept {
    lines: VecDeque<Arc<Line>>,
    bytes: usize,
    unwritten: u64,
}

impl Kept {
    /// Adds lines; the oldest make room for them.
    fn extend(&mut self, lines: impl IntoIterator<Item = Arc<Line>>) {
        for line in lines {
            self.bytes += line.bytes();
            self.lines.push_back(line);
        }
        while self.lines.len() > LINES || (self.bytes > MEMORY_BYTES && self.lines.len() > 1) {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= oldest.bytes();
        }
    }
}

impl Log {
    /// A log in a file, which is read when it is needed.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, kept: Mutex::default() }
    }

    /// Adds lines. What cannot be written to disk is in memory all the same, and the next line that can be written
    /// tells how many are missing.
    pub(crate) async fn append(&self, lines: Vec<Arc<Line>>) {
        let mut kept = self.kept.lock().await;
        let kept = kept.get_or_insert_with(|| self.load());
        let text = text(&lines, kept.unwritten);
        match write(&self.path, &text) {
            Ok(()) => kept.unwritten = 0,
            Err(error) => {
                if kept.unwritten == 0 {
                    let path = self.path.display();
                    tracing::warn!(%path, %error, "failed to write a sandbox's log");
                }
                kept.unwritten += lines.len() as u64;
            }
        }
        kept.extend(lines);
    }

    /// The newest lines that are wanted, oldest first, at most `most` of them, and how many lines there are in memory.
    pub(crate) async fn newest(&self, wanted: &Wanted, most: usize) -> (Vec<Arc<Line>>, usize) {
        let mut kept = self.kept.lock().await;
        let kept = kept.get_or_insert_with(|| self.load());
        let found = kept.lines.iter().rev().filter(|line| wanted.is(line)).take(most);
        let mut lines: Vec<_> = found.cloned().collect();
        lines.reverse();
        (lines, kept.lines.len())
    }

    fn load(&self) -> Kept {
        let lines = match tail(&self.path) {
            Ok(lines) => lines,
            Err(error) if error.kind() == io::ErrorKind::NotFound => VecDeque::new(),
            Err(error) => {
                let path = self.path.display();
                tracing::warn!(%path, %error, "failed to read a sandbox's log");
                VecDeque::new()
            }
        };
        let mut kept = Kept::default();
        kept.extend(lines);
        kept
    }
}

fn text(lines: &[Arc<Line>], unwritten: u64) -> Vec<u8> {
    let mut text = vec![];
    if unwritten > 0 {
        text.extend(format!("{{\"unwritten\":{unwritten}}}\n").into_bytes());
    }
    for line in lines {
        // A line of text and numbers can always be written.
        text.extend(serde_json::to_vec(line.as_ref()).unwrap_or_default());
        text.push(b'\n');
    }
    text
}

fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    if file.metadata()?.len() > FILE_BYTES {
        std::fs::rename(path, path.with_extension("old.jsonl"))?;
        file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    }
    file.write_all(text)
}

/// The newest lines of a file. What is no line, such as the cut one at the start, is passed over.
fn tail(path: &Path) -> io::Result<VecDeque<Arc<Line>>> {
    let mut file = File::open(path)?;
    let start = file.metadata()?.len().saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut lines = VecDeque::new();
    for text in BufReader::new(file.take(2 * TAIL_BYTES)).split(b'\n') {
        if let Ok(line) = serde_json::from_slice::<Line>(&text?) {
            lines.push_back(Arc::new(line));
            if lines.len() > LINES {
                lines.pop_front();
            }
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: i64, level: Level, source: Source) -> Arc<Line> {
        let message = format!("line {number}");
        let (target, fields) = ("test".into(), BTreeMap::new());
        Arc::new(Line { at: number, level, source, target, message, fields })
    }

    #[tokio::test]
    async fn the_newest_lines_survive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.jsonl");
        let log = Log::new(path.clone());
        for number in 0..3000 {
            log.append(vec![line(number, Level::Info, Source::Sandbox)]).await;
        }
        for log in [log, Log::new(path)] {
            let (lines, total) = log.newest(&Wanted::default(), usize::MAX).await;
            assert_eq!((lines.len(), total), (LINES, LINES));
            assert_eq!((lines[0].at, lines[LINES - 1].at), (1000, 2999));
        }
    }

    #[tokio::test]
    async fn only_what_is_wanted_is_shown() {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::new(dir.path().join("log.jsonl"));
        let all = [
            line(1, Level::Error, Source::Gateway),
            line(2, Level::Debug, Source::Sandbox),
            line(3, Level::Warn, Source::Sandbox),
        ];
        log.append(all.to_vec()).await;
        let shown = async |since, sources: &[Source], level, most| {
            let wanted = Wanted { since, sources: sources.to_vec(), level };
            let (lines, _) = log.newest(&wanted, most).await;
            lines.iter().map(|line| line.at).collect::<Vec<_>>()
        };
        assert_eq!(shown(0, &[], None, 9).await, [1, 2, 3]);
        assert_eq!(shown(0, &[], None, 1).await, [3]);
        assert_eq!(shown(2, &[], None, 9).await, [2, 3]);
        assert_eq!(shown(0, &[Source::Gateway], None, 9).await, [1]);
        assert_eq!(shown(0, &[], Some(Level::Warn), 9).await, [1, 3]);
    }

    #[tokio::test]
    async fn lines_that_cannot_be_written_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("later/log.jsonl");
        let log = Log::new(path.clone());
        log.append(vec![line(1, Level::Info, Source::Gateway)]).await;
        std::fs::create_dir(dir.path().join("later")).unwrap();
        log.append(vec![line(2, Level::Info, Source::Gateway)]).await;
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.starts_with("{\"unwritten\":1}\n") && text.contains("line 2"), "{text}");
        assert_eq!(log.newest(&Wanted::default(), 9).await.1, 2);
    }

    #[test]
    fn a_line_is_bounded() {
        let mut long = Arc::unwrap_or_clone(line(1, Level::Info, Source::Sandbox));
        long.message = "ä".repeat(TEXT_BYTES);
        long.fields = (0..100).map(|n| (format!("{n:03}"), "x".repeat(TEXT_BYTES + 1))).collect();
        let bounded = long.bounded();
        assert!(bounded.message.len() <= TEXT_BYTES + 3 && !bounded.fields.is_empty());
        assert!(bounded.fields.values().all(|value| value.len() <= TEXT_BYTES + 3));
        assert!(bounded.field_bytes() <= FIELD_BYTES);
        let mut named = Arc::unwrap_or_clone(line(1, Level::Info, Source::Sandbox));
        named.fields = [("x".repeat(FIELD_BYTES + 1), String::new())].into();
        assert!(named.bounded().fields.is_empty());
    }

    #[tokio::test]
    async fn long_lines_cannot_fill_the_memory() {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::new(dir.path().join("log.jsonl"));
        let mut long = Arc::unwrap_or_clone(line(1, Level::Info, Source::Sandbox));
        long.message = "x".repeat(TEXT_BYTES);
        let long = Arc::new(long);
        for _ in 0..LINES {
            log.append(vec![Arc::clone(&long)]).await;
        }
        let (lines, total) = log.newest(&Wanted::default(), usize::MAX).await;
        assert!(lines.len() == total && total <= MEMORY_BYTES / TEXT_BYTES && total > 1);
    }
}
