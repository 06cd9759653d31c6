//! The keys that leave a terminal session: a control character, then another key.

use std::str::FromStr;

/// Keys that detach. The first one twice sends itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DetachKeys {
    first: u8,
    second: u8,
}

/// Words that name no keys.
#[derive(Debug, thiserror::Error)]
#[error("failed to understand the keys; write a control key and another, such as `ctrl-] d`")]
pub struct DetachKeysError;

impl Default for DetachKeys {
    fn default() -> Self {
        Self { first: control(b']'), second: b'd' }
    }
}

impl FromStr for DetachKeys {
    type Err = DetachKeysError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (first, second) = text.split_once(' ').ok_or(DetachKeysError)?;
        let letter = first.strip_prefix("ctrl-").ok_or(DetachKeysError)?.as_bytes();
        match (letter, second.as_bytes()) {
            ([first @ (b'a'..=b'z' | b'\\' | b']' | b'^' | b'_')], [second @ b'!'..=b'~']) => {
                Ok(Self { first: control(*first), second: *second })
            }
            _ => Err(DetachKeysError),
        }
    }
}

impl std::fmt::Display for DetachKeys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let first = (self.first | 0x40).to_ascii_lowercase();
        write!(formatter, "ctrl-{} {}", char::from(first), char::from(self.second))
    }
}

/// What the key gives together with Ctrl.
fn control(key: u8) -> u8 {
    key & 0x1f
}

/// Looks for the keys in what is typed.
#[derive(Debug)]
pub(crate) struct Detacher {
    keys: DetachKeys,
    /// The first key was typed.
    half: bool,
}

impl Detacher {
    pub(crate) fn new(keys: DetachKeys) -> Self {
        Self { keys, half: false }
    }

    /// What of it is for the program, and whether the keys were typed; then nothing after them counts.
    pub(crate) fn filter(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let DetachKeys { first, second } = self.keys;
        let mut passed = Vec::with_capacity(typed.len() + 1);
        for &key in typed {
            match (std::mem::take(&mut self.half), key) {
                (true, key) if key == second => return (passed, true),
                (true, key) if key == first => passed.push(key),
                (true, key) => passed.extend([first, key]),
                (false, key) if key == first => self.half = true,
                (false, key) => passed.push(key),
            }
        }
        (passed, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(parts: &[&[u8]]) -> (Vec<u8>, bool) {
        let mut detacher = Detacher::new(DetachKeys::default());
        let mut all = vec![];
        for part in parts {
            let (passed, over) = detacher.filter(part);
            all.extend(passed);
            if over {
                return (all, true);
            }
        }
        (all, false)
    }

    #[test]
    fn the_keys_leave_and_the_first_one_twice_is_itself() {
        assert_eq!(filtered(&[b"ab\x1ddcd"]), (b"ab".to_vec(), true));
        assert_eq!(filtered(&[b"a\x1d", b"d"]), (b"a".to_vec(), true));
        assert_eq!(filtered(&[b"\x1d\x1dd"]), (b"\x1dd".to_vec(), false));
        assert_eq!(filtered(&[b"\x1d", b"x\xc3\xa4"]), (b"\x1dx\xc3\xa4".to_vec(), false));
    }

    #[test]
    fn keys_are_words_and_back() {
        for text in ["ctrl-] d", "ctrl-a x", "ctrl-^ ."] {
            assert_eq!(text.parse::<DetachKeys>().unwrap().to_string(), text);
        }
        assert_eq!(DetachKeys::default().to_string(), "ctrl-] d");
        for text in ["", "d", "ctrl-]", "ctrl-] ", "ctrl-1 d", "ctrl-ab d", "] d", "ctrl-] \x1b"] {
            assert!(text.parse::<DetachKeys>().is_err(), "{text:?}");
        }
    }
}
