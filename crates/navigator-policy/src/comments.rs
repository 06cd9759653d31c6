//! A policy written out again with the comments that its author wrote.
//!
//! A comment belongs to the key or list item that starts on its line or, for a line of its own, below it. What it
//! belongs to may be spelled differently or be gone afterwards: then the nearest thing around it has the comment.

use std::collections::BTreeMap;

use crate::document::{self, Node, Value};
use crate::model::Policy;
use crate::visible::is_visible;

/// Steps from the root: keys, and places in lists.
type Path = Vec<String>;

/// The comments of one line's worth of policy.
#[derive(Default)]
struct Attached {
    above: Vec<String>,
    behind: Option<String>,
}

impl Policy {
    /// The policy as YAML, in the usual order of keys, with the comments of the text that it was read from or made of.
    #[must_use]
    pub fn to_yaml_like(&self, source: &str) -> String {
        let plain = self.to_yaml();
        let (Ok(before), Ok(after)) = (document::parse(source), document::parse(&plain)) else {
            return plain;
        };
        let text = with_comments(&plain, &starts(&after), source, &starts(&before));
        // Comments never change what a policy means; were one to, it is better lost.
        match crate::load("again", &text) {
            Ok(again) if again.policy == *self => text,
            Ok(_) | Err(_) => plain,
        }
    }
}

/// What starts on each line, outermost first where several things do.
fn starts(root: &Node) -> BTreeMap<usize, Path> {
    let mut lines = BTreeMap::new();
    collect(root, &mut vec![], &mut lines);
    lines
}

fn collect(node: &Node, path: &mut Path, lines: &mut BTreeMap<usize, Path>) {
    let mut enter = |step: String, line: usize, node: &Node| {
        path.push(step);
        lines.entry(line).or_insert_with(|| path.clone());
        collect(node, path, lines);
        path.pop();
    };
    match &node.value {
        Value::Map(entries) => {
            entries.iter().for_each(|(key, node)| enter(key.text.clone(), key.at.line, node));
        }
        Value::List(items) => {
            let items = items.iter().enumerate();
            items.for_each(|(index, node)| enter(index.to_string(), node.at.line, node));
        }
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float | Value::Text(_) => {}
    }
}

fn with_comments(
    plain: &str,
    places: &BTreeMap<usize, Path>,
    source: &str,
    starts: &BTreeMap<usize, Path>,
) -> String {
    let known: BTreeMap<&Path, usize> = places.iter().map(|(line, path)| (path, *line)).collect();
    let nearest = |path: &Path| {
        let mut path = path.clone();
        while !path.is_empty() && !known.contains_key(&path) {
            path.pop();
        }
        known.get(&path).copied()
    };
    let mut attached = BTreeMap::<usize, Attached>::new();
    let mut waiting = vec![];
    for (index, line) in source.lines().enumerate() {
        let line_of = |path| nearest(path).unwrap_or(1);
        let here = starts.get(&(index + 1)).map(line_of);
        match (comment(line), here) {
            (Some(text), None) => waiting.push(text),
            (text, Some(at)) => {
                let attached = attached.entry(at).or_default();
                attached.above.append(&mut waiting);
                match (text, &mut attached.behind) {
                    (Some(text), behind @ None) => *behind = Some(text),
                    (Some(text), Some(_)) => attached.above.push(text),
                    (None, _) => {}
                }
            }
            (None, None) => {}
        }
    }
    let mut text = String::new();
    for (index, line) in plain.lines().enumerate() {
        let found = attached.remove(&(index + 1)).unwrap_or_default();
        let indent = &line[..line.len() - line.trim_start().len()];
        found.above.iter().for_each(|comment| text.push_str(&format!("{indent}{comment}\n")));
        text.push_str(line);
        found.behind.iter().for_each(|comment| text.push_str(&format!(" {comment}")));
        text.push('\n');
    }
    waiting.iter().for_each(|comment| text.push_str(&format!("{comment}\n")));
    text
}

/// The comment of a line, from its `#` on: one at the start or after a space, outside quotes. What does not show in it
/// is spelled out, since it is shown to people.
fn comment(line: &str) -> Option<String> {
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') if before.is_whitespace() => return Some(shown(line[at..].trim_end())),
            (None, '"' | '\'') if " [{,:-".contains(before) => quote = Some(c),
            (Some('"'), '"') if before == '\\' => {}
            (Some(open), c) if open == c => quote = None,
            (None | Some(_), _) => {}
        }
        before = c;
    }
    None
}

fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => shown.push(' '),
            c if is_visible(c) => shown.push(c),
            c => shown.extend(c.escape_unicode()),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formatted(source: &str) -> String {
        let policy = crate::load("p", source).unwrap_or_else(|errors| panic!("{errors}")).policy;
        let text = policy.to_yaml_like(source);
        assert_eq!(policy.to_yaml_like(&text), text, "it is not stable");
        text
    }

    #[test]
    fn comments_stay_with_what_they_are_about() {
        let text = formatted(
            "# What it is for.\n# More of it.\nversion: 1 # the only one\n\nnetwork_policies:\n  # Packages.\n  b:\n    endpoints:\n      # The index.\n      - { host: b.example, port: 443 } # open\n    binaries: [{ path: \"/b # no comment\" }] # who\n  # First by name.\n  a: { endpoints: [{ host: a.example, ports: [1] }], binaries: [{ path: /a }] }\n# The end.\n",
        );
        let expected = [
            "# What it is for.\n# More of it.\nversion: 1 # the only one\n",
            "  # First by name.\n  a:\n",
            "  # Packages.\n  b:\n",
            "    # The index.\n    - host: b.example # open\n",
            "    binaries: # who\n    - path: \"/b # no comment\"\n",
        ];
        for part in expected {
            assert!(text.contains(part), "{part}is not in\n{text}");
        }
        assert!(text.ends_with("# The end.\n"), "{text}");
    }

    #[test]
    fn a_comment_whose_subject_is_gone_goes_to_what_is_around_it() {
        let source = "version: 1\nnetwork_policies:\n  a:\n    endpoints:\n      - host: a.example\n        # only this\n        ports: [443]\n    binaries: [{ path: /a }]\n";
        assert!(formatted(source).contains("# only this\n"), "{}", formatted(source));
    }

    #[test]
    fn a_comment_commands_no_terminal() {
        let text = formatted("# a\u{202e}b\tc\nversion: 1\n");
        assert!(text.starts_with("# a\\u{202e}b c\nversion: 1\n"), "{text}");
    }

    #[test]
    fn a_policy_without_comments_is_the_plain_one() {
        let policy = Policy::restrictive_default();
        assert_eq!(policy.to_yaml_like(&policy.to_yaml()), policy.to_yaml());
        assert_eq!(policy.to_yaml_like("not: [yaml"), policy.to_yaml());
    }
}
