//! What a line says: the events of an audit file, written and read by the same types.

use jiff::Timestamp;
use navigator_egress::AuditRecord;
use navigator_isolation::{LayerStatus, SkippedPath};
use serde::{Deserialize, Serialize};

use super::chain::Digest;

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A sandbox was started.
    Start(Start),
    /// Something was allowed or denied.
    Decision(Box<AuditRecord>),
    /// The policy of a running sandbox was to change.
    Policy(PolicyChange),
    /// A sandbox ended.
    End(End),
    /// The file is full; its chain goes on in a new file of the same name.
    Rotated(Rotated),
    /// First line of a file that goes on with the chain of another.
    Continued(Continued),
    /// An event that this version does not know.
    #[serde(untagged)]
    Other(Other),
}

/// A sandbox was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// When.
    pub time: Timestamp,
    /// Identifier of the sandbox.
    pub sandbox_id: String,
    /// Name of the sandbox.
    pub sandbox_name: String,
    /// Hash of the policy.
    pub policy_hash: String,
    /// The program, without its arguments: those may hold secrets.
    pub command: String,
    /// How well each layer of isolation is in force.
    pub layers: Vec<LayerStatus>,
    /// The limits, in words.
    pub limits: Vec<String>,
    /// Paths of the policy that the root filesystem does not have.
    pub skipped: Vec<SkippedPath>,
}

/// The policy of a running sandbox was to change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyChange {
    /// When.
    pub time: Timestamp,
    /// Identifier of the sandbox.
    pub sandbox_id: String,
    /// Name of the sandbox.
    pub sandbox_name: String,
    /// Hash of the policy that is in force from now on, or was already.
    pub policy_hash: String,
    /// Why the change was refused; null when it is in force.
    pub refused: Option<String>,
}

/// A sandbox ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// When.
    pub time: Timestamp,
    /// Identifier of the sandbox.
    pub sandbox_id: String,
    /// Name of the sandbox.
    #[serde(default)]
    pub sandbox_name: String,
    /// How it ended, in words.
    pub outcome: String,
    /// The command's exit code, when it exited by itself.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// Records that could not be written.
    pub lost: u64,
}

/// The file is full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotated {
    /// When.
    pub time: Timestamp,
    /// The name that this file has from now on.
    pub to: String,
}

/// The chain of another file goes on here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Continued {
    /// When.
    pub time: Timestamp,
    /// Name of the file with the lines before.
    pub from: String,
    /// Names of older files that were removed because there were too many.
    pub removed: Vec<String>,
}

/// What can be read of an event that this version does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Other {
    /// Its name.
    pub event: String,
    /// When, if it says so in the usual way.
    pub time: Option<Timestamp>,
    /// Identifier of the sandbox, if it names one.
    pub sandbox_id: Option<String>,
}

/// A line as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Number in the chain; `None` in files of versions without one.
    pub seq: Option<u64>,
    /// Hash of the line before; `None` in the first line of a chain, too.
    pub prev: Option<Digest>,
    /// What happened.
    pub event: Event,
}

