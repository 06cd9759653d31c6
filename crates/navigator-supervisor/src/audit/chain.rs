//! How lines hold each other: each begins with its number and the hash of the line before it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// SHA-256 of a line's bytes, without the newline.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

/// A text that is no hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to understand the hash `{0}`; write 64 hexadecimal digits")]
pub struct DigestError(String);

impl Digest {
    /// The hash of a whole line.
    #[must_use]
    pub fn of(line: &[u8]) -> Self {
        Self(sha2::Sha256::digest(line).into())
    }

    pub(crate) fn finish(hash: sha2::Sha256) -> Self {
        Self(hash.finalize().into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 64];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let error = || DigestError(text.chars().take(80).collect());
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(error());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |c: u8| char::from(c).to_digit(16);
            let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else {
                return Err(error());
            };
            *byte = u8::try_from(high << 4 | low).map_err(|_| error())?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A line's place in the chain: the first bytes of every line, always written in this form. It is read without
/// JSON, so that a line that was cut off in the middle still holds the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// Number of the line in the chain, from 1.
    pub(crate) seq: u64,
    /// Hash of the line before; `None` for the first line of a chain.
    pub(crate) prev: Option<Digest>,
}

impl Link {
    /// The beginning of a line whose other members are `body`, itself a JSON object with at least one member.
    pub(crate) fn write(&self, body: &[u8], into: &mut Vec<u8>) {
        let head = match self.prev {
            Some(prev) => format!("{{\"seq\":{},\"prev\":\"{prev}\",", self.seq),
            None => format!("{{\"seq\":{},\"prev\":null,", self.seq),
        };
        into.extend_from_slice(head.as_bytes());
        into.extend_from_slice(body.get(1..).unwrap_or_default());
    }

    /// The link at the beginning of a line, if it has one.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        Self::split(line).map(|(link, _)| link)
    }

    /// The link, and what follows it.
    fn split(line: &[u8]) -> Option<(Self, &[u8])> {
        let rest = line.strip_prefix(b"{\"seq\":")?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = rest.split_at_checked(digits)?;
        let seq = std::str::from_utf8(number).ok()?.parse().ok()?;
        let rest = rest.strip_prefix(b",\"prev\":")?;
        if let Some(rest) = rest.strip_prefix(b"null,") {
            return Some((Self { seq, prev: None }, rest));
        }
        let (prev, rest) = rest.strip_prefix(b"\"")?.split_at_checked(64)?;
        let prev = std::str::from_utf8(prev).ok()?.parse().ok()?;
        Some((Self { seq, prev: Some(prev) }, rest.strip_prefix(b"\",").unwrap_or_default()))
    }
}

/// Whether a line is the last of its file by design.
pub(crate) fn ends_its_file(line: &[u8]) -> bool {
    Link::split(line).is_some_and(|(_, rest)| rest.starts_with(b"\"event\":\"rotated\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_written_as_the_usual_tools_write_them() {
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), text);
        assert_eq!(text.parse(), Ok(Digest::of(b"abc")));
        assert_eq!(text.to_uppercase().parse(), Ok(Digest::of(b"abc")));
        for bad in ["", "ba78", &format!("{text}0"), &text.replace('b', "g"), &"é".repeat(32)] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn links_are_read_back_from_whole_and_cut_lines() {
        for prev in [None, Some(Digest::of(b"x"))] {
            let link = Link { seq: 12, prev };
            let mut line = vec![];
            link.write(br#"{"event":"end"}"#, &mut line);
            assert_eq!(Link::parse(&line), Some(link));
            assert_eq!(Link::parse(&line[..line.len() - 5]), Some(link));
            let json: serde_json::Value = serde_json::from_slice(&line).unwrap();
            assert_eq!((&json["seq"], &json["event"]), (&12.into(), &"end".into()));
        }
        for bad in
            ["", "{\"seq\":", "{\"seq\":1,\"prev\":\"abc\"", "{\"event\":\"end\"}", "{\"seq\":-1,"]
        {
            assert_eq!(Link::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
