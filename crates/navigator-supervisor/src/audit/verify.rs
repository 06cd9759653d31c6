//! Checks that audit lines are as they were written: none altered, missing, moved or added.
//!
//! Each line proves the one before it. So the chain proves everything before a line whose hash is known from
//! elsewhere, and nothing proves the end of a file but such a hash.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::chain::{Digest, Link};
use super::history::{History, ReadError};
use super::line::{Event, Line};
use super::reader::RawLine;

/// Findings, notes and spans that are listed one by one; a file that is no audit file at all has as many as lines.
const LISTED: usize = 100;

/// Where a line stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: u64,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "problem", rename_all = "snake_case")]
pub enum Problem {
    /// The line after it holds another hash of it.
    Altered,
    /// Lines that stood before this one are gone.
    Missing {
        /// How many.
        count: u64,
    },
    /// The line belongs to another place, or stands here a second time.
    Misplaced {
        /// Its number in the chain.
        seq: u64,
        /// The number that belongs here.
        expected: u64,
    },
    /// The line holds the right hash and a wrong number.
    Numbered {
        /// Its number.
        seq: u64,
        /// The number that belongs here.
        expected: u64,
    },
    /// It is no audit line and no line after it holds its hash.
    Unproven,
    /// The last line has no end: its writing was cut off and nothing was written since.
    TornEnd,
    /// The lines before the first one are gone.
    MissingBeginning {
        /// Number of the first line that is there.
        seq: u64,
        /// The file that should be there, if the line names one.
        from: Option<String>,
    },
    /// No line has a chain: the file was written by a version without one, or is no audit file.
    NoChain,
}

/// A problem and its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// What.
    #[serde(flatten)]
    pub problem: Problem,
}

/// Something to know that is no fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "note", rename_all = "snake_case")]
pub enum Note {
    /// The first lines were written by a version without a chain; only the last of them is proven.
    Unchained {
        /// How many.
        lines: u64,
    },
    /// A line that cannot be read (cut off by a crash, or another program's) is held by the line after it.
    Sealed {
        /// Its place.
        place: Place,
    },
    /// Events that this version does not know; they are verified like all others.
    Unknown {
        /// How many.
        lines: u64,
    },
    /// The lines before the first one are in a file that was not read, or that was removed when there were too many.
    Continues {
        /// Name of that file.
        from: String,
    },
}

/// Lines that hold together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// The first.
    pub first: Place,
    /// The last.
    pub last: Place,
}

/// What a check found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Whether nothing is wrong, and the expected hash was found if there was one.
    pub intact: bool,
    /// Lines that were read.
    pub lines: u64,
    /// Number of the last line in the chain.
    pub last_seq: Option<u64>,
    /// Hash of the last line: keep it elsewhere to prove later that the end is still there.
    pub last_hash: Option<Digest>,
    /// What is wrong, in the order of the lines.
    pub findings: Vec<Finding>,
    /// Findings beyond those that are listed.
    pub more_findings: u64,
    /// Worth knowing.
    pub notes: Vec<Note>,
    /// Notes beyond those that are listed.
    pub more_notes: u64,
    /// Runs of lines that hold together, the first ones and the last; only the last one reaches the last hash.
    pub spans: Vec<Span>,
    /// The hash that was asked for, and the line that has it.
    pub expected: Option<Expected>,
}

/// A hash that was kept elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Expected {
    /// The hash.
    pub hash: Digest,
    /// The line that has it; everything up to there is what it was.
    pub found: Option<Place>,
    /// Whether lines were altered or lost between the beginning and that line.
    pub whole: bool,
}

/// Reads all lines and checks them.
pub fn verify(history: &mut History, expect: Option<Digest>) -> Result<Report, ReadError> {
    let mut verifier = Verifier::new(expect);
    while let Some((file, line)) = history.next_line()? {
        verifier.line(file, &line);
    }
    Ok(verifier.finish())
}

/// Checks lines one after the other.
#[derive(Debug, Default)]
pub struct Verifier {
    report: Report,
    before: Option<Before>,
    span: Option<Span>,
    unchained: u64,
    unknown: u64,
    removed: BTreeSet<String>,
    begins: Option<(Place, u64, Option<String>)>,
}

/// The line before the one that is looked at.
#[derive(Debug)]
struct Before {
    place: Place,
    digest: Digest,
    /// Number of the next line; `None` before the chain begins.
    next: Option<u64>,
    /// Whether it has a link of its own and so holds the line before it.
    linked: bool,
    /// Whether it is an audit line from beginning to end.
    readable: bool,
    ended: bool,
}

impl Verifier {
    /// A verifier that also looks for a hash that was kept elsewhere.
    #[must_use]
    pub fn new(expect: Option<Digest>) -> Self {
        let expected = expect.map(|hash| Expected { hash, found: None, whole: false });
        Self { report: Report { expected, ..Report::default() }, ..Self::default() }
    }

