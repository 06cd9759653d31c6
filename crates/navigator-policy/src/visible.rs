//! Which characters only show, and which also command a terminal or turn the text around them.

/// Whether a character shows as itself: it is no control character, and it does not change the direction of what
/// stands around it (Unicode Standard Annex 9).
#[must_use]
pub fn is_visible(c: char) -> bool {
    let turns = matches!(
        c,
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    let breaks = matches!(c, '\u{2028}' | '\u{2029}');
    !(c.is_control() || turns || breaks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_every_script_show_and_commands_do_not() {
        assert!("grün → 表 أ ".chars().all(is_visible));
        for c in ['\0', '\n', '\x1b', '\u{7f}', '\u{9b}', '\u{202e}', '\u{2066}', '\u{2028}'] {
            assert!(!is_visible(c), "{c:?}");
        }
    }
}
