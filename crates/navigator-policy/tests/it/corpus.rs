//! Spellings of hosts and paths, as data: one line each in `tests/corpus`.

use navigator_policy::{CanonicalPath, Host};

/// Lines of a corpus file as text and expectation.
fn lines(text: &str) -> impl Iterator<Item = (String, &str)> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (text, expected) = line.rsplit_once('\t').unwrap();
        (unescape(text), expected)
    })
}

fn unescape(text: &str) -> String {
    let mut result = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            result.push(c);
            continue;
        }
        result.push(match rest.next().unwrap() {
            '0' => '\0',
            'r' => '\r',
            'n' => '\n',
            't' => '\t',
            '\\' => '\\',
            'u' => {
                let digits: String = rest.by_ref().take(4).collect();
                char::from_u32(u32::from_str_radix(&digits, 16).unwrap()).unwrap()
            }
            other => panic!("unknown escape {other}"),
        });
    }
    result
}

#[test]
fn hosts_have_one_canonical_form() {
    let (mut count, mut wrong) = (0, vec![]);
    for (text, expected) in lines(include_str!("../corpus/hosts.txt")) {
        let found = match Host::parse(&text) {
            Ok(Host::Name(name)) => format!("name {name}"),
            Ok(Host::Address(address)) => format!("address {address}"),
            Err(_) => "refused".to_owned(),
        };
        if found != expected {
            wrong.push(format!("{text:?} is {found} and not {expected}"));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(count > 100, "{count} lines only");
}

#[test]
fn canonical_hosts_stay_as_they_are() {
    for (text, _) in lines(include_str!("../corpus/hosts.txt")) {
        if let Ok(host) = Host::parse(&text) {
            assert_eq!(Host::parse(&host.to_string()), Ok(host), "{text:?}");
        }
    }
}

#[test]
fn paths_have_one_canonical_form() {
    let mut count = 0;
    for (text, expected) in lines(include_str!("../corpus/paths.txt")) {
        let found = CanonicalPath::parse(&text);
        let found = found.as_ref().map_or("refused", CanonicalPath::path);
        assert_eq!(found, expected, "{text:?}");
        count += 1;
    }
    assert!(count > 50, "{count} lines only");
}