    /// Looks at the next line.
    pub fn line(&mut self, file: &Path, line: &RawLine) {
        let place = Place { file: file.to_owned(), line: line.number };
        self.report.lines += 1;
        self.report.last_hash = Some(line.digest);
        let link = Link::parse(&line.text);
        let (next, readable) = match link {
            Some(link) => {
                self.linked(&place, link);
                self.report.last_seq = Some(link.seq);
                (Some(link.seq.saturating_add(1)), self.event(&place, line))
            }
            None => (self.unlinked(), false),
        };
        match &mut self.span {
            Some(span) => span.last = place.clone(),
            None => self.span = Some(Span { first: place.clone(), last: place.clone() }),
        }
        if let Some(expected) = &mut self.report.expected
            && expected.hash == line.digest
        {
            expected.found = Some(place.clone());
            expected.whole = self.report.findings.is_empty();
        }
        let (linked, ended) = (link.is_some(), line.ended);
        self.before = Some(Before { place, digest: line.digest, next, linked, readable, ended });
    }

    /// The report, after the last line.
    #[must_use]
    pub fn finish(mut self) -> Report {
        self.end();
        self.beginning();
        if self.unchained > 0 && self.report.last_seq.is_some() {
            self.note(Note::Unchained { lines: self.unchained });
        }
        if self.unknown > 0 {
            self.note(Note::Unknown { lines: self.unknown });
        }
        self.report.spans.extend(self.span.take());
        let found = self.report.expected.as_ref().is_none_or(|e| e.found.is_some() && e.whole);
        self.report.intact = self.report.findings.is_empty() && found;
        self.report
    }

    /// A line with a link: does it hold the line before it?
    fn linked(&mut self, place: &Place, link: Link) {
        let Some(before) = self.before.take() else {
            if (link.seq, link.prev) != (1, None) {
                self.begins = Some((place.clone(), link.seq, None));
            }
            return;
        };
        if link.prev == Some(before.digest) {
            match before.next {
                Some(expected) if expected != link.seq => {
                    self.broken(place, Problem::Numbered { seq: link.seq, expected });
                }
                Some(_) if !before.readable => self.note(Note::Sealed { place: before.place }),
                Some(_) | None => {}
            }
            return;
        }
        let (at, problem) = match before.next {
            Some(expected) if link.seq > expected => {
                (place, Problem::Missing { count: link.seq - expected })
            }
            Some(expected) if link.seq < expected => {
                (place, Problem::Misplaced { seq: link.seq, expected })
            }
            Some(_) | None => (&before.place, Problem::Altered),
        };
        self.broken(at, problem);
        // What holds together before and after a gap is told apart.
        let span = self.span.take().filter(|_| self.report.spans.len() < LISTED);
        self.report.spans.extend(span);
    }

    /// A line without a link. Returns the number of the next line.
    fn unlinked(&mut self) -> Option<u64> {
        let before = self.before.take();
        let Some(next) = before.as_ref().and_then(|before| before.next) else {
            self.unchained += 1;
            return None;
        };
        if let Some(before) = before.filter(|before| !before.linked) {
            self.broken(&before.place, Problem::Unproven);
        }
        Some(next.saturating_add(1))
    }

    /// Looks at what a line says. Its place in the chain is proven whatever that is.
    fn event(&mut self, place: &Place, line: &RawLine) -> bool {
        let Some(Ok(line)) = line.whole().map(Line::parse) else { return false };
        match line.event {
            Event::Continued(event) => {
                self.removed.extend(event.removed);
                if let Some((first, _, from)) = &mut self.begins
                    && first == place
                {
                    *from = Some(event.from);
                }
            }
            Event::Other(_) => self.unknown += 1,
            Event::Start(_)
            | Event::Policy(_)
            | Event::Decision(_)
            | Event::End(_)
            | Event::Rotated(_) => {}
        }
        true
    }

    fn end(&mut self) {
        let Some(before) = self.before.take() else { return };
        if before.next.is_none() {
            self.broken(&before.place, Problem::NoChain);
        } else if !before.ended {
            self.broken(&before.place, Problem::TornEnd);
        } else if !before.linked {
            self.broken(&before.place, Problem::Unproven);
        }
    }

    /// Lines before the first one may be elsewhere for a good reason, which the chain itself must tell.
    fn beginning(&mut self) {
        let Some((place, seq, from)) = self.begins.take() else { return };
        let known = from.as_ref().filter(|from| {
            self.removed.contains(*from) || place.file.with_file_name(from).exists()
        });
        match known {
            Some(from) => self.note(Note::Continues { from: from.clone() }),
            None => {
                let finding = Finding { place, problem: Problem::MissingBeginning { seq, from } };
                self.report.findings.insert(0, finding);
            }
        }
    }

    fn note(&mut self, note: Note) {
        if self.report.notes.len() < LISTED {
            self.report.notes.push(note);
        } else {
            self.report.more_notes += 1;
        }
    }

    fn broken(&mut self, place: &Place, problem: Problem) {
        if self.report.findings.len() < LISTED {
            self.report.findings.push(Finding { place: place.clone(), problem });
        } else {
            self.report.more_findings += 1;
        }
    }
}

#[cfg(test)]
mod tests;
