//! How text leaves this program: data on standard output, all else on standard error, nothing that could
//! command a terminal.

use std::io::Write;

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

/// Prints data on standard output; a reader that went away ends it quietly, as with other tools.
pub fn print(text: &str) {
    let _unread = try_print(text);
}

/// Prints data on standard output, for those who end when nobody reads it any more.
pub fn try_print(text: &str) -> std::io::Result<()> {
    let mut out = anstream::stdout().lock();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    write!(out, "{text}{end}").and_then(|()| out.flush())
}

/// Prints a value as JSON.
pub fn print_json(value: &impl serde::Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => print(&text),
        Err(error) => tracing::error!(%error, "failed to print JSON"),
    }
}

/// Text from outside without control characters, so that it cannot move the cursor, recolour or retitle.
pub fn neutral(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let harmless = c == '\n' || !(c.is_control() || is_reordering(c));
            let escaped = if harmless { String::from(c) } else { c.escape_unicode().to_string() };
            escaped.chars().collect::<Vec<_>>()
        })
        .collect()
}

/// A line of JSON with the same meaning and without such characters. Where JSON allows them they stand in strings.
pub fn neutral_json(line: &str) -> String {
    line.chars()
        .map(|c| match c {
            c if c.is_ascii_control() => " ".to_owned(),
            c if c.is_control() || is_reordering(c) => format!("\\u{:04x}", u32::from(c)),
            c => c.to_string(),
        })
        .collect()
}

/// Characters that change the direction of text around them.
fn is_reordering(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_become_harmless() {
        assert_eq!(neutral("a\x1b[31mb\u{9b}c"), "a\\u{1b}[31mb\\u{9b}c");
        assert_eq!(neutral("a\u{202e}b\r\nc"), "a\\u{202e}b\\u{d}\nc");
        assert_eq!(neutral("grün → 表"), "grün → 表");
    }

    #[test]
    fn neutral_json_means_the_same() {
        let value = serde_json::json!({ "a\x1b\u{9b}": "\u{202e}grün\r\n\u{85}" });
        let line = neutral_json(&value.to_string());
        assert!(!line.chars().any(|c| c.is_control() || is_reordering(c)), "{line}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), value);
    }
}
