//! Writes the policy that a watched run needs, and tells what was seen against what is granted.

use std::collections::BTreeMap;
use std::path::Path;

use navigator_policy::{Policy, Requests, Seen};
use navigator_supervisor::{Observation, Outcome, SkippedPath};

use crate::output::{neutral, say};
use crate::text_file::{self, WriteError};

/// What is written above a learned policy.
const HEADER: &str = "\
# Learned from one run: the files that its programs used, what they reached and what they asked for, and nothing else.
# What it may write is what the policy of the run let it write. Read it before you use it.
";

/// Makes sure, before anything runs, that there is a place for the result.
pub(super) fn check_place(path: &Path) -> Result<(), WriteError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let fail = |source| WriteError::File { path: path.to_owned(), source };
    let directory = std::fs::metadata(parent.unwrap_or(Path::new("."))).map_err(fail)?;
    if path.is_dir() {
        return Err(fail(std::io::ErrorKind::IsADirectory.into()));
    }
    if directory.is_dir() { Ok(()) } else { Err(fail(std::io::ErrorKind::NotADirectory.into())) }
}

/// Writes the policy and tells about it.
pub(super) fn finish(
    path: &Path,
    base: &Policy,
    skipped: &[SkippedPath],
    outcome: &Outcome,
) -> Result<(), WriteError> {
    let mut policy = base.clone();
    let there = |listed: &navigator_policy::SandboxPath| {
        !skipped.iter().any(|skip| skip.path == Path::new(listed.as_str()))
    };
    policy.filesystem.read_only.retain(there);
    policy.filesystem.read_write.retain(there);
    policy.learn_files(&outcome.files);
    policy.learn(&outcome.observations);
    let text = format!("{HEADER}{}", policy.to_yaml());
    if !path.exists() {
        std::fs::File::create_new(path)
            .map_err(|source| WriteError::File { path: path.to_owned(), source })?;
    }
    text_file::replace(path, &text)?;
    say(&summary(path, &policy, outcome));
    Ok(())
}

fn summary(path: &Path, policy: &Policy, outcome: &Outcome) -> String {
    let mut lines = vec![format!(
        "navigator: learned {} from {}; written to {}",
        count(policy.network.len(), "network policy", "network policies"),
        count(outcome.observations.len(), "destination of a program", "destinations of programs"),
        neutral(&path.display().to_string()),
    )];
    let paths = count(policy.filesystem.read_only.len(), "path", "paths");
    let files = count(outcome.files.len(), "file", "different files");
    lines.push(format!("  observed {files}, granted by {paths} to read"));
    for seen in &outcome.observations {
        let (program, host) = (neutral(&seen.program), neutral(&seen.host.to_string()));
        lines.push(format!("  {program} → {host}:{}: {}", seen.port, observed(seen)));
        if let Some((key, rules)) = granted(policy, seen) {
            lines.push(format!("    granted by `{}`: {rules}", neutral(key)));
        }
    }
    if outcome.unnoted > 0 {
        let more = count(
            usize::try_from(outcome.unnoted).unwrap_or(usize::MAX),
            "thing was seen and not noted",
            "things were seen and not noted",
        );
        lines.push(format!("  {more}: the run did too much different things to learn all"));
    }
    lines.join("\n")
}

fn observed(seen: &Observation) -> String {
    let Seen::Requests { requests, .. } = &seen.seen else {
        return "observed bytes that could not be looked at".into();
    };
    let mut methods: BTreeMap<&str, usize> = BTreeMap::new();
    for (method, _) in requests {
        *methods.entry(method).or_default() += 1;
    }
    let methods: Vec<_> = methods.iter().map(|(method, n)| format!("{method} {n}")).collect();
    let different = count(requests.len(), "request", "different requests");
    format!("observed {different} ({})", neutral(&methods.join(", ")))
}

/// The policy that grants an observation, and how much it grants.
fn granted<'p>(policy: &'p Policy, seen: &Observation) -> Option<(&'p str, String)> {
    let host = navigator_policy::EndpointHost::Exact(seen.host.clone());
    policy.network.iter().find_map(|(key, network)| {
        let endpoint = network.endpoints.iter().find(|endpoint| {
            endpoint.host.as_ref() == Some(&host) && endpoint.ports.contains(&seen.port)
        })?;
        network.binaries.contains(&seen.program).then(|| {
            let granted = match &endpoint.requests {
                Some(Requests::Rules(rules)) => {
                    let wild = rules.iter().filter(|rule| rule.path.contains('*')).count();
                    let patterns = count(wild, "with a wildcard", "with wildcards");
                    format!("{}, {patterns}", count(rules.len(), "rule", "rules"))
                }
                Some(Requests::Access(_)) | None => {
                    "a tunnel, in which anything may be said".into()
                }
            };
            (key.as_str(), granted)
        })
    })
}

fn count(number: usize, one: &str, more: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {more}") }
}
