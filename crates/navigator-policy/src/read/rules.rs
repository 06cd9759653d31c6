//! Rules over the requests of an inspected endpoint.

use std::collections::BTreeMap;

use super::fields::Reader;
use crate::document::Node;
use crate::model::{Effect, Rule};

/// Methods of RFC 9110, RFC 5789 and WebDAV that are not worth a warning.
const KNOWN_METHODS: [&str; 17] = [
    "*",
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
];

impl Reader {
    pub(super) fn rules(&mut self, node: &Node, at: &str) -> Vec<Rule> {
        let Some(list) = self.list(node, at) else { return vec![] };
        if list.is_empty() {
            let message = "an empty list of rules allows nothing".to_owned();
            self.error(node, at, message, Some("add a rule, or write `access: full`"));
        }
        let items = list.iter().enumerate();
        items.filter_map(|(index, node)| self.rule(node, &format!("{at}[{index}]"))).collect()
    }

    fn rule(&mut self, node: &Node, at: &str) -> Option<Rule> {
        let fields = self.map(node, at, &["allow", "deny"])?;
        let (effect, key, body) = match (fields.get("allow"), fields.get("deny")) {
            (Some(body), None) => (Effect::Allow, "allow", *body),
            (None, Some(body)) => (Effect::Deny, "deny", *body),
            (Some(_), Some(_)) | (None, None) => {
                let message = "a rule has either `allow` or `deny`".to_owned();
                self.error(
                    node,
                    at,
                    message,
                    Some("write `- allow: { method: GET, path: \"/**\" }`"),
                );
                return None;
            }
        };
        let at = format!("{at}.{key}");
        let fields = self.map(body, &at, &["method", "path", "query", "command"])?;
        let method = match fields.get("method") {
            Some(node) => self.method(node, &format!("{at}.method"))?,
            None => "*".to_owned(),
        };
        let path = match fields.get("path") {
            Some(node) => self.rule_path(node, &format!("{at}.path"))?,
            None => "/**".to_owned(),
        };
        let query = match fields.get("query") {
            Some(node) => self.query(node, &format!("{at}.query")),
            None => BTreeMap::new(),
        };
        let command = match fields.get("command") {
            Some(node) => Some(self.text(node, &format!("{at}.command"))?.to_ascii_uppercase()),
            None => None,
        };
        if fields.is_empty() {
            let message = "a rule that names nothing matches everything by accident".to_owned();
            self.error(
                body,
                &at,
                message,
                Some("write `{ method: \"*\", path: \"/**\" }` if it is meant"),
            );
            return None;
        }
        Some(Rule { effect, method, path, query, command })
    }

    fn method(&mut self, node: &Node, at: &str) -> Option<String> {
        let method = self.text(node, at)?.to_ascii_uppercase();
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if method.is_empty() || !method.chars().all(token) {
            self.error(node, at, "it is not an HTTP method".into(), Some("write one such as GET"));
            return None;
        }
        if !KNOWN_METHODS.contains(&method.as_str()) {
            let message = format!("`{method}` is not a method that servers know");
            self.warning(node, at, message, "check the spelling");
        }
        Some(method)
    }

    fn rule_path(&mut self, node: &Node, at: &str) -> Option<String> {
        let path = self.text(node, at)?;
        if !(path.starts_with('/') || path.starts_with("**")) || path.chars().any(char::is_control)
        {
            let message = "a path pattern starts with `/`".to_owned();
            self.error(node, at, message, Some("write one such as `/repos/**`"));
            return None;
        }
        Some(path)
    }

    fn query(&mut self, node: &Node, at: &str) -> BTreeMap<String, String> {
        let mut query = BTreeMap::new();
        for (key, node) in self.entries(node, at).unwrap_or_default() {
            if let Some(value) = self.text(node, &format!("{at}.{}", key.text)) {
                query.insert(key.text.clone(), value);
            }
        }
        query
    }
}
