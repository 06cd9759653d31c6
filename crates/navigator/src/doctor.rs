//! `navigator doctor`: whether sandboxes can start here, found out by starting one.

use std::process::{Command, Stdio};

use navigator_client::Places;
use navigator_isolation::features::{self, Feature, Status};
use serde::Serialize;

use crate::gateway::init;
use crate::output::{self, Format, OutputError, neutral};

/// Arguments of `navigator doctor`.
#[derive(clap::Args, Debug)]
pub struct DoctorArgs {
    /// Choose how to print
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "text")]
    output: Format,
}

#[derive(Serialize)]
struct Report {
    can_start: bool,
    trial: String,
    features: Vec<Feature>,
    certificates: Vec<Certificate>,
}

/// A certificate of this machine's gateway.
#[derive(Serialize)]
struct Certificate {
    good_for_weeks: bool,
    found: String,
}

/// Probes, tries, tells; the exit code is 1 when no sandbox could start.
pub fn run(args: &DoctorArgs) -> Result<u8, OutputError> {
    let features = features::probe();
    let trial = trial();
    let can_start = trial.is_ok();
    let trial = trial.unwrap_or_else(|reason| reason);
    let certificates = init::health(&Places::of_this_user())
        .into_iter()
        .map(|(good_for_weeks, found)| Certificate { good_for_weeks, found })
        .collect();
    let report = Report { can_start, trial, features, certificates };
    match args.output {
        Format::Json => output::print_json(&report)?,
        Format::Text => output::print(&neutral(&text(&report)))?,
    }
    Ok(u8::from(!report.can_start))
}

/// Whether a sandbox can start here, and what became of trying.
pub fn summary() -> (bool, String) {
    match trial() {
        Ok(words) => (true, words),
        Err(words) => (false, words),
    }
}

/// Starts a real sandbox, with the network captured, that runs `true`.
fn trial() -> Result<String, String> {
    const POLICY: &str = "version: 1\n\
        filesystem_policy: { read_only: [/usr, /bin, /lib, /lib64, /etc, /proc] }\n\
        network_policies:\n  trial:\n    endpoints: [{ host: navigator.invalid, port: 443 }]\n    \
        binaries: [{ path: /usr/bin/true }]\n";
    let failed = |error: std::io::Error| format!("the trial could not be run: {error}");
    let program = std::env::current_exe().map_err(failed)?;
    let mut child = Command::new(program)
        .args(["run", "-q", "-T", "--timeout", "30s", "--audit", "/dev/null", "--policy", "-"])
        .args(["--", "true"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // When it ended before it read this, what it said is the reason, not the broken pipe.
        if let Err(error) = std::io::Write::write_all(&mut stdin, POLICY.as_bytes()) {
            tracing::debug!(%error, "failed to hand over the trial's policy");
        }
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok("a sandbox started, passed its self-test and ran `true`".into());
    }
    Err(format!("a sandbox did not start: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    for feature in &report.features {
        let mark = match feature.status {
            Status::Ok => "ok      ",
            Status::Degraded => "degraded",
            Status::Missing => "missing ",
        };
        text.push_str(&format!("{mark}  {}: {}\n", feature.name, feature.found));
        if let Some(next) = &feature.next {
            text.push_str(&format!("          {}\n          next: {next}\n", feature.meaning));
        }
    }
    for certificate in &report.certificates {
        let mark = if certificate.good_for_weeks { "ok      " } else { "degraded" };
        text.push_str(&format!("{mark}  tls: {}\n", certificate.found));
        if !certificate.good_for_weeks {
            text.push_str("          next: run `navigator gateway init --renew`\n");
        }
    }
    let verdict = if report.can_start { "ok      " } else { "failed  " };
    text.push_str(&format!("{verdict}  trial: {}\n", report.trial));
    text
}
