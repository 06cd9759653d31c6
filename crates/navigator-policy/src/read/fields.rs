//! Typed access to the tree; whatever is not of the wanted type becomes an error at its place.

use std::collections::BTreeMap;

use crate::diagnostics::{Collector, Found};
use crate::document::{Key, Node, Place, Value};
use crate::visible::is_visible;

/// Reads a tree and collects what is wrong with it.
pub(super) struct Reader {
    pub(super) found: Collector,
}

impl Reader {
    pub(super) fn error_at(&mut self, at: Place, path: &str, message: String, help: Option<&str>) {
        self.found.error(Found { at, path, text: "" }, message, help.map(str::to_owned));
    }

    pub(super) fn error(&mut self, node: &Node, path: &str, message: String, help: Option<&str>) {
        let text = shown(&node.value);
        let found = Found { at: node.at, path, text: &text };
        self.found.error(found, message, help.map(str::to_owned));
    }

    pub(super) fn warning(&mut self, node: &Node, path: &str, message: String, help: &str) {
        let text = shown(&node.value);
        let found = Found { at: node.at, path, text: &text };
        self.found.warning(found, message, Some(help.to_owned()));
    }

    pub(super) fn missing(&mut self, node: &Node, path: &str, help: &str) {
        let key = path.rsplit('.').next().unwrap_or(path);
        self.error_at(node.at, path, format!("`{key}` is missing"), Some(help));
    }

    fn wrong(&mut self, node: &Node, path: &str, wanted: &str) {
        let message = format!("this is {}, and {wanted} is wanted", node.value.kind());
        self.error(node, path, message, None);
    }

    /// Texts of a policy are shown in messages, logs and headers, so none may command what shows them.
    fn visible(&mut self, at: Place, path: &str, text: &str) {
        if let Some(c) = text.chars().find(|c| !is_visible(*c)) {
            let message =
                format!("the text has the character U+{:04X}, which does not show", u32::from(c));
            self.error_at(at, path, message, Some("write it without"));
        }
    }

    /// A map with known keys; unknown ones are errors.
    pub(super) fn map<'n>(
        &mut self,
        node: &'n Node,
        path: &str,
        keys: &[&str],
    ) -> Option<BTreeMap<&'n str, &'n Node>> {
        let mut fields = BTreeMap::new();
        for (key, value) in self.entries(node, path)? {
            if keys.contains(&key.text.as_str()) {
                fields.insert(key.text.as_str(), value);
                continue;
            }
            let help = match closest(&key.text, keys) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known keys are {}", keys.join(", ")),
            };
            let place =
                if path.is_empty() { key.text.clone() } else { format!("{path}.{}", key.text) };
            let found = Found { at: key.at, path: &place, text: &key.text };
            self.found.error(found, format!("unknown key `{}`", key.text), Some(help));
        }
        Some(fields)
    }

    /// A map with free keys; a key that comes twice is an error.
    pub(super) fn entries<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n [(Key, Node)]> {
        let Value::Map(entries) = &node.value else {
            self.wrong(node, path, "a map");
            return None;
        };
        for (index, (key, _)) in entries.iter().enumerate() {
            self.visible(key.at, path, &key.text);
            if entries[..index].iter().any(|(other, _)| other.text == key.text) {
                let found = Found { at: key.at, path, text: &key.text };
                self.found.error(found, format!("the key `{}` comes twice", key.text), None);
            }
        }
        Some(entries)
    }

    pub(super) fn list<'n>(&mut self, node: &'n Node, path: &str) -> Option<&'n [Node]> {
        match &node.value {
            Value::List(list) => Some(list),
            _ => {
                self.wrong(node, path, "a list");
                None
            }
        }
    }

    pub(super) fn text(&mut self, node: &Node, path: &str) -> Option<String> {
        match &node.value {
            Value::Text(text) => {
                self.visible(node.at, path, text);
                Some(text.clone())
            }
            Value::Integer(_) | Value::Float | Value::Bool(_) => {
                self.wrong(node, path, "text (put it in quotes)");
                None
            }
            Value::Null | Value::List(_) | Value::Map(_) => {
                self.wrong(node, path, "text");
                None
            }
        }
    }

    pub(super) fn texts(&mut self, node: &Node, path: &str) -> Vec<String> {
        let list = self.list(node, path).unwrap_or_default();
        let items = list.iter().enumerate();
        items.filter_map(|(index, item)| self.text(item, &format!("{path}[{index}]"))).collect()
    }

    pub(super) fn boolean(&mut self, node: &Node, path: &str) -> Option<bool> {
        match node.value {
            Value::Bool(value) => Some(value),
            _ => {
                self.wrong(node, path, "true or false");
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        node: &Node,
        path: &str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let text = self.text(node, path)?;
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let help = format!("write one of {}", words.join(", "));
        self.error(node, path, format!("`{text}` is not known here"), Some(&help));
        None
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Null | Value::Float | Value::List(_) | Value::Map(_) => String::new(),
    }
}

/// The key that was probably meant: the one with the smallest edit distance, if that is small.
fn closest<'k>(word: &str, keys: &[&'k str]) -> Option<&'k str> {
    let near = keys.iter().map(|key| (distance(word, key), *key)).min()?;
    (near.0 <= 2.max(word.len() / 3)).then_some(near.1)
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut before = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = before + usize::from(x != *y);
            before = row[j + 1];
            row[j + 1] = replaced.min(before + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_finds_the_right_one() {
        assert_eq!(closest("read_onyl", &["read_only", "read_write"]), Some("read_only"));
        assert_eq!(closest("zzz", &["read_only"]), None);
    }
}
