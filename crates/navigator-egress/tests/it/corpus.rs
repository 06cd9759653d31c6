//! Reads the case files under `tests/corpus`; their format is described at the top of each.

/// One case of a line-per-case file: `name | what reaches the origin | bytes`.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) expected: String,
    pub(crate) bytes: String,
}

/// The cases of a file.
pub(crate) fn cases(text: &str) -> Vec<Case> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let mut parts = line.splitn(3, " | ").map(str::to_owned);
            let mut part = || parts.next().unwrap_or_else(|| panic!("three parts: {line}"));
            Case { name: part().trim().to_owned(), expected: part(), bytes: part() }
        })
        .collect()
}

/// Replaces `\r \n \t \0 \\ \xHH` and `{N*text}`.
pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (vec![], text);
    while let Some(first) = rest.chars().next() {
        let (here, after) = match (first, rest.get(1..2)) {
            ('\\', Some("x")) => (vec![u8::from_str_radix(&rest[2..4], 16).unwrap()], 4),
            ('\\', Some(kind)) => {
                let at = "rnt0\\".find(kind).unwrap_or_else(|| panic!("escape in {rest}"));
                (vec![b"\r\n\t\0\\"[at]], 2)
            }
            ('{', _) => {
                let end = rest.find('}').unwrap();
                let (count, part) = rest[1..end].split_once('*').unwrap();
                (unescape(part).repeat(count.parse().unwrap()), end + 1)
            }
            (other, _) => (other.to_string().into_bytes(), other.len_utf8()),
        };
        bytes.extend(here);
        rest = &rest[after..];
    }
    bytes
}
