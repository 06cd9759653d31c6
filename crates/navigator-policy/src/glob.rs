//! Path patterns: `*` stays inside one segment, `**` crosses.

/// A pattern over paths with `/` as separator. Matching allocates nothing and takes time proportional to the
/// product of both lengths at worst.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Glob {
    tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Token {
    Byte(u8),
    /// `?`: one byte that is not a separator.
    One,
    /// `*`: any bytes that are not separators.
    Segment,
    /// `**`: any bytes.
    Any,
}

impl Glob {
    pub(crate) fn new(text: &str) -> Self {
        let mut tokens = vec![];
        let mut bytes = text.bytes().peekable();
        while let Some(byte) = bytes.next() {
            let token = match byte {
                b'*' if bytes.peek() == Some(&b'*') => {
                    while bytes.peek() == Some(&b'*') {
                        bytes.next();
                    }
                    Token::Any
                }
                b'*' => Token::Segment,
                b'?' => Token::One,
                other => Token::Byte(other),
            };
            tokens.push(token);
        }
        Self { tokens }
    }

    /// A pattern that matches exactly this text.
    pub(crate) fn literal(text: &str) -> Self {
        Self { tokens: text.bytes().map(Token::Byte).collect() }
    }

    /// Whether the pattern is a plain path.
    pub(crate) fn is_literal(&self) -> bool {
        self.tokens.iter().all(|token| matches!(token, Token::Byte(_)))
    }

    /// Whether it matches a text.
    pub(crate) fn matches(&self, text: &str) -> bool {
        matches_text(&self.tokens, text)
    }

    /// Whether it matches a path with its query, `path?query`, wherever the query begins in the pattern.
    pub(crate) fn matches_target(&self, path: &str, query: &str) -> bool {
        let (path, query) = (path.as_bytes(), query.as_bytes());
        let length = path.len() + 1 + query.len();
        matches_bytes(&self.tokens, length, |at| match at.checked_sub(path.len()) {
            None => path.get(at).copied(),
            Some(0) => Some(b'?'),
            Some(after) => query.get(after - 1).copied(),
        })
    }

    /// Whether it has a part for the path and, after a `?` or from a wildcard on, one for the query, and each matches
    /// its own: no wildcard reaches into the query to match more of a path, since the client can fill the query with
    /// anything.
    pub(crate) fn matches_parts(&self, path: &str, query: &str) -> bool {
        let parts = self.tokens.iter().enumerate().filter_map(|(at, token)| match token {
            Token::Byte(_) => None,
            Token::One => Some((&self.tokens[..at], &self.tokens[at + 1..])),
            // A wildcard over the border stands on both sides of it.
            Token::Segment | Token::Any => Some((&self.tokens[..=at], &self.tokens[at..])),
        });
        parts.into_iter().any(|(before, after)| {
            names_a_query(after) && matches_text(before, path) && matches_text(after, query)
        })
    }
}

/// Whether tokens are about parameters: `name=…`. Others are about a path.
fn names_a_query(tokens: &[Token]) -> bool {
    tokens.contains(&Token::Byte(b'=')) && !tokens.contains(&Token::Byte(b'/'))
}

fn matches_text(tokens: &[Token], text: &str) -> bool {
    let bytes = text.as_bytes();
    matches_bytes(tokens, bytes.len(), |at| bytes.get(at).copied())
}

/// Greedy matching with two places to go back to: the last `*` and the last `**`.
fn matches_bytes(tokens: &[Token], length: usize, get: impl Fn(usize) -> Option<u8>) -> bool {
    let (mut token, mut byte) = (0, 0);
    let mut segment: Option<(usize, usize)> = None;
    let mut any: Option<(usize, usize)> = None;
    loop {
        match tokens.get(token) {
            Some(Token::Any) => {
                any = Some((token, byte));
                segment = None;
                token += 1;
                continue;
            }
            Some(Token::Segment) => {
                segment = Some((token, byte));
                token += 1;
                continue;
            }
            Some(Token::Byte(wanted)) if get(byte) == Some(*wanted) => {
                (token, byte) = (token + 1, byte + 1);
                continue;
            }
            Some(Token::One) if get(byte).is_some_and(|b| b != b'/') => {
                (token, byte) = (token + 1, byte + 1);
                continue;
            }
            None if byte == length => return true,
            Some(Token::Byte(_) | Token::One) | None => {}
        }
        match (segment, any) {
            (Some((at, from)), _) if get(from).is_some_and(|b| b != b'/') => {
                segment = Some((at, from + 1));
                (token, byte) = (at + 1, from + 1);
            }
            (_, Some((at, from))) if from < length => {
                any = Some((at, from + 1));
                segment = None;
                (token, byte) = (at + 1, from + 1);
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The obvious matcher: recursion over both texts.
    fn model(pattern: &[u8], path: &[u8]) -> bool {
        match pattern {
            [] => path.is_empty(),
            [b'*', b'*', rest @ ..] => {
                let rest = &rest[rest.iter().take_while(|b| **b == b'*').count()..];
                (0..=path.len()).any(|at| model(rest, &path[at..]))
            }
            [b'*', rest @ ..] => {
                let end = path.iter().position(|b| *b == b'/').unwrap_or(path.len());
                (0..=end).any(|at| model(rest, &path[at..]))
            }
            [b'?', rest @ ..] => {
                matches!(path.first(), Some(b) if *b != b'/') && model(rest, &path[1..])
            }
            [byte, rest @ ..] => path.first() == Some(byte) && model(rest, &path[1..]),
        }
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_the_obvious_matcher(pattern in "[ab/*?]{0,10}", path in "[ab/]{0,12}") {
            proptest::prop_assert_eq!(
                Glob::new(&pattern).matches(&path),
                model(pattern.as_bytes(), path.as_bytes())
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn a_query_is_matched_as_if_it_were_part_of_the_text(
            pattern in "[ab/*?]{0,8}", path in "[ab/]{0,6}", query in "[ab/?]{0,6}",
        ) {
            let glob = Glob::new(&pattern);
            let whole = format!("{path}?{query}");
            proptest::prop_assert_eq!(glob.matches_target(&path, &query), glob.matches(&whole));
        }
    }

    #[test]
    fn a_query_is_matched_only_by_the_part_of_a_pattern_that_names_it() {
        let matches =
            |pattern: &str, path: &str, query: &str| Glob::new(pattern).matches_parts(path, query);
        assert!(matches(
            "/**/info/refs?service=*",
            "/o/r.git/info/refs",
            "service=git-upload-pack"
        ));
        assert!(matches("/a?/b?x=1", "/ac/b", "x=1"), "an earlier `?` is one byte of the path");
        for (pattern, path, query) in [
            ("/**/info/refs?service=*", "/o/secret", "/info/refs?service=x"),
            ("/users/*/avatar", "/users/1", "/avatar"),
            ("/users/?/avatar", "/users/", "/avatar"),
            ("/users/?*", "/users/", "x=1"),
            ("/repos/**/public", "/repos/secret", "x=/public"),
        ] {
            assert!(!matches(pattern, path, query), "{pattern} {path}?{query}");
        }
    }

    #[test]
    fn a_star_stays_in_its_segment() {
        assert!(Glob::new("/usr/*/x").matches("/usr/bin/x"));
        assert!(!Glob::new("/usr/*").matches("/usr/bin/x"));
        assert!(Glob::new("/usr/**").matches("/usr/bin/x"));
        assert!(Glob::new("/**").matches("/"));
    }
}
