//! The terminal that a client asks for.

use std::os::fd::AsFd;

use rustix::termios::{self, OptionalActions, Winsize};

use crate::modes;

/// Longest name of a kind of terminal; the longest in terminfo has 44 bytes.
const KIND: usize = 64;
/// Rows and columns of a client that does not say.
const USUAL: TerminalSize = TerminalSize { rows: 24, columns: 80, width: 0, height: 0 };

/// A terminal as a client wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminal {
    /// What it is (`TERM`).
    pub kind: String,
    /// How large it is.
    pub size: TerminalSize,
    /// What it does (RFC 4254, section 8): opcode and argument.
    pub(crate) modes: Vec<(u8, u32)>,
}

/// The size of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    /// Lines of text.
    pub rows: u16,
    /// Characters of a line.
    pub columns: u16,
    /// Pixels across, or 0.
    pub width: u16,
    /// Pixels down, or 0.
    pub height: u16,
}

impl Terminal {
    /// `None` when the kind is not a name of a terminal.
    pub(crate) fn new(kind: &str, size: TerminalSize, modes: Vec<(u8, u32)>) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-+._".contains(&byte);
        let named = kind.len() <= KIND && kind.bytes().all(plain);
        named.then(|| Self { kind: kind.to_owned(), size, modes })
    }

    /// Gives a new terminal its size and modes, by its controlling side.
    ///
    /// # Errors
    ///
    /// When the descriptor is not that of a terminal.
    pub fn set_up(&self, controlling: impl AsFd) -> rustix::io::Result<()> {
        self.size.set(&controlling)?;
        let mut settings = termios::tcgetattr(&controlling)?;
        for (opcode, argument) in &self.modes {
            modes::apply(&mut settings, *opcode, *argument);
        }
        termios::tcsetattr(&controlling, OptionalActions::Now, &settings)
    }
}

impl TerminalSize {
    /// The usual size in place of one that cannot be.
    pub(crate) fn new([columns, rows, width, height]: [u32; 4]) -> Self {
        let bounded = |number: u32, usual| match u16::try_from(number) {
            Ok(0) => usual,
            Ok(number) => number,
            Err(_) => u16::MAX,
        };
        Self {
            rows: bounded(rows, USUAL.rows),
            columns: bounded(columns, USUAL.columns),
            width: bounded(width, USUAL.width),
            height: bounded(height, USUAL.height),
        }
    }

    pub(crate) fn set(self, controlling: impl AsFd) -> rustix::io::Result<()> {
        let Self { rows, columns, width, height } = self;
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: width, ws_ypixel: height };
        termios::tcsetwinsize(controlling, size)
    }
}

#[cfg(test)]
mod tests {
    use rustix::pty::{OpenptFlags, openpt};
    use rustix::termios::{InputModes, LocalModes, SpecialCodeIndex};

    use super::*;

    #[test]
    fn a_kind_is_a_plain_name() {
        let new = |kind: &str| Terminal::new(kind, USUAL, vec![]).is_some();
        assert!(new("xterm-256color") && new(""));
        assert!(!new("a b") && !new("../x") && !new("a\0") && !new(&"x".repeat(65)));
    }

    #[test]
    fn a_size_that_cannot_be_is_the_usual_one() {
        let size = TerminalSize::new([0, 1 << 20, 3, 4]);
        assert_eq!(size, TerminalSize { rows: u16::MAX, columns: 80, width: 3, height: 4 });
    }

    #[test]
    fn modes_and_size_reach_the_terminal() {
        let controlling = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        let size = TerminalSize { rows: 5, columns: 6, width: 7, height: 8 };
        // VINTR is ^X, VQUIT is off, ECHO off, IXANY on.
        let modes = vec![(1, 24), (2, 255), (53, 0), (39, 1), (128, 9600), (99, 1)];
        Terminal::new("vt100", size, modes).unwrap().set_up(&controlling).unwrap();
        let settings = termios::tcgetattr(&controlling).unwrap();
        assert_eq!(settings.special_codes[SpecialCodeIndex::VINTR], 24);
        assert_eq!(settings.special_codes[SpecialCodeIndex::VQUIT], 0);
        assert!(!settings.local_modes.contains(LocalModes::ECHO));
        assert!(settings.input_modes.contains(InputModes::IXANY));
        let set = termios::tcgetwinsize(&controlling).unwrap();
        assert_eq!((set.ws_row, set.ws_col, set.ws_xpixel, set.ws_ypixel), (5, 6, 7, 8));
    }
}
