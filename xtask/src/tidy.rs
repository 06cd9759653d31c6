//! Rules about files and dependencies that the compiler does not know.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::shell;

/// Lines that a file may have; what is longer does two things.
const LINES: usize = 600;
/// Names that say nothing about what a module owns.
const EMPTY_NAMES: [&str; 7] = ["utils", "helpers", "common", "core", "misc", "types", "manager"];
/// Crates that nothing may depend on: another TLS, unmaintained, or C where Rust is there.
const BANNED: [&str; 9] = [
    "openssl",
    "native-tls",
    "boring",
    "serde_yaml",
    "serde_yml",
    "libyml",
    "tokio-tar",
    "rustables",
    "async-std",
];
/// Dependencies that would turn the architecture around: crate, and what it must never reach.
const FORBIDDEN: [(&str, &[&str]); 13] = [
    ("navigator-policy", &["tokio", "http", "hyper", "rustix", "jiff", "nix"]),
    ("navigator-isolation", &["navigator-policy", "navigator-egress", "tokio", "hyper"]),
    ("navigator-egress", &["navigator-isolation", "navigator-supervisor", "tonic", "prost"]),
    (
        "navigator-ssh",
        &[
            "navigator-proto",
            "navigator-gateway",
            "navigator-isolation",
            "navigator-egress",
            "navigator-supervisor",
            "tonic",
        ],
    ),
    (
        "navigator-registry",
        &["navigator-images", "navigator-policy", "navigator-egress", "navigator-proto", "clap"],
    ),
    ("navigator-sftp", &["tokio", "navigator-policy"]),
    ("navigator-tunnel", &["hyper", "navigator-policy"]),
    ("navigator-images", &["tokio", "clap", "navigator-policy", "navigator-isolation"]),
    // Its session speaks gRPC; of the gateway it knows nothing else.
    (
        "navigator-supervisor",
        &["clap", "rusqlite", "tokio-postgres", "navigator-gateway", "navigator-drivers"],
    ),
    (
        "navigator-gateway",
        &[
            "navigator-isolation",
            "navigator-egress",
            "navigator-supervisor",
            "navigator-client",
            "clap",
        ],
    ),
    ("navigator-drivers", &["navigator-policy", "navigator-proto", "navigator-gateway", "tonic"]),
    (
        "navigator-client",
        &["navigator-gateway", "navigator-drivers", "navigator-supervisor", "rusqlite", "clap"],
    ),
    ("navigator-proto", &["navigator-isolation", "navigator-egress", "rusqlite", "clap"]),
];
/// Oldest versions without known holes.
const OLDEST: [(&str, [u64; 3]); 6] = [
    ("rustls", [0, 23, 45]),
    ("h2", [0, 4, 16]),
    ("russh", [0, 65, 1]),
    ("anyhow", [1, 0, 103]),
    ("rustls-webpki", [0, 103, 13]),
    ("aws-lc-sys", [0, 39, 0]),
];

/// Checks all rules and reports every violation.
pub fn run() -> Result<()> {
    let mut violations = vec![];
    for file in
        shell::output(Command::new("git").args(["ls-files", "-co", "--exclude-standard"]))?.lines()
    {
        let path = Path::new(file);
        // A file that is deleted and not committed yet is still listed.
        if let Ok(text) = std::fs::read_to_string(path) {
            check_file(file, &text, &mut violations);
        }
    }
    check_dependencies(&mut violations)?;
    for violation in &violations {
        eprintln!("tidy: {violation}");
    }
    if !violations.is_empty() {
        bail!("{} rules are broken", violations.len());
    }
    eprintln!("tidy: all rules hold");
    Ok(())
}

fn check_file(file: &str, text: &str, violations: &mut Vec<String>) {
    let mut broken = |rule: String| violations.push(format!("{file}: {rule}"));
    if file.ends_with("Cargo.toml") && file != "Cargo.toml" && !file.starts_with("fuzz/") {
        check_manifest(text, &mut broken);
    }
    if !file.ends_with(".rs") || file.contains("/generated/") {
        return;
    }
    let lines = text.lines().count();
    if lines > LINES {
        broken(format!("{lines} lines; split it (limit {LINES})"));
    }
    let stem = Path::new(file).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if stem == "mod" || EMPTY_NAMES.contains(&stem) {
        broken("name it for what it decides or owns".into());
    }
    if !text.starts_with("//!") && stem != "tests" {
        broken("start with a `//!` line that says its responsibility".into());
    }
    let may_be_unsafe = file.starts_with("crates/navigator-isolation/");
    let unsafe_block = ["unsafe ", "{"].concat();
    if !may_be_unsafe && text.contains(&unsafe_block) && !file.starts_with("xtask/") {
        broken("unsafe code belongs in navigator-isolation".into());
    }
    for word in [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["todo", "!("].concat()] {
        if text.contains(&word) {
            broken(format!("`{word}`: finish it"));
        }
    }
}

