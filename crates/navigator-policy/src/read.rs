//! From a YAML tree to a policy, reporting every error on the way and not only the first.

mod endpoint;
mod fields;
mod rules;

use std::collections::BTreeMap;

use crate::diagnostics::{Collector, Diagnostics};
use crate::document::{self, Node, Value};
use crate::model::{
    ApiPattern, Compatibility, Filesystem, Inference, Landlock, NetworkPolicy, Policy, Process,
};
use crate::paths::SandboxPath;
use fields::Reader;

/// Largest policy text in bytes.
const TEXT_BYTES: usize = 1024 * 1024;
/// Most paths in one list.
const PATHS: usize = 256;

/// A policy that can be used, and what is odd about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The policy.
    pub policy: Policy,
    /// What is odd about it.
    pub warnings: Diagnostics,
}

/// Parses and validates a policy. `name` is the file's name for messages. Every error is returned.
pub fn load(name: &str, text: &str) -> Result<Checked, Diagnostics> {
    let mut reader = Reader { found: Collector::new(name) };
    let policy = match tree(&mut reader, text) {
        Some(node) => reader.policy(&node),
        None => Policy::default(),
    };
    let (errors, warnings) = reader.found.finish();
    if errors.is_empty() { Ok(Checked { policy, warnings }) } else { Err(errors) }
}

fn tree(reader: &mut Reader, text: &str) -> Option<Node> {
    let start = document::Place { line: 1, column: 1 };
    if text.len() > TEXT_BYTES {
        reader.error_at(start, "", "the policy is larger than 1 MiB".into(), None);
        return None;
    }
    match document::parse(text) {
        Ok(node) => Some(node),
        Err(error) => {
            reader.error_at(error.at, "", error.message, None);
            None
        }
    }
}

impl Reader {
    fn policy(&mut self, node: &Node) -> Policy {
        let mut policy = Policy::default();
        const KEYS: [&str; 6] = [
            "version",
            "filesystem_policy",
            "landlock",
            "process",
            "network_policies",
            "inference",
        ];
        let Some(fields) = self.map(node, "", &KEYS) else { return policy };
        match fields.get("version") {
            None => self.missing(node, "version", "start the policy with `version: 1`"),
            Some(version) => match version.value {
                Value::Integer(1) => policy.version = 1,
                _ => self.error(
                    version,
                    "version",
                    "the version is not known".into(),
                    Some("write `version: 1`"),
                ),
            },
        }
        if let Some(node) = fields.get("filesystem_policy") {
            policy.filesystem = self.filesystem(node);
        }
        if let Some(node) = fields.get("landlock") {
            policy.landlock = self.landlock(node);
        }
        if let Some(node) = fields.get("process") {
            policy.process = self.process(node);
        }
        if let Some(node) = fields.get("network_policies") {
            policy.network = self.network(node);
        }
        if let Some(node) = fields.get("inference") {
            policy.inference = Some(self.inference(node));
        }
        policy
    }

    fn filesystem(&mut self, node: &Node) -> Filesystem {
        let at = "filesystem_policy";
        let mut filesystem = Filesystem::default();
        let keys = ["include_workdir", "read_only", "read_write"];
        let Some(fields) = self.map(node, at, &keys) else { return filesystem };
        if let Some(node) = fields.get("include_workdir") {
            let path = format!("{at}.include_workdir");
            filesystem.include_workdir = self.boolean(node, &path).unwrap_or(true);
        }
        if let Some(node) = fields.get("read_only") {
            filesystem.read_only = self.paths(node, &format!("{at}.read_only"), Writable::No);
        }
        if let Some(node) = fields.get("read_write") {
            filesystem.read_write = self.paths(node, &format!("{at}.read_write"), Writable::Yes);
        }
        filesystem
    }

    fn paths(&mut self, node: &Node, at: &str, writable: Writable) -> Vec<SandboxPath> {
        let list = self.list(node, at).unwrap_or_default();
        if list.len() > PATHS {
            let message = format!("the list has {} paths; the limit is {PATHS}", list.len());
            self.error(node, at, message, Some("list a directory instead of what is in it"));
        }
        let mut paths = vec![];
        for (index, item) in list.iter().enumerate() {
            let at = format!("{at}[{index}]");
            let Some(text) = self.text(item, &at) else { continue };
            match SandboxPath::parse(&text) {
                Ok(path) if matches!(writable, Writable::Yes) && path.is_overly_broad() => self
                    .error(
                        item,
                        &at,
                        format!("{path} is overly broad: writing there would open the system"),
                        Some("name the directory below it that has to be written"),
                    ),
                Ok(path) if paths.contains(&path) => {}
                Ok(path) => paths.push(path),
                Err(error) => self.error(item, &at, error.to_string(), None),
            }
        }
        paths
    }

    fn landlock(&mut self, node: &Node) -> Landlock {
        let at = "landlock";
        let mut landlock = Landlock::default();
        let Some(fields) = self.map(node, at, &["compatibility"]) else { return landlock };
        if let Some(node) = fields.get("compatibility") {
            let choices = [
                ("hard_requirement", Compatibility::HardRequirement),
                ("best_effort", Compatibility::BestEffort),
            ];
            let at = "landlock.compatibility";
            landlock.compatibility = self.choice(node, at, &choices).unwrap_or_default();
        }
        landlock
    }

