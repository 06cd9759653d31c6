//! HTTP requests as rules see them: one canonical path, and its query apart.

use std::borrow::Cow;

use crate::glob::Glob;
use crate::model::Effect;

/// A path that decodes cleanly: no encoded separator, no NUL, no dot segments, UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanonicalPath {
    path: String,
    query: Option<String>,
    /// The path as it is sent on, when that is not the encoding of `path`.
    sent: Option<String>,
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
        let path = normalise(&decoded)?;
        // Signatures over requests depend on the spelling, so one that decodes to what is judged is kept.
        let sent = (decoded == path && raw.is_ascii()).then(|| raw.to_owned());
        Ok(Self { path, query: query.map(str::to_owned), sent })
    }

    /// Path and query to send to the server: decoded, they are what was judged.
    #[must_use]
    pub fn target(&self) -> String {
        let mut target = self.sent.clone().unwrap_or_else(|| encode(&self.path));
        if let Some(query) = &self.query {
            target.push('?');
            target.push_str(query);
        }
        target
    }

    /// Names of the query's parameters, as they came.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        let pairs = self.query.as_deref().into_iter().flat_map(|query| query.split('&'));
        pairs.filter(|pair| !pair.is_empty()).map(|pair| pair.split('=').next().unwrap_or(pair))
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

    /// Whether a pattern matches the path, or the path with its query. To earn a right, the pattern itself must say
    /// where the query begins; a deny looks at the whole target as well.
    pub(crate) fn matches(&self, pattern: &Glob, effect: Effect) -> bool {
        if pattern.matches(&self.path) {
            return true;
        }
        let Some(query) = &self.query else { return false };
        match effect {
            Effect::Allow => pattern.matches_parts(&self.path, query),
            Effect::Deny => pattern.matches_target(&self.path, query),
        }
    }

    /// Whether a parameter satisfies a rule. An allow needs at least one value and all of them to match; for a
    /// deny one is enough. What does not decode, or may be split differently by a server, never earns a right.
    pub(crate) fn parameter_matches(&self, name: &str, pattern: &Glob, effect: Effect) -> bool {
        let Some(query) = &self.query else { return false };
        let (mut seen, mut all, mut any) = (false, true, false);
        for pair in query.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(key), Some(value)) = (decode_parameter(key), decode_parameter(value)) else {
                return effect == Effect::Deny;
            };
            if key == name {
                let matches = pattern.matches(&value);
                (seen, all, any) = (true, all && matches, any || matches);
            }
        }
        match effect {
            Effect::Allow => seen && all && !query.contains(';'),
            Effect::Deny => any || query.contains(';') && query.contains(name),
        }
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

/// Encodes what may not stand in a path as it is (RFC 3986 section 3.3).
fn encode(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
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
        let matches = |target: &str, pattern: &str, effect| {
            CanonicalPath::parse(target).unwrap().matches(&Glob::new(pattern), effect)
        };
        let target = "/a/b/info/refs?service=x";
        for pattern in ["/**/info/refs*", "/**/info/refs?service=*", "/**/refs*service=x"] {
            assert!(matches(target, pattern, Effect::Allow));
            assert!(!matches("/a/b/info", pattern, Effect::Allow));
        }
    }

    #[test]
    fn a_query_does_not_complete_a_path_that_is_not_allowed() {
        let matches = |effect| {
            let path = CanonicalPath::parse("/users/1?/avatar").unwrap();
            path.matches(&Glob::new("/users/*/avatar"), effect)
        };
        assert!(!matches(Effect::Allow));
        assert!(matches(Effect::Deny), "what may be meant is denied");
    }

    fn parameter(target: &str, effect: Effect) -> bool {
        CanonicalPath::parse(target).unwrap().parameter_matches("q", &Glob::new("a*"), effect)
    }

    #[test]
    fn every_value_of_a_parameter_must_match_to_allow() {
        assert!(parameter("/?q=ab", Effect::Allow));
        for target in ["/?q=ab&q=b", "/", "/?%71=b", "/?q=ab;q=b", "/?q=ab&x=%zz"] {
            assert!(!parameter(target, Effect::Allow), "{target}");
        }
    }

    #[test]
    fn one_value_of_a_parameter_is_enough_to_deny() {
        for target in ["/?q=ab", "/?q=b&q=ab", "/?q=b&%71=ab", "/?x=1;q=ab", "/?q=ab&x=%zz"] {
            assert!(parameter(target, Effect::Deny), "{target}");
        }
        assert!(!parameter("/?q=b", Effect::Deny));
        assert!(!parameter("/", Effect::Deny));
    }

    #[test]
    fn what_is_sent_decodes_to_what_was_judged() {
        let sent = |target: &str| CanonicalPath::parse(target).unwrap().target();
        for kept in ["/a/b", "/a%20b?x=%2f", "/m%3A0/x", "/a+b", "/caf%C3%A9", "/"] {
            assert_eq!(sent(kept), kept);
        }
        assert_eq!(sent("/a/../b c"), "/b%20c");
        assert_eq!(sent("//a;x=1/b?q"), "/a/b?q");
        assert_eq!(sent("/é"), "/%C3%A9");
        assert_eq!(sent("/a/./%3Fb"), "/a/%3Fb");
    }

    #[test]
    fn names_of_parameters_are_told_without_their_values() {
        let path = CanonicalPath::parse("/?a=secret&b&&c=1=2").unwrap();
        assert_eq!(path.parameters().collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}
