//! How text leaves this program: data on standard output, all else on standard error, nothing that could
//! command a terminal.

use std::io::{self, Write};

use navigator_policy::is_visible;

/// How a listing is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs: one JSON value.
    Json,
}

/// Prints a message on standard error.
pub fn say(text: &str) {
    // When standard error is gone there is nobody left to tell.
    let _unheard = writeln!(anstream::stderr().lock(), "{text}");
}

/// Text that could not be printed.
#[derive(Debug, thiserror::Error)]
#[error("failed to write to standard output")]
pub struct OutputError(#[from] io::Error);

/// Prints data on standard output; a reader that went away ends it quietly, as with other tools.
pub fn print(text: &str) -> Result<(), OutputError> {
    try_print(text).or_else(|error| ended(error).map(drop))
}

/// What became of printing: a reader that went away has seen what it wanted, and the exit code is 0.
pub fn ended(error: io::Error) -> Result<u8, OutputError> {
    if error.kind() == io::ErrorKind::BrokenPipe { Ok(0) } else { Err(error.into()) }
}

/// Prints data on standard output, for those who stop when nobody reads it any more.
pub fn try_print(text: &str) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    write!(out, "{text}{end}").and_then(|()| out.flush())
}

/// Prints a value as JSON.
pub fn print_json(value: &impl serde::Serialize) -> Result<(), OutputError> {
    let text = serde_json::to_string_pretty(value).map_err(io::Error::from)?;
    print(&neutral_json(&text))
}

/// Where log events go: each write is one event, and leaves as one line.
pub struct LogLines<W>(pub W);

impl<W: Write> Write for LogLines<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        writeln!(self.0, "{}", line(text.trim_end_matches('\n')))?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Text of several lines from outside, so that it cannot move the cursor, recolour or retitle.
pub fn neutral(text: &str) -> String {
    escaped(text, |c| c == '\n' || is_visible(c), |c| c.escape_unicode().to_string())
}

/// The same for text that belongs on one line, so that it cannot make up messages of its own either.
pub fn line(text: &str) -> String {
    escaped(text, is_visible, |c| c.escape_unicode().to_string())
}

/// The same for JSON, whose meaning stays: characters beyond its syntax stand only in strings.
pub fn neutral_json(text: &str) -> String {
    let escape = |c: char| format!("\\u{:04x}", u32::from(c));
    escaped(text, |c| c == '\n' || is_visible(c), escape)
}

/// A number of bytes for people.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit < UNITS.len() - 1 {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

fn escaped(text: &str, harmless: fn(char) -> bool, escape: fn(char) -> String) -> String {
    let mut result = String::with_capacity(text.len());
    for c in text.chars() {
        if harmless(c) {
            result.push(c);
        } else {
            result.push_str(&escape(c));
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_for_people() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(5 << 30), "5.0 GiB");
    }

    #[test]
    fn escape_sequences_become_harmless() {
        assert_eq!(neutral("a\x1b[31mb\u{9b}c"), "a\\u{1b}[31mb\\u{9b}c");
        assert_eq!(neutral("a\u{202e}b\r\nc"), "a\\u{202e}b\\u{d}\nc");
        assert_eq!(neutral("grün → 表"), "grün → 表");
        assert_eq!(line("a\nb\x1b"), "a\\u{a}b\\u{1b}");
    }

    #[test]
    fn a_log_event_is_one_harmless_line() {
        let mut log = LogLines(vec![]);
        log.write_all("denied a\x1b[31m\u{202e}\nFAKE\n".as_bytes()).unwrap();
        let text = String::from_utf8(log.0).unwrap();
        assert_eq!(text, "denied a\\u{1b}[31m\\u{202e}\\u{a}FAKE\n");
    }

    #[test]
    fn json_keeps_its_meaning() {
        let value = serde_json::json!({ "a\u{202e}": ["\u{9b}31m\x1b", "grün\n"] });
        let text = neutral_json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(text.chars().all(|c| c == '\n' || is_visible(c)), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