/// Bytes that are no audit line.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the line as an audit record")]
pub struct LineError(#[from] serde_json::Error);

impl Line {
    /// Reads the bytes of one line, without its newline.
    pub fn parse(bytes: &[u8]) -> Result<Self, LineError> {
        let head: Head = serde_json::from_slice(bytes)?;
        Ok(Self { seq: head.seq, prev: head.prev, event: event(&head.event, bytes)? })
    }
}

#[derive(Deserialize)]
struct Head {
    seq: Option<u64>,
    prev: Option<Digest>,
    event: String,
}

fn event(name: &str, bytes: &[u8]) -> Result<Event, serde_json::Error> {
    let known = match name {
        "start" => serde_json::from_slice(bytes).map(Event::Start),
        "policy" => serde_json::from_slice(bytes).map(Event::Policy),
        "decision" => serde_json::from_slice(bytes).map(Event::Decision),
        "end" => serde_json::from_slice(bytes).map(Event::End),
        "rotated" => serde_json::from_slice(bytes).map(Event::Rotated),
        "continued" => serde_json::from_slice(bytes).map(Event::Continued),
        _ => return other(bytes),
    };
    // A known name with unknown content is an event of a newer version as well.
    known.or_else(|_| other(bytes))
}

fn other(bytes: &[u8]) -> Result<Event, serde_json::Error> {
    #[derive(Deserialize)]
    struct Loose {
        event: String,
        time: Option<serde_json::Value>,
        sandbox_id: Option<serde_json::Value>,
    }
    let Loose { event, time, sandbox_id } = serde_json::from_slice(bytes)?;
    let text = |value: Option<serde_json::Value>| value?.as_str().map(str::to_owned);
    let time = text(time).and_then(|time| time.parse().ok());
    Ok(Event::Other(Other { event, time, sandbox_id: text(sandbox_id) }))
}

impl Event {
    /// When it happened, if that is known.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        match self {
            Self::Start(Start { time, .. })
            | Self::Policy(PolicyChange { time, .. })
            | Self::End(End { time, .. })
            | Self::Rotated(Rotated { time, .. })
            | Self::Continued(Continued { time, .. }) => Some(*time),
            Self::Decision(record) => Some(record.time),
            Self::Other(other) => other.time,
        }
    }

    /// Identifier and name of the sandbox that it is about.
    #[must_use]
    pub fn sandbox(&self) -> Option<(&str, &str)> {
        match self {
            Self::Start(start) => Some((&start.sandbox_id, &start.sandbox_name)),
            Self::Decision(record) => Some((&record.sandbox_id, &record.sandbox_name)),
            Self::Policy(change) => Some((&change.sandbox_id, &change.sandbox_name)),
            Self::End(end) => Some((&end.sandbox_id, &end.sandbox_name)),
            Self::Rotated(_) | Self::Continued(_) => None,
            Self::Other(other) => other.sandbox_id.as_deref().map(|id| (id, "")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for event in crate::audit::samples::events() {
            let bytes = serde_json::to_vec(&event).unwrap();
            let line = Line::parse(&bytes).unwrap();
            assert_eq!(line, Line { seq: None, prev: None, event });
        }
    }

    #[test]
    fn events_of_a_newer_version_are_kept_as_unknown() {
        let line = br#"{"seq":4,"prev":null,"event":"rewound","time":"2026-01-02T03:04:05Z","sandbox_id":"s","x":[1]}"#;
        let line = Line::parse(line).unwrap();
        assert_eq!(line.seq, Some(4));
        let Event::Other(other) = line.event else { panic!("{line:?}") };
        assert_eq!((&*other.event, other.sandbox_id.as_deref()), ("rewound", Some("s")));
        assert!(other.time.is_some());
        let changed = br#"{"event":"end","time":7,"sandbox_id":["new"]}"#;
        assert!(matches!(Line::parse(changed).unwrap().event, Event::Other(_)));
    }

    #[test]
    fn records_of_versions_without_chain_ids_and_requests_are_read() {
        let old = br#"{"event":"decision","time":"2026-01-02T03:04:05Z","sandbox_id":"s","sandbox_name":"n","adapter":"dns","decision":"deny","policy":null,"rule":null,"reason":"host","detail":"d","host":"h","port":53,"addresses":[],"program":null,"how":null,"suggestion":null}"#;
        let Event::Decision(record) = Line::parse(old).unwrap().event else { panic!() };
        assert!(record.id.is_nil() && record.request.is_none());
    }

    #[test]
    fn anything_else_is_an_error() {
        let deep = "[".repeat(100_000);
        for junk in
            ["", "null", "[]", "{}", "\0\u{1}", "{\"event\":3}", "{\"event\":\"end\"", &deep]
        {
            assert!(Line::parse(junk.as_bytes()).is_err(), "{junk:.20}");
        }
        assert!(Line::parse(&[0xff, 0xfe, 0x00]).is_err());
    }
}