    fn process(&mut self, node: &Node) -> Process {
        let at = "process";
        let mut process = Process::default();
        let keys = ["run_as_user", "run_as_group"];
        let Some(fields) = self.map(node, at, &keys) else { return process };
        for (key, place) in
            keys.into_iter().zip([&mut process.run_as_user, &mut process.run_as_group])
        {
            let Some(node) = fields.get(key) else { continue };
            let at = format!("{at}.{key}");
            if matches!(node.value, Value::Integer(0)) {
                self.root(node, &at);
                continue;
            }
            let Some(name) = self.text(node, &at) else { continue };
            match name.as_str() {
                "root" | "0" => self.root(node, &at),
                name if !is_account(name) => self.error(
                    node,
                    &at,
                    "it is not the name of an account".into(),
                    Some("write a name such as `sandbox`"),
                ),
                _ => *place = name,
            }
        }
        process
    }

    fn root(&mut self, node: &Node, at: &str) {
        let message = "a sandbox never runs as root".to_owned();
        self.error(node, at, message, Some("write `sandbox`"));
    }

    fn network(&mut self, node: &Node) -> BTreeMap<String, NetworkPolicy> {
        let at = "network_policies";
        let mut policies = BTreeMap::new();
        let Some(entries) = self.entries(node, at) else { return policies };
        for (key, node) in entries {
            let at = format!("{at}.{}", key.text);
            policies.insert(key.text.clone(), self.network_policy(node, &key.text, &at));
        }
        self.shadowed(node, &policies);
        policies
    }

    fn network_policy(&mut self, node: &Node, key: &str, at: &str) -> NetworkPolicy {
        let mut policy = NetworkPolicy { name: key.to_owned(), ..NetworkPolicy::default() };
        let keys = ["name", "endpoints", "binaries"];
        let Some(fields) = self.map(node, at, &keys) else { return policy };
        if let Some(node) = fields.get("name") {
            policy.name = self.text(node, &format!("{at}.name")).unwrap_or(policy.name);
        }
        match fields.get("endpoints") {
            None => self.missing(node, &format!("{at}.endpoints"), "list at least one endpoint"),
            Some(list) => {
                let at = format!("{at}.endpoints");
                for (index, node) in self.list(list, &at).unwrap_or_default().iter().enumerate() {
                    policy.endpoints.extend(self.endpoint(node, &format!("{at}[{index}]")));
                }
            }
        }
        match fields.get("binaries") {
            None => {
                let help = "list who may reach it; `- { path: \"/**\" }` is anyone";
                self.missing(node, &format!("{at}.binaries"), help);
            }
            Some(list) => policy.binaries = self.binaries(list, &format!("{at}.binaries")),
        }
        policy
    }

    fn binaries(&mut self, node: &Node, at: &str) -> Vec<String> {
        let Some(list) = self.list(node, at) else { return vec![] };
        if list.is_empty() {
            let message = "an empty list of binaries allows nobody".to_owned();
            self.error(node, at, message, Some("write `- { path: \"/**\" }` for anyone"));
        }
        let mut binaries = vec![];
        for (index, item) in list.iter().enumerate() {
            let at = format!("{at}[{index}]");
            // `harness` is accepted and ignored: existing policies have it.
            let Some(fields) = self.map(item, &at, &["path", "harness"]) else { continue };
            let Some(node) = fields.get("path") else {
                self.missing(item, &format!("{at}.path"), "write the program's path");
                continue;
            };
            let at = format!("{at}.path");
            let Some(text) = self.text(node, &at) else { continue };
            match SandboxPath::parse(&text) {
                Ok(path) => binaries.push(path.as_str().to_owned()),
                Err(error) => self.error(node, &at, error.to_string(), None),
            }
        }
        binaries
    }

    fn inference(&mut self, node: &Node) -> Inference {
        let at = "inference";
        let mut inference = Inference::default();
        let Some(fields) = self.map(node, at, &["allowed_routes", "api_patterns"]) else {
            return inference;
        };
        if let Some(node) = fields.get("allowed_routes") {
            inference.allowed_routes = self.texts(node, "inference.allowed_routes");
        }
        if let Some(node) = fields.get("api_patterns") {
            let at = "inference.api_patterns";
            for (index, node) in self.list(node, at).unwrap_or_default().iter().enumerate() {
                inference.api_patterns.extend(self.api_pattern(node, &format!("{at}[{index}]")));
            }
        }
        inference
    }

    fn api_pattern(&mut self, node: &Node, at: &str) -> Option<ApiPattern> {
        let keys = ["method", "path_glob", "protocol", "kind"];
        let fields = self.map(node, at, &keys)?;
        let mut texts = keys.map(|_| String::new());
        for (key, place) in keys.into_iter().zip(&mut texts) {
            let at = format!("{at}.{key}");
            match fields.get(key) {
                Some(node) => *place = self.text(node, &at)?,
                None if key == "kind" => {}
                None => self.missing(node, &at, "write it"),
            }
        }
        let [method, path_glob, protocol, kind] = texts;
        Some(ApiPattern { method: method.to_ascii_uppercase(), path_glob, protocol, kind })
    }
}

#[derive(Clone, Copy)]
enum Writable {
    Yes,
    No,
}

/// Names of accounts as useradd(8) takes them.
fn is_account(name: &str) -> bool {
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let inner = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    starts && name.len() <= 32 && name.chars().all(inner)
}
