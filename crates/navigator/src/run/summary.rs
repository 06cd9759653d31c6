//! What `navigator run` tells on standard error, before and after the command.

use std::fmt::Write as _;
use std::time::Duration;

use navigator_policy::{Policy, SandboxPath};
use navigator_supervisor::{LayerStatus, SkippedPath};

use crate::output::{Format, line, neutral, neutral_json, say};

/// Tells what is weaker than asked for, and which paths of the user's policy are missing.
pub fn before(layers: &[LayerStatus], skipped: &[SkippedPath], policy: &Policy) {
    for layer in layers.iter().filter(|layer| layer.layer == "landlock") {
        if let Some(reason) = &layer.degraded {
            say(&format!("navigator: {} is degraded: {}", layer.layer, line(reason)));
        }
    }
    // The paths of the built-in policy are a list of what systems may have.
    let usual = Policy::restrictive_default();
    let usual: Vec<&str> = usual.filesystem.read_only.iter().map(SandboxPath::as_str).collect();
    let own = policy.filesystem.read_write.iter().chain(&policy.filesystem.read_only);
    let asked: Vec<&str> = own.map(SandboxPath::as_str).collect();
    for skip in skipped {
        let path = skip.path.to_string_lossy();
        if !usual.contains(&&*path) && asked.contains(&&*path) {
            say(&format!("navigator: {} is not available: {}", line(&path), line(&skip.reason)));
        }
    }
}

/// Lists each distinct denial once, with the smallest change that would allow it.
pub fn after(denials: &[navigator_supervisor::DistinctDenial], format: Format) {
    if denials.is_empty() {
        return;
    }
    match format {
        Format::Json => match serde_json::to_string(&serde_json::json!({ "denials": denials })) {
            Ok(text) => say(&neutral_json(&text)),
            Err(error) => tracing::error!(%error, "failed to print the denials"),
        },
        Format::Text => say(text(denials).trim_end()),
    }
}

fn text(denials: &[navigator_supervisor::DistinctDenial]) -> String {
    let mut text = format!("navigator: {} denied:\n", count(denials.len()));
    for denial in denials {
        let times =
            if denial.count > 1 { format!(" ({} times)", denial.count) } else { String::new() };
        let (program, host) = (line(&denial.program), line(&denial.host));
        // Writing to a string cannot fail.
        let request = denial.request.as_ref().map(|request| format!(" {}", line(request)));
        let request = request.unwrap_or_default();
        let _ = writeln!(text, "  {program} → {host}:{}{request}{times}", denial.port);
        let _ = writeln!(text, "    {}", line(&denial.detail));
        if let Some(suggestion) = &denial.suggestion {
            let _ = writeln!(text, "    to allow it, add to the policy:");
            for row in suggestion.lines() {
                let _ = writeln!(text, "      {}", neutral(row));
            }
        }
    }
    text
}

fn count(denials: usize) -> String {
    match denials {
        1 => "1 request was".into(),
        more => format!("{more} different requests were"),
    }
}

/// Says that the audit file has gaps.
pub fn lost(records: u64) {
    if records > 0 {
        say(&format!(
            "navigator: {records} records could not be written to the audit file; \
             free its disk or name another file with --audit"
        ));
    }
}

/// Says that the time was over.
pub fn timed_out(limit: Option<Duration>) {
    if let Some(limit) = limit {
        say(&format!("navigator: stopped after {limit:?} (--timeout)"));
    }
}
