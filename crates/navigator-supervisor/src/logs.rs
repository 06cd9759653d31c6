//! Lines for the gateway: what was decided, what happened to the sandbox, what the supervisor warns of.
//!
//! They wait in a bounded buffer until a connection to the gateway has room for them. What has no room is counted.

mod layer;
mod line;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use navigator_egress::AuditRecord;
use navigator_proto::session::v1::LogBatch;
use navigator_proto::v1::SandboxLogLine;
use tracing::Level;

pub(crate) use layer::LinesLayer;

/// Target of the log lines that tell decisions; each is told as a line of its own already.
pub(crate) const DECISIONS: &str = "navigator_supervisor::decision";
/// Lines that wait: some minutes of a busy sandbox.
const LINES: usize = 10_000;
/// Bytes that wait, so that long lines cannot fill the memory: an average of 400 for each line.
const BYTES: usize = 4 * 1024 * 1024;
/// Lines sent at once, small enough for one message.
const BATCH: usize = 256;

/// The buffer. Lines are taken out by one connection at a time.
pub(crate) struct Lines {
    level: Level,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    lines: VecDeque<SandboxLogLine>,
    bytes: usize,
    lost: u64,
    waker: Option<Waker>,
}

impl Lines {
    /// An empty buffer for lines of this level and above.
    pub(crate) fn new(level: Level) -> Self {
        Self { level, state: Mutex::default() }
    }

    /// The level from which on lines are kept.
    pub(crate) fn level(&self) -> Level {
        self.level
    }

    /// Tells a decision, which holds no secrets any more.
    pub(crate) fn decision(&self, record: &AuditRecord) {
        let (level, line) = line::decision(record);
        if level <= self.level {
            self.push(line);
        }
    }

    /// Adds a line; the oldest make room for it.
    pub(crate) fn push(&self, line: SandboxLogLine) {
        let mut state = self.lock();
        state.bytes += line::size(&line);
        state.lines.push_back(line);
        while state.lines.len() > LINES || state.bytes > BYTES {
            let Some(oldest) = state.lines.pop_front() else { break };
            state.bytes -= line::size(&oldest);
            state.lost += 1;
        }
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    /// Takes the next lines, or has the task woken when there are some.
    pub(crate) fn poll_batch(&self, context: &Context<'_>) -> Poll<LogBatch> {
        let mut state = self.lock();
        if state.lines.is_empty() && state.lost == 0 {
            state.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        let taken = state.lines.len().min(BATCH);
        let lines: Vec<_> = state.lines.drain(..taken).collect();
        state.bytes -= lines.iter().map(line::size).sum::<usize>();
        if state.lines.is_empty() {
            // After a long time without a gateway this would hold the most that it ever held.
            state.lines = VecDeque::new();
        }
        Poll::Ready(LogBatch { lines, lost: std::mem::take(&mut state.lost) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere does not make the lines worse.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: &str) -> SandboxLogLine {
        SandboxLogLine { message: message.into(), ..SandboxLogLine::default() }
    }

    fn batch(lines: &Lines) -> Option<LogBatch> {
        match lines.poll_batch(&Context::from_waker(Waker::noop())) {
            Poll::Ready(batch) => Some(batch),
            Poll::Pending => None,
        }
    }

    #[test]
    fn the_oldest_lines_make_room_and_are_counted_once() {
        let lines = Lines::new(Level::INFO);
        for number in 0..LINES + 3 {
            lines.push(line(&number.to_string()));
        }
        let first = batch(&lines).unwrap();
        assert_eq!((first.lost, first.lines[0].message.as_str()), (3, "3"));
        let mut rest = first.lines.len();
        while let Some(next) = batch(&lines) {
            assert_eq!(next.lost, 0);
            rest += next.lines.len();
        }
        assert_eq!(rest, LINES);
    }

    #[test]
    fn long_lines_cannot_fill_the_memory() {
        let lines = Lines::new(Level::INFO);
        let long = "x".repeat(BYTES / 4);
        (0..9).for_each(|_| lines.push(line(&long)));
        let kept = batch(&lines).unwrap();
        assert!(kept.lines.len() < 4 && kept.lost + kept.lines.len() as u64 == 9);
    }

    #[test]
    fn what_is_below_the_level_is_not_kept() {
        let lines = Lines::new(Level::WARN);
        let mut allowed = crate::audit::samples::denied();
        allowed.decision = navigator_egress::AuditDecision::Allow;
        lines.decision(&allowed);
        assert!(batch(&lines).is_none());
        lines.decision(&crate::audit::samples::denied());
        assert_eq!(batch(&lines).unwrap().lines[0].level, "WARN");
    }
}