/// Versions live in the root manifest only.
fn check_manifest(text: &str, broken: &mut impl FnMut(String)) {
    let mut dependencies = false;
    for line in text.lines() {
        if line.starts_with('[') {
            dependencies = line.contains("dependencies");
        } else if dependencies && line.contains('=') && !line.contains("workspace = true") {
            broken(format!("`{}`: write `workspace = true`", line.trim()));
        }
    }
}

fn check_dependencies(violations: &mut Vec<String>) -> Result<()> {
    let mut metadata = Command::new(env!("CARGO"));
    metadata.args(["metadata", "--format-version", "1", "--locked"]);
    let metadata: Value = serde_json::from_str(&shell::output(&mut metadata)?)?;
    let graph = Graph::read(&metadata);
    for (package, forbidden) in FORBIDDEN {
        let reached = graph.reach(package);
        for other in forbidden.iter().filter(|other| reached.contains(**other)) {
            violations.push(format!("{package} depends on {other}"));
        }
    }
    for banned in BANNED.iter().filter(|name| graph.versions.contains_key(**name)) {
        violations.push(format!("{banned} is banned"));
    }
    for (name, oldest) in OLDEST {
        for version in graph.versions.get(name).into_iter().flatten() {
            if *version < oldest {
                violations.push(format!("{name} {version:?} has known holes; {oldest:?} has not"));
            }
        }
    }
    Ok(())
}

/// Which package uses which, development dependencies left out.
struct Graph {
    names: BTreeMap<String, String>,
    edges: BTreeMap<String, Vec<String>>,
    versions: BTreeMap<String, Vec<[u64; 3]>>,
}

impl Graph {
    fn read(metadata: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let (mut names, mut versions) = (BTreeMap::new(), BTreeMap::<_, Vec<_>>::new());
        for package in list(&metadata["packages"]) {
            let name = text(&package["name"]);
            names.insert(text(&package["id"]), name.clone());
            versions.entry(name).or_default().push(version(&text(&package["version"])));
        }
        let mut edges = BTreeMap::new();
        for node in list(&metadata["resolve"]["nodes"]) {
            let normal = |dependency: &Value| {
                list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"] != "dev")
            };
            let used =
                list(&node["deps"]).iter().filter(|d| normal(d)).map(|d| text(&d["pkg"])).collect();
            edges.insert(text(&node["id"]), used);
        }
        Self { names, edges, versions }
    }

    /// Names of everything that a package uses, directly or not.
    fn reach(&self, package: &str) -> BTreeSet<&str> {
        let start = self.names.iter().find(|(_, name)| *name == package).map(|(id, _)| id);
        let mut open: Vec<&String> = start.into_iter().collect();
        let mut seen = BTreeSet::new();
        while let Some(id) = open.pop() {
            for next in self.edges.get(id).into_iter().flatten() {
                if seen.insert(next) {
                    open.push(next);
                }
            }
        }
        seen.into_iter().filter_map(|id| self.names.get(id)).map(String::as_str).collect()
    }
}

fn version(text: &str) -> [u64; 3] {
    let mut numbers = text.split(['.', '-', '+']).map(|part| part.parse().unwrap_or(0));
    std::array::from_fn(|_| numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(file: &str, text: &str) -> Vec<String> {
        let mut found = vec![];
        check_file(file, text, &mut found);
        found
    }

    #[test]
    fn a_plain_module_is_fine() {
        assert!(violations("crates/x/src/a.rs", "//! Owns a.\n").is_empty());
    }

    #[test]
    fn each_rule_finds_its_violation() {
        let long = format!("//! Long.\n{}", "\n".repeat(LINES));
        let outside = ["//! x\nfn f() { unsafe ", "{ g() } }"].concat();
        let unfinished = ["//! x\n// TO", "DO later"].concat();
        for (file, text) in [
            ("crates/x/src/a.rs", long.as_str()),
            ("crates/x/src/mod.rs", "//! x\n"),
            ("crates/x/src/utils.rs", "//! x\n"),
            ("crates/x/src/a.rs", "fn f() {}\n"),
            ("crates/x/src/a.rs", outside.as_str()),
            ("crates/x/src/a.rs", unfinished.as_str()),
            ("crates/x/Cargo.toml", "[dependencies]\na = \"1\"\n"),
        ] {
            assert_eq!(violations(file, text).len(), 1, "{file}: {text:.60}");
        }
    }

    #[test]
    fn versions_compare_by_number() {
        assert!(version("0.23.9") < [0, 23, 45]);
        assert!(version("1.0.103+x") >= [1, 0, 103]);
    }
}
