//! Takes what looks like a secret out of a record, before it goes anywhere.
//!
//! A record has no room for query values, header values and bodies. A path may hold a secret in a segment (webhooks,
//! bots, download links), and a parameter without a value is a name; the sentences of a record quote both.

use std::borrow::Cow;

use navigator_egress::AuditRecord;

/// What stands for a secret.
const MARK: &str = "[redacted]";
/// Beginnings of well-known tokens, and how many characters the shortest real one has after that.
const KNOWN: [(&str, usize); 33] = [
    ("AGE-SECRET-KEY-", 20),
    ("AIza", 30),
    ("AKIA", 16),
    ("ASIA", 16),
    ("EAACEdEose0cBA", 10),
    ("SG.", 30),
    ("dckr_pat_", 20),
    ("dop_v1_", 32),
    ("eyJ", 30),
    ("gho_", 20),
    ("ghp_", 20),
    ("ghr_", 20),
    ("ghs_", 20),
    ("ghu_", 20),
    ("github_pat_", 20),
    ("gldt-", 15),
    ("glpat-", 15),
    ("glptt-", 15),
    ("glrt-", 15),
    ("hf_", 20),
    ("npm_", 30),
    ("pk_live_", 16),
    ("pypi-", 40),
    ("rk_live_", 16),
    ("rk_test_", 16),
    ("shpat_", 20),
    ("sk-", 20),
    ("sk_live_", 16),
    ("sk_test_", 16),
    ("tskey-", 16),
    ("whsec_", 16),
    ("xapp-", 16),
    ("ya29.", 20),
];
/// Letters and digits that a random token has at least; shorter ones cannot be told from words.
const LONG: usize = 20;
/// Letters and digits without a break that such a token has at least.
const UNBROKEN: usize = 10;
/// Hexadecimal digits from which on they are a key or a hash, and no number.
const HEXADECIMAL: usize = 32;

/// Takes secrets out of everything in a record that a request can fill.
pub(crate) fn redact(record: &mut AuditRecord) {
    let mut secrets = vec![];
    if let Some(request) = &mut record.request {
        collect(&request.path, &mut secrets);
        request.parameters.iter().for_each(|name| collect(name, &mut secrets));
        // Longest first: one may be part of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        request.path = without(&request.path, &secrets).into_owned();
        for name in &mut request.parameters {
            *name = without(name, &secrets).into_owned();
        }
    }
    // The sentences are ours; only a well-known token in them is one for sure.
    for text in texts(record) {
        let mut known = vec![];
        for word in words(text) {
            if has_known_beginning(word) {
                known.push(word.to_owned());
            }
        }
        let clean = without(text, &known).into_owned();
        *text = without(&clean, &secrets).into_owned();
    }
}

fn texts(record: &mut AuditRecord) -> impl Iterator<Item = &mut String> {
    let AuditRecord { detail, rule, how, suggestion, .. } = record;
    [Some(detail), rule.as_mut(), how.as_mut(), suggestion.as_mut()].into_iter().flatten()
}

fn without<'a>(text: &'a str, secrets: &[String]) -> Cow<'a, str> {
    let mut clean = Cow::Borrowed(text);
    for secret in secrets.iter().filter(|secret| text.contains(secret.as_str())) {
        clean = Cow::Owned(clean.replace(secret.as_str(), MARK));
    }
    clean
}

fn collect(text: &str, secrets: &mut Vec<String>) {
    let mut before = "";
    for word in words(text) {
        if (has_known_beginning(word) || is_random(word)) && !is_digest_of(before) && !is_uuid(word)
        {
            secrets.push(word.to_owned());
        }
        before = word;
    }
}

/// The parts of a path that can be a token: what stands between characters that tokens do not have.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~' | '+')))
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| !word.is_empty())
}

fn has_known_beginning(word: &str) -> bool {
    let slack =
        word.strip_prefix("xox").is_some_and(|rest| rest.get(1..2) == Some("-") && rest.len() > 12);
    slack
        || KNOWN.iter().any(|(beginning, rest)| {
            word.strip_prefix(beginning).is_some_and(|token| token.len() >= *rest)
        })
}

/// `sha256:…` names content, which is no secret to anybody who may read it.
fn is_digest_of(before: &str) -> bool {
    matches!(before, "sha1" | "sha256" | "sha384" | "sha512" | "md5")
}

