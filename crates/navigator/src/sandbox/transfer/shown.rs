//! How a transfer is going, on one line, and what it did.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use navigator_transfer::{Event, Progress as Listener, Report, Skipped};

use crate::output::size;
use crate::sandbox::progress::{Progress, Visibility};

/// How often the line changes.
const OFTEN: Duration = Duration::from_millis(100);
/// Characters of the bar.
const BAR: u64 = 20;

/// A transfer as it is shown.
pub struct Shown(Mutex<State>);

struct State {
    line: Progress,
    begun: Instant,
    told: Option<Instant>,
    files: (u64, u64),
    bytes: (u64, u64),
}

impl Shown {
    /// Nothing is shown yet.
    pub fn new(visibility: Visibility) -> Self {
        Self(Mutex::new(State {
            line: Progress::new(visibility),
            begun: Instant::now(),
            told: None,
            files: (0, 0),
            bytes: (0, 0),
        }))
    }

    /// What was done, in a few words.
    pub fn summary(&self, report: &Report) -> String {
        let seconds = self.lock().begun.elapsed().as_secs_f64();
        let Report { files, bytes, deleted, .. } = report;
        let plural = if *files == 1 { "" } else { "s" };
        let deleted = if *deleted == 0 { String::new() } else { format!(", {deleted} deleted") };
        format!("{files} file{plural}, {} in {seconds:.1} s{deleted}", size(*bytes))
    }

    /// Takes the line back.
    pub fn clear(&self) {
        let mut state = self.lock();
        state.line.clear();
        (state.begun, state.told) = (Instant::now(), None);
        (state.files, state.bytes) = ((0, 0), (0, 0));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Numbers stay numbers, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener for Shown {
    fn event(&self, event: Event<'_>) {
        let mut state = self.lock();
        match event {
            Event::Total { files, bytes } => {
                (state.files.1, state.bytes.1) = (files, bytes);
            }
            Event::Bytes(more) => state.bytes.0 += more,
            Event::File(_) => state.files.0 += 1,
        }
        if state.told.is_none_or(|told| told.elapsed() > OFTEN) {
            state.told = Some(Instant::now());
            let words = state.words();
            state.line.tell(&words);
        }
    }
}

impl State {
    fn words(&self) -> String {
        let ((file, files), (done, total)) = (self.files, self.bytes);
        let rate = done as f64 / self.begun.elapsed().as_secs_f64().max(0.001);
        // A file that grew is full before its end.
        let full = (done * BAR).checked_div(total).unwrap_or(0).min(BAR);
        let bar: String = (0..BAR).map(|place| if place < full { '=' } else { ' ' }).collect();
        let percent = (done * 100).checked_div(total).unwrap_or(0).min(100);
        format!(
            "[{bar}] {percent:3} %  {} of {}  {}/s  {file}/{files} files",
            size(done),
            size(total),
            size(rate as u64)
        )
    }
}

/// Why something was left out.
pub fn reason(why: Skipped) -> &'static str {
    match why {
        Skipped::Special => "a device, pipe or socket",
        Skipped::LinkOutside => "a link that leads out of the directory",
        Skipped::Repository => "a repository's own directory, whose hooks would run here",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_that_lies_about_its_size_stays_on_its_line() {
        let shown = Shown::new(Visibility::Hidden);
        shown.event(Event::Total { files: 1, bytes: 10 });
        shown.event(Event::Bytes(1000));
        let words = shown.lock().words();
        assert!(words.starts_with("[====================] 100 %  1000 B of 10 B"), "{words}");
    }
}
