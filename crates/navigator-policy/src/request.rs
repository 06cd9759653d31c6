//! HTTP requests as rules see them: one canonical path, and its query apart.

use std::borrow::Cow;

use crate::glob::Glob;

/// A path that decodes cleanly: no encoded separator, no NUL, no dot segments, UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanonicalPath {
    path: String,
    query: Option<String>,
}

/// A request target that is refused before any rule is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestPathError {
    /// It does not start with `/`.
    #[error("the path does not start with `/`")]
    Relative,
    /// A `%` that is not followed by two hexadecimal digits.
    #[error("the path has an incomplete percent-encoding")]
    Encoding,
    /// An encoded `/` or `\`.
    #[error("the path has an encoded separator")]
    EncodedSeparator,
    /// A control character, encoded or not.
    #[error("the path has a control character")]
    Control,
    /// A percent-encoding that decodes to another one.
    #[error("the path is encoded twice")]
    DoubleEncoding,
    /// Bytes that are not UTF-8.
    #[error("the path is not UTF-8 when decoded")]
    Utf8,
    /// More `..` than directories.
    #[error("the path leads above its root")]
    AboveRoot,
    /// A backslash, which some servers take for a separator.
    #[error("the path has a backslash")]
    Backslash,
}

impl CanonicalPath {
    /// Decodes a request target's path and query.
    pub fn parse(target: &str) -> Result<Self, RequestPathError> {
        let (raw, query) = match target.split_once('?') {
            Some((raw, query)) => (raw, Some(query)),
            None => (target, None),
        };
        if !raw.starts_with('/') {
            return Err(RequestPathError::Relative);
        }
        if query.is_some_and(|query| query.chars().any(char::is_control)) {
            return Err(RequestPathError::Control);
        }
        let decoded = decode(raw)?;
        Ok(Self { path: normalise(&decoded)?, query: query.map(str::to_owned) })
    }

    /// The decoded path without dot segments.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The query as it came, without `?`.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// Whether a pattern matches the path, or the path with its query.
    pub(crate) fn matches(&self, pattern: &Glob) -> bool {
        if pattern.matches(&self.path) {
            return true;
        }
        self.query.as_ref().is_some_and(|query| pattern.matches_target(&self.path, query))
    }

    /// Whether every value of a parameter, of which there is at least one, matches a pattern.
    pub(crate) fn parameter_matches(&self, name: &str, pattern: &Glob) -> bool {
        let Some(query) = &self.query else { return false };
        let mut seen = false;
        for pair in query.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(key), Some(value)) = (decode_parameter(key), decode_parameter(value)) else {
                return false;
            };
            if key == name {
                seen = true;
                if !pattern.matches(&value) {
                    return false;
                }
            }
        }
        seen
    }
}

fn decode(raw: &str) -> Result<String, RequestPathError> {
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let [first, tail @ ..] = rest {
        let byte = match (first, tail) {
            (b'%', [high, low, ..]) => {
                rest = &tail[2..];
                let byte = hex(*high, *low).ok_or(RequestPathError::Encoding)?;
                match byte {
                    b'/' | b'\\' => return Err(RequestPathError::EncodedSeparator),
                    b'%' => return Err(RequestPathError::DoubleEncoding),
                    other => other,
                }
            }
            (b'%', _) => return Err(RequestPathError::Encoding),
            (b'\\', _) => return Err(RequestPathError::Backslash),
            (other, _) => {
                rest = tail;
                *other
            }
        };
        if byte.is_ascii_control() {
            return Err(RequestPathError::Control);
        }
        bytes.push(byte);
    }
    let text = String::from_utf8(bytes).map_err(|_| RequestPathError::Utf8)?;
    if text.chars().any(char::is_control) { Err(RequestPathError::Control) } else { Ok(text) }
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// Plain text, as most is, is not copied.
fn decode_parameter(raw: &str) -> Option<Cow<'_, str>> {
    if !raw.contains(['%', '+']) {
        return Some(raw.into());
    }
    let mut bytes = vec![];
    let mut rest = raw.as_bytes();
    while let [first, tail @ ..] = rest {
        match (first, tail) {
            (b'%', [high, low, ..]) => {
                bytes.push(hex(*high, *low)?);
                rest = &tail[2..];
            }
            (b'%', _) => return None,
            (b'+', _) => {
                bytes.push(b' ');
                rest = tail;
            }
            (other, _) => {
                bytes.push(*other);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok().map(Cow::from)
}

/// Removes dot segments (RFC 3986 section 5.2.4), empty segments and parameters after `;`.
fn normalise(decoded: &str) -> Result<String, RequestPathError> {
    let mut segments: Vec<&str> = vec![];
    let mut directory = true;
    for segment in decoded.split('/').skip(1) {
        let name = segment.split(';').next().unwrap_or(segment);
        directory = matches!(name, "" | "." | "..");
        match name {
            "" | "." => {}
            ".." => {
                segments.pop().ok_or(RequestPathError::AboveRoot)?;
            }
            name => segments.push(name),
        }
    }
    let mut path = format!("/{}", segments.join("/"));
    if directory && path.len() > 1 {
        path.push('/');
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(target: &str) -> String {
        CanonicalPath::parse(target).unwrap().path().to_owned()
    }

    #[test]
    fn spellings_of_one_path_are_one_path() {
        assert_eq!(path("/a/b"), "/a/b");
        assert_eq!(path("/a/./b/../c"), "/a/c");
        assert_eq!(path("//a///b"), "/a/b");
        assert_eq!(path("/%61/b"), "/a/b");
        assert_eq!(path("/a;x=1/b"), "/a/b");
        assert_eq!(path("/a/%2e%2e/b"), "/b");
        assert_eq!(path("/a/"), "/a/");
        assert_eq!(path("/"), "/");
    }

    #[test]
    fn unclean_paths_are_refused() {
        use RequestPathError as E;
        let cases = [
            ("a", E::Relative),
            ("/a%2fb", E::EncodedSeparator),
            ("/a%5cb", E::EncodedSeparator),
            ("/a%00", E::Control),
            ("/a%", E::Encoding),
            ("/a%2", E::Encoding),
            ("/a%zz", E::Encoding),
            ("/a%252fb", E::DoubleEncoding),
            ("/a%ff", E::Utf8),
            ("/../a", E::AboveRoot),
            ("/a\\b", E::Backslash),
            ("/a\r\n", E::Control),
        ];
        for (target, error) in cases {
            assert_eq!(CanonicalPath::parse(target), Err(error), "{target:?}");
        }
    }

    #[test]
    fn a_pattern_may_name_the_query() {
        let glob = Glob::new("/**/info/refs*");
        assert!(CanonicalPath::parse("/a/b/info/refs?service=x").unwrap().matches(&glob));
        assert!(!CanonicalPath::parse("/a/b/info").unwrap().matches(&glob));
    }

    #[test]
    fn every_value_of_a_parameter_must_match() {
        let glob = Glob::new("a*");
        let matches =
            |target: &str| CanonicalPath::parse(target).unwrap().parameter_matches("q", &glob);
        assert!(matches("/?q=ab"));
        assert!(!matches("/?q=ab&q=b"));
        assert!(!matches("/"));
        assert!(!matches("/?%71=b"));
    }
}