fn is_uuid(word: &str) -> bool {
    let lengths: Vec<usize> = word.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && word.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

/// Whether a word looks drawn by lot: long, and changing between small letters, capitals and digits all the time.
fn is_random(word: &str) -> bool {
    let pieces = || word.split(|c: char| !c.is_ascii_alphanumeric());
    let length: usize = pieces().map(str::len).sum();
    let unbroken = pieces().map(str::len).max().unwrap_or(0);
    if length < LONG || unbroken < UNBROKEN {
        return false;
    }
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    if pieces().any(is_hexadecimal) {
        return true;
    }
    let (mut changes, mut pairs) = (0, 0);
    for pair in pieces().flat_map(|piece| piece.as_bytes().windows(2)) {
        pairs += 1;
        changes += usize::from(class(pair[0]) != class(pair[1]));
    }
    // Measured on the corpus: words in any spelling stay below a quarter, random letters of both cases and digits
    // are about six tenths, without digits one half.
    (digits >= 2 && changes * 100 >= pairs * 30) || changes * 100 >= pairs * 45
}

fn is_hexadecimal(piece: &str) -> bool {
    piece.len() >= HEXADECIMAL
        && piece.bytes().all(|byte| byte.is_ascii_hexdigit())
        && piece.bytes().any(|byte| byte.is_ascii_digit())
        && piece.bytes().any(|byte| byte.is_ascii_alphabetic())
}

fn class(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => 0,
        b'a'..=b'z' => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use navigator_egress::AuditRequest;

    fn clean(path: &str) -> String {
        let mut record = crate::audit::samples::request();
        record.request =
            Some(AuditRequest { method: "GET".into(), path: path.to_owned(), parameters: vec![] });
        record.detail = format!("no rule of policy `p` allows GET {path}");
        record.rule = Some(format!("GET {path}"));
        record.suggestion = Some(format!("rules:\n  - allow: {{ method: GET, path: {path} }}\n"));
        record.how = Some(format!("allow GET {path} in `p`"));
        redact(&mut record);
        let path = record.request.as_ref().unwrap().path.clone();
        for text in texts(&mut record) {
            assert!(text.contains(&path), "{text} quotes another path than {path}");
        }
        path
    }

    #[test]
    fn the_corpus_is_redacted_and_kept_as_it_says() {
        let mut counted = [0, 0];
        for line in include_str!("redact/corpus.txt").lines().filter(|line| !line.starts_with('#'))
        {
            // Broken by a mark in the file, so that no scanner takes them for real ones.
            let line = line.replace('·', "");
            let (what, path) = line.split_once(' ').unwrap();
            let after = clean(path);
            match what {
                "keep" => assert_eq!(after, path),
                _ => {
                    assert!(after.contains(MARK), "{path} was kept");
                    assert!(!after.contains(what), "{what} was kept in {after}");
                }
            }
            counted[usize::from(what == "keep")] += 1;
        }
        assert!(counted.iter().all(|count| *count >= 20), "{counted:?}");
    }

    #[test]
    fn a_parameter_that_is_a_token_is_redacted() {
        let mut record = crate::audit::samples::request();
        let token = ["ghp", "_0123456789abcdefghijABCDEFGHIJ012345"].concat();
        record.request.as_mut().unwrap().parameters = vec!["page".into(), token];
        redact(&mut record);
        assert_eq!(record.request.unwrap().parameters, ["page", MARK]);
    }

    proptest::proptest! {
        #[test]
        fn redacting_twice_changes_nothing_and_never_panics(path in "/\\PC{0,80}") {
            let mut once = crate::audit::samples::request();
            once.request.as_mut().unwrap().path = path;
            redact(&mut once);
            let mut twice = once.clone();
            redact(&mut twice);
            proptest::prop_assert_eq!(once, twice);
        }

        #[test]
        fn random_tokens_are_found(token in "[a-z0-9]{32}|[A-Za-z0-9]{40}|[0-9a-f]{40}") {
            let found = clean(&format!("/hooks/{token}/end"));
            // One in some thousands is drawn so that it looks like a word.
            let changes = token.as_bytes().windows(2).filter(|w| class(w[0]) != class(w[1])).count();
            proptest::prop_assume!(changes * 3 > token.len() && token.bytes().any(|b| b.is_ascii_digit()));
            proptest::prop_assert_eq!(found, "/hooks/[redacted]/end");
        }
    }
}
