//! How a registry says that users must prove who they are (RFC 9110, 11.3; RFC 6750, 3).

use http::header::{HeaderMap, WWW_AUTHENTICATE};

/// How the user is to log in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// With a token from `realm`.
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
    /// With name and password.
    Basic,
}

impl Challenge {
    /// The best way that an answer offers: tokens before passwords.
    pub(crate) fn read(headers: &HeaderMap) -> Option<Challenge> {
        let lines = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|line| line.to_str().ok());
        let offered: Vec<_> = lines.flat_map(challenges).collect();
        let bearer = offered.iter().find_map(|(scheme, parameters)| {
            let value = |name: &str| {
                let found = parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.clone())
            };
            let is_bearer = scheme.eq_ignore_ascii_case("bearer");
            let realm = value("realm").filter(|_| is_bearer)?;
            Some(Challenge::Bearer { realm, service: value("service"), scope: value("scope") })
        });
        let basic = || offered.iter().any(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
        bearer.or_else(|| basic().then_some(Challenge::Basic))
    }
}

type Parameters = Vec<(String, String)>;

/// The challenges of one line: schemes with their parameters. What cannot be read ends the line.
fn challenges(line: &str) -> Vec<(String, Parameters)> {
    let mut found: Vec<(String, Parameters)> = vec![];
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let word = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(word);
        if name.is_empty() {
            return found;
        }
        let Some(value) = after.trim_start().strip_prefix('=') else {
            found.push((name.to_owned(), vec![]));
            rest = after;
            continue;
        };
        let (Some((value, after)), Some((_, parameters))) = (value_of(value), found.last_mut())
        else {
            return found;
        };
        parameters.push((name.to_owned(), value));
        rest = after;
    }
}

/// A token or a quoted string, and what follows it.
fn value_of(text: &str) -> Option<(String, &str)> {
    let text = text.trim_start();
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let (mut value, mut letters) = (String::new(), quoted.char_indices());
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(letters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Option<Challenge> {
        let line = |line: &&str| (WWW_AUTHENTICATE, line.parse().unwrap());
        Challenge::read(&lines.iter().map(line).collect())
    }

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        let (service, scope) = (service.map(Into::into), scope.map(Into::into));
        Some(Challenge::Bearer { realm: realm.into(), service, scope })
    }

    #[test]
    fn a_token_is_asked_for_where_the_registry_says() {
        let hub = r#"Bearer realm="https://auth.example/token",service="r",scope="repository:a/b:pull,push""#;
        let scope = Some("repository:a/b:pull,push");
        assert_eq!(read(&[hub]), bearer("https://auth.example/token", Some("r"), scope));
        assert_eq!(read(&["bearer  Realm = x , SERVICE=y"]), bearer("x", Some("y"), None));
        let both = r#"Basic realm="a, Bearer realm=no", Bearer realm="b\"c""#;
        assert_eq!(read(&[both]), bearer("b\"c", None, None));
    }

    #[test]
    fn passwords_are_used_where_nothing_else_is_offered() {
        assert_eq!(read(&["Basic realm=\"x\""]), Some(Challenge::Basic));
        assert_eq!(read(&["Negotiate", "BASIC"]), Some(Challenge::Basic));
        for line in
            ["", "Negotiate", "Bearer", "=", "Bearer realm=\"open", ",,, ,", "Bearer realm=\"\\"]
        {
            assert_eq!(read(&[line]), None, "{line}");
        }
    }
}
