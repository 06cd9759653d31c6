//! What a terminal session shows: enough to show it again to who comes later or was too slow.

use std::num::NonZeroU16;

use navigator_isolation::TerminalSize;

/// Lines above the screen that are kept; a person who comes back looks at the last few screens.
const HISTORY: usize = 500;
/// Largest sides of a screen: it takes memory for every cell, and no real screen has more.
const ROWS: u16 = 400;
/// See [`ROWS`].
const COLUMNS: u16 = 1000;
/// Longest title that is kept, in characters.
const TITLE: usize = 256;

/// The size that a screen can have next to one that was asked for.
pub(super) fn bounded(size: TerminalSize) -> TerminalSize {
    TerminalSize { rows: size.rows.clamp(1, ROWS), columns: size.columns.clamp(1, COLUMNS) }
}

/// Title of the window, as the program set it.
#[derive(Default)]
struct Title(String);

impl vt100::Callbacks for Title {
    fn set_window_title(&mut self, _screen: &mut vt100::Screen, title: &[u8]) {
        let text = String::from_utf8_lossy(title);
        self.0 = text.chars().filter(|letter| !letter.is_control()).take(TITLE).collect();
    }
}

/// The screen of a session.
pub(super) struct Screen(vt100::Parser<Title>);

impl Screen {
    pub(super) fn new(size: TerminalSize) -> Self {
        let (rows, columns) = sides(size);
        Self(vt100::Parser::new_with_callbacks(rows, columns, HISTORY, Title::default()))
    }

    /// Takes in what the program printed.
    pub(super) fn print(&mut self, bytes: &[u8]) {
        self.0.process(bytes);
    }

    pub(super) fn resize(&mut self, size: TerminalSize) {
        let (rows, columns) = sides(size);
        self.0.set_size(rows, columns);
    }

    pub(super) fn title(&self) -> &str {
        &self.0.callbacks().0
    }

    /// What makes a terminal in any state look like this one.
    pub(super) fn redraw(&self) -> Vec<u8> {
        let screen = self.0.screen();
        let alternate = if screen.alternate_screen() { "\x1b[?1049h" } else { "\x1b[?1049l" };
        let mut drawn = format!("\x1b[!p\x1b[r{alternate}").into_bytes();
        drawn.extend(screen.state_formatted().into_bytes());
        if !self.title().is_empty() {
            drawn.extend(format!("\x1b]2;{}\x07", self.title()).into_bytes());
        }
        drawn
    }

    /// The lines above the screen, then the screen, for a terminal that has seen nothing yet.
    pub(super) fn whole(&mut self) -> Vec<u8> {
        let mut drawn = vec![];
        if !self.0.screen().alternate_screen() {
            let (rows, columns) = self.0.screen().size();
            let above = self.0.screen().scrollback_len();
            for offset in (1..=above).rev() {
                self.0.screen_mut().set_scrollback(offset);
                if let Some(line) = self.0.screen().rows_formatted(0, columns.get()).next() {
                    drawn.extend(line.into_bytes());
                    drawn.extend(b"\x1b[m\r\n");
                }
            }
            self.0.screen_mut().set_scrollback(0);
            if above > 0 {
                // Into the terminal's own history, where redrawing the screen leaves them.
                drawn.extend(b"\r\n".repeat(rows.get().into()));
            }
        }
        drawn.extend(self.redraw());
        drawn
    }
}

fn sides(size: TerminalSize) -> (NonZeroU16, NonZeroU16) {
    let size = bounded(size);
    let side = |cells| NonZeroU16::new(cells).unwrap_or(NonZeroU16::MIN);
    (side(size.rows), side(size.columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: TerminalSize = TerminalSize { rows: 5, columns: 20 };

    /// What another terminal shows after a redraw.
    fn copy(screen: &mut Screen) -> Screen {
        let mut copy = Screen::new(SIZE);
        copy.print(b"something that was there before\x1b[?2004h\x1b[3;4r");
        let drawn = screen.whole();
        copy.print(&drawn);
        copy
    }

    #[test]
    fn a_redraw_shows_contents_cursor_modes_and_title() {
        let mut screen = Screen::new(SIZE);
        screen.print("plain \x1b[1;31mr\u{e4}d\u{4f60}\x1b[m\x1b]2;a title\x07".as_bytes());
        screen.print(b"\x1b[?1049h\x1b[?2004h\x1b[?1000h\x1b[?1006h\x1b[3;7Hfull screen\x1b[2;5H");
        let copy = copy(&mut screen);
        let (one, other) = (screen.0.screen(), copy.0.screen());
        assert!(other.contents().contains("full screen") && other.alternate_screen());
        assert_eq!(one.contents_formatted(), other.contents_formatted());
        assert_eq!(one.input_mode_formatted(), other.input_mode_formatted());
        assert_eq!((other.cursor_position(), copy.title()), ((1, 4), "a title"));
    }

    #[test]
    fn lines_above_the_screen_come_back_too_and_are_bounded() {
        let mut screen = Screen::new(SIZE);
        for line in 0..2 * HISTORY {
            screen.print(format!("line {line}\r\n").as_bytes());
        }
        assert_eq!(screen.0.screen().scrollback_len(), HISTORY);
        let text = String::from_utf8(screen.whole()).unwrap();
        assert!(
            text.contains("line 600") && text.contains("line 999") && !text.contains("line 100")
        );
        assert_eq!(copy(&mut screen).0.screen().contents(), screen.0.screen().contents());
    }

    #[test]
    fn no_size_takes_more_memory_than_a_large_screen() {
        let size = bounded(TerminalSize { rows: u16::MAX, columns: u16::MAX });
        assert_eq!((size.rows, size.columns), (ROWS, COLUMNS));
        let mut screen = Screen::new(TerminalSize { rows: 0, columns: 0 });
        screen.print(b"x");
        screen.resize(TerminalSize { rows: u16::MAX, columns: 1 });
        screen.print("\u{4f60}\u{4f60}".as_bytes());
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_printed_is_survived(parts in proptest::collection::vec(part(), 0..60)) {
            let mut screen = Screen::new(SIZE);
            for (bytes, rows, columns) in parts {
                screen.print(&bytes);
                screen.resize(TerminalSize { rows, columns });
                let _drawn = screen.whole();
            }
        }
    }

    /// Something printed, and a size after it.
    fn part() -> impl proptest::strategy::Strategy<Value = (Vec<u8>, u16, u16)> {
        use proptest::prelude::*;
        let sequence = "\x1b\\[\\??[0-9;]{0,6}[@A-Za-z]".prop_map(String::into_bytes);
        let wide = "[\u{4f60}\u{e4}\u{301}a-c\r\n\t]{0,30}".prop_map(String::into_bytes);
        let any = proptest::collection::vec(any::<u8>(), 0..30);
        (prop_oneof![sequence, wide, any], 1..9_u16, 1..30_u16)
    }
}
