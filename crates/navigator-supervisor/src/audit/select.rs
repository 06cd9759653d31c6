//! Which lines somebody wants to see.

use jiff::Timestamp;
use navigator_egress::{AuditDecision, AuditRecord};

use super::history::{History, ReadError};
use super::line::{Event, Line};
use super::reader::RawLine;

/// Conditions that a line must meet, all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Name or identifier of the sandbox.
    pub sandbox: Option<String>,
    /// Not before this moment.
    pub since: Option<Timestamp>,
    /// Not after this moment.
    pub until: Option<Timestamp>,
    /// One of these decisions; empty for all.
    pub decisions: Vec<AuditDecision>,
    /// This host, or one below it.
    pub host: Option<String>,
    /// This executable: its path or its file name.
    pub program: Option<String>,
    /// This kind of reason.
    pub reason: Option<String>,
}

/// A line that was looked for.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it says.
    pub line: Line,
    /// Its bytes.
    pub text: Vec<u8>,
}

impl Entry {
    /// Reads a line; `None` if it is no audit record.
    #[must_use]
    pub fn read(raw: RawLine) -> Option<Self> {
        let line = Line::parse(raw.whole()?).ok()?;
        Some(Self { line, text: raw.text })
    }
}

impl Filter {
    /// The next line that meets the conditions. What is no audit line is passed over and counted.
    pub fn next(
        &self,
        history: &mut History,
        unread: &mut u64,
    ) -> Result<Option<Entry>, ReadError> {
        while let Some((_, raw)) = history.next_line()? {
            match Entry::read(raw) {
                Some(entry) if self.accepts(&entry.line.event) => return Ok(Some(entry)),
                Some(_) => {}
                None => *unread += 1,
            }
        }
        Ok(None)
    }

    /// Whether an event meets the conditions.
    #[must_use]
    pub fn accepts(&self, event: &Event) -> bool {
        let time = event.time();
        let in_time = self.since.is_none_or(|since| time.is_some_and(|time| time >= since))
            && self.until.is_none_or(|until| time.is_some_and(|time| time <= until));
        let in_sandbox = self.sandbox.as_ref().is_none_or(|wanted| {
            event.sandbox().is_some_and(|(id, name)| wanted == id || wanted == name)
        });
        in_time && in_sandbox && self.accepts_decision(event)
    }

    fn accepts_decision(&self, event: &Event) -> bool {
        let any = self.decisions.is_empty()
            && self.host.is_none()
            && self.program.is_none()
            && self.reason.is_none();
        match event {
            Event::Decision(record) => self.accepts_record(record),
            Event::Start(_)
            | Event::Policy(_)
            | Event::End(_)
            | Event::Rotated(_)
            | Event::Continued(_)
            | Event::Other(_) => any,
        }
    }

    fn accepts_record(&self, record: &AuditRecord) -> bool {
        (self.decisions.is_empty() || self.decisions.contains(&record.decision))
            && self.host.as_ref().is_none_or(|host| is_below(&record.host, host))
            && self.reason.as_ref().is_none_or(|reason| record.reason.as_ref() == Some(reason))
            && self.program.as_ref().is_none_or(|wanted| {
                let executable = record.program.as_ref().map(|program| &*program.executable);
                executable
                    .is_some_and(|path| path == wanted || path.rsplit('/').next() == Some(wanted))
            })
    }
}

fn is_below(host: &str, wanted: &str) -> bool {
    let (host, wanted) = (host.to_ascii_lowercase(), wanted.to_ascii_lowercase());
    host.strip_suffix(&*wanted).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_condition_lets_the_right_lines_through() {
        let events = crate::audit::samples::events();
        let count = |filter: Filter| events.iter().filter(|event| filter.accepts(event)).count();
        let all = Filter::default();
        assert_eq!(count(all.clone()), events.len());
        let decisions = events.iter().filter(|event| matches!(event, Event::Decision(_))).count();
        let denied = Filter { decisions: vec![AuditDecision::Deny], ..all.clone() };
        assert!((1..decisions).contains(&count(denied)));
        assert_eq!(count(Filter { sandbox: Some("nobody".into()), ..all.clone() }), 0);
        assert!(count(Filter { sandbox: Some("agent".into()), ..all.clone() }) > decisions);
        assert_eq!(
            count(Filter { program: Some("python3.11".into()), ..all.clone() }),
            count(Filter { program: Some("/usr/bin/python3.11".into()), ..all.clone() })
        );
        assert_eq!(count(Filter { program: Some("ython3.11".into()), ..all.clone() }), 0);
        assert!(count(Filter { reason: Some("fronting".into()), ..all.clone() }) == 1);
        let late: Timestamp = "2100-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(count(Filter { since: Some(late), ..all.clone() }), 0);
        assert_eq!(count(Filter { until: Some(late), ..all }), events.len());
    }

    #[test]
    fn a_host_means_itself_and_what_is_below_it() {
        assert!(is_below("pypi.org", "pypi.org") && is_below("a.PyPI.org", "pypi.org"));
        assert!(!is_below("xpypi.org", "pypi.org") && !is_below("org", "pypi.org"));
    }
}
