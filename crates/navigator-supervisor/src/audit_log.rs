//! Where decisions are kept: one JSON line each in a file, one log line, and the distinct denials of this run.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use navigator_egress::{AuditDecision, AuditRecord, AuditSink};
use serde::Serialize;

use crate::audit::{ChainedFile, Event, redact};
use crate::logs::{DECISIONS, Lines};

/// Distinct denials that are remembered for the summary; the file has them all.
const REMEMBERED: usize = 256;

/// The audit file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("failed to write the audit file {path}; name another with --audit FILE")]
pub struct AuditError {
    path: PathBuf,
    source: io::Error,
}

/// A denial of this run, once for all its repetitions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DistinctDenial {
    /// Executable of the program, or why it is unknown.
    pub program: String,
    /// Host that it wanted.
    pub host: String,
    /// Port that it wanted.
    pub port: u16,
    /// Method and path that it asked for, when it could ask.
    pub request: Option<String>,
    /// The kind of reason.
    pub reason: String,
    /// What did not match, in a sentence.
    pub detail: String,
    /// The smallest change of the policy that would allow it.
    pub suggestion: Option<String>,
    /// The command that makes that change.
    pub how: Option<String>,
    /// How often it happened.
    pub count: u64,
}

/// The audit of one sandbox.
pub(crate) struct AuditLog {
    state: Mutex<State>,
    /// Where each decision is told as well.
    lines: Option<Arc<Lines>>,
}

struct State {
    file: ChainedFile,
    denials: Vec<DistinctDenial>,
    lost: u64,
}

impl AuditLog {
    /// Opens the file for appending and makes its directory, both for this user alone.
    pub(crate) fn open(path: &Path) -> Result<Self, AuditError> {
        let file = ChainedFile::open(path)
            .map_err(|source| AuditError { path: path.to_owned(), source })?;
        let state = State { file, denials: vec![], lost: 0 };
        Ok(Self { state: Mutex::new(state), lines: None })
    }

    /// Tells each decision to somebody else as well.
    pub(crate) fn telling(self, lines: Option<Arc<Lines>>) -> Self {
        Self { lines, ..self }
    }

    /// Appends the first line. When even that cannot be written, nothing should be started.
    pub(crate) fn begin(&self, event: &Event) -> Result<(), AuditError> {
        let mut state = self.lock();
        let path = state.file.path().to_owned();
        state.file.append(event).map_err(|source| AuditError { path, source })
    }

    /// Appends a line. A line that cannot be written is counted and logged; enforcement goes on.
    pub(crate) fn append(&self, event: &Event) {
        self.lock().append(event);
    }

    /// Number of lines that could not be written.
    pub(crate) fn lost(&self) -> u64 {
        self.lock().lost
    }

    /// The distinct denials so far, in the order of their first appearance.
    pub(crate) fn denials(&self) -> Vec<DistinctDenial> {
        self.lock().denials.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // A panic elsewhere does not make the records worse.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn append(&mut self, event: &Event) {
        if let Err(error) = self.file.append(event) {
            if self.lost == 0 {
                let path = self.file.path().display();
                tracing::error!(%path, %error, "failed to write the audit file");
            }
            self.lost += 1;
        }
    }

    fn remember(&mut self, record: &AuditRecord) {
        let program = record.program.as_ref().map_or("unknown program", |known| &known.executable);
        let reason = record.reason.as_deref().unwrap_or("policy");
        let request =
            record.request.as_ref().map(|request| format!("{} {}", request.method, request.path));
        let same = |denial: &&mut DistinctDenial| {
            denial.program == program
                && denial.host == record.host
                && denial.port == record.port
                && denial.reason == reason
                && denial.request == request
        };
        if let Some(denial) = self.denials.iter_mut().find(same) {
            denial.count += 1;
        } else if self.denials.len() < REMEMBERED {
            self.denials.push(DistinctDenial {
                program: program.to_owned(),
                host: record.host.clone(),
                port: record.port,
                request,
                reason: reason.to_owned(),
                detail: record.detail.clone(),
                suggestion: record.suggestion.clone(),
                how: record.how.clone(),
                count: 1,
            });
        }
    }
}

impl AuditSink for AuditLog {
    fn record(&self, mut record: AuditRecord) {
        redact(&mut record);
        if let Some(lines) = &self.lines {
            lines.decision(&record);
        }
        let AuditRecord { host, port, detail, .. } = &record;
        let mut state = self.lock();
        match record.decision {
            AuditDecision::Allow => {
                tracing::info!(target: DECISIONS, host, port, detail, "allowed")
            }
            AuditDecision::WouldDeny => {
                tracing::info!(target: DECISIONS, host, port, detail, "would be denied")
            }
            AuditDecision::Deny | AuditDecision::Revoke => {
                tracing::info!(target: DECISIONS, host, port, detail, "denied");
                state.remember(&record);
            }
        }
        state.append(&Event::Decision(Box::new(record)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::samples;

    #[test]
    fn a_secret_reaches_neither_the_file_nor_the_summary() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        let log = AuditLog::open(&path).unwrap();
        let token = ["ghp", "_0123456789abcdefghijABCDEFGHIJ012345"].concat();
        let mut record = samples::request();
        record.detail = format!("no rule of policy `p` allows DELETE /x/{token}");
        record.request.as_mut().unwrap().path = format!("/x/{token}");
        log.record(record);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("/x/[redacted]") && !text.contains(&token), "{text}");
        assert_eq!(log.denials()[0].detail, "no rule of policy `p` allows DELETE /x/[redacted]");
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        let log = AuditLog::open(Path::new("/dev/full")).unwrap();
        assert!(log.begin(&samples::events().remove(0)).is_err());
        log.record(samples::denied());
        log.record(samples::denied());
        assert_eq!((log.lost(), log.denials()[0].count), (2, 2));
    }
}
