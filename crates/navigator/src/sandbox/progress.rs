//! One live line on standard error that says what is waited for; nothing where nobody looks at a terminal.

use std::io::{self, Write};

use crate::output::line;

/// Longest line, in characters: a line that wraps cannot be taken back.
const COLUMNS: usize = 79;

/// A line that is there while something is waited for.
pub struct Progress {
    shown: bool,
    visible: bool,
}

impl Progress {
    /// Shows nothing yet. `quiet` shows nothing ever.
    pub fn new(visibility: Visibility) -> Self {
        let terminal = io::IsTerminal::is_terminal(&io::stderr());
        Self { shown: false, visible: terminal && visibility == Visibility::Shown }
    }

    /// Says what is waited for.
    pub fn tell(&mut self, text: &str) {
        if self.visible {
            let text: String = line(text).chars().take(COLUMNS).collect();
            self.shown = true;
            // When standard error is gone there is nobody left to tell.
            let _unheard =
                write!(io::stderr(), "\r\x1b[K{text}").and_then(|()| io::stderr().flush());
        }
    }

    /// Takes the line back.
    pub fn clear(&mut self) {
        if self.shown {
            self.shown = false;
            // As above.
            let _unheard = write!(io::stderr(), "\r\x1b[K").and_then(|()| io::stderr().flush());
        }
    }
}

/// Whether progress is shown where there is a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// It is.
    Shown,
    /// It is not.
    Hidden,
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
