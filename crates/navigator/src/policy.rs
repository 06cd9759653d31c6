//! `navigator policy`: check, format, explain, ask and compare policies without starting anything.

use std::path::{Path, PathBuf};

use navigator_policy::{
    Caller, CanonicalPath, Checked, CompiledPolicy, Decision, Destination, Diagnostics, Host,
    Request, RequestDecision, explain, load,
};
use serde::Serialize;

use crate::output::{self, Format, neutral};
use crate::text_file::{self, ReadError};

/// Commands over policies.
#[derive(clap::Subcommand, Debug)]
pub enum PolicyCommand {
    /// Report every error and warning of a policy
    Check(FileArgs),
    /// Print a policy in its canonical form
    Fmt(FileArgs),
    /// Say in plain words what a policy grants
    Explain(FileArgs),
    /// Answer whether a program may reach a host, and what would change the answer
    Why(WhyArgs),
}

/// One policy file.
#[derive(clap::Args, Debug)]
pub struct FileArgs {
    /// Read this policy; `-` is standard input
    file: PathBuf,
    /// Choose how to print
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "text")]
    output: Format,
}

/// A question to a policy.
#[derive(clap::Args, Debug)]
pub struct WhyArgs {
    /// Read this policy; `-` is standard input
    file: PathBuf,
    /// Ask for this program
    #[arg(long, value_name = "PATH")]
    binary: String,
    /// Ask for this host
    #[arg(long)]
    host: String,
    /// Ask for this port
    #[arg(long, default_value_t = 443, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Ask for a request with this method
    #[arg(long, requires = "path")]
    method: Option<String>,
    /// Ask for a request with this path
    #[arg(long, requires = "method")]
    path: Option<String>,
    /// Choose how to print
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "text")]
    output: Format,
}

/// A policy command that failed.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The file.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What it says; each error with its place.
    #[error("{rendered}")]
    Invalid {
        /// The rendered errors.
        rendered: String,
    },
    /// A host that is none.
    #[error("failed to understand the host `{text}`")]
    Host {
        /// What was given.
        text: String,
        /// Why.
        source: navigator_policy::HostError,
    },
    /// A path that is none.
    #[error("failed to understand the request path `{text}`")]
    Path {
        /// What was given.
        text: String,
        /// Why.
        source: navigator_policy::RequestPathError,
    },
}

/// Carries out a policy command and returns the exit code.
pub fn run(command: &PolicyCommand) -> Result<u8, PolicyError> {
    match command {
        PolicyCommand::Check(args) => check(args),
        PolicyCommand::Fmt(args) => {
            output::print(&checked(&args.file)?.policy.to_yaml());
            Ok(0)
        }
        PolicyCommand::Explain(args) => {
            let text = explain(&checked(&args.file)?.policy);
            match args.output {
                Format::Text => output::print(&text),
                Format::Json => output::print_json(&serde_json::json!({ "explanation": text })),
            }
            Ok(0)
        }
        PolicyCommand::Why(args) => why(args),
    }
}

/// Reads a policy file; its errors are rendered with the lines they are about.
pub fn checked(path: &Path) -> Result<Checked, PolicyError> {
    let text = text_file::read(path)?;
    load(&path.display().to_string(), &text)
        .map_err(|errors| PolicyError::Invalid { rendered: errors.render(&text) })
}

fn check(args: &FileArgs) -> Result<u8, PolicyError> {
    #[derive(Serialize)]
    struct Report<'a> {
        valid: bool,
        errors: &'a Diagnostics,
        warnings: &'a Diagnostics,
        hash: Option<String>,
    }
    let text = text_file::read(&args.file)?;
    let result = load(&args.file.display().to_string(), &text);
    let none = Diagnostics::default();
    let (errors, warnings, hash) = match &result {
        Ok(checked) => (&none, &checked.warnings, Some(checked.policy.hash().to_string())),
        Err(errors) => (errors, &none, None),
    };
    let valid = errors.is_empty();
    match args.output {
        Format::Json => output::print_json(&Report { valid, errors, warnings, hash }),
        Format::Text => {
            for list in [errors, warnings].into_iter().filter(|list| !list.is_empty()) {
                output::say(&neutral(&list.render(&text)));
            }
            if valid {
                output::print(&format!("{}: valid", args.file.display()));
            }
        }
    }
    Ok(if valid { 0 } else { 2 })
}

/// The answer to a question.
#[derive(Serialize)]
struct Answer {
    allowed: bool,
    decision: &'static str,
    policy: Option<String>,
    rule: Option<String>,
    detail: String,
    change: Option<String>,
    yaml: Option<String>,
}

fn why(args: &WhyArgs) -> Result<u8, PolicyError> {
    let policy = checked(&args.file)?.policy;
    let compiled = CompiledPolicy::compile(&policy, &|_| None);
    let host = Host::parse(&args.host)
        .map_err(|source| PolicyError::Host { text: args.host.clone(), source })?;
    let caller = Caller { executable: &args.binary, ancestors: &[], scripts: &[] };
    let decision = compiled.decide(&caller, &Destination { host: &host, port: args.port });
    let answer = match (&args.method, &args.path) {
        (Some(method), Some(path)) => {
            let path = CanonicalPath::parse(path)
                .map_err(|source| PolicyError::Path { text: path.clone(), source })?;
            request(&compiled, decision, &Request { method, path: &path })
        }
        (None, None) | (Some(_), None) | (None, Some(_)) => connection(decision),
    };
    match args.output {
        Format::Json => output::print_json(&answer),
        Format::Text => output::print(&neutral(&words(&answer))),
    }
    Ok(0)
}

fn connection(decision: Decision<'_>) -> Answer {
    let granted = |decision, grant: navigator_policy::Grant<'_>| Answer {
        allowed: true,
        decision,
        policy: Some(grant.policy_name().to_owned()),
        rule: Some(grant.rule().to_owned()),
        detail: format!("policy `{}` allows {}", grant.policy_name(), grant.rule()),
        change: None,
        yaml: None,
    };
    match decision {
        Decision::Tunnel(grant) => granted("tunnel", grant),
        Decision::Inspect(grant) => granted("inspect", grant),
        Decision::Inference => Answer {
            allowed: false,
            decision: "inference",
            policy: None,
            rule: None,
            detail: "no policy allows it; it is served only if it is a model API call".into(),
            change: None,
            yaml: None,
        },
        Decision::Deny(denial) => denied(denial),
    }
}

fn request(policy: &CompiledPolicy, decision: Decision<'_>, request: &Request<'_>) -> Answer {
    let Decision::Inspect(grant) = decision else { return connection(decision) };
    match policy.decide_request(&grant, request) {
        RequestDecision::Allow { rule } => Answer {
            rule: Some(rule.to_owned()),
            detail: format!("rule `{rule}` of policy `{}` allows it", grant.policy_name()),
            ..connection(Decision::Inspect(grant))
        },
        RequestDecision::Audit(denial) => {
            let detail = format!("{}; it passes because the endpoint only records", denial.detail);
            Answer { allowed: true, decision: "audit", detail, ..denied(denial) }
        }
        RequestDecision::Deny(denial) => denied(denial),
    }
}

fn denied(denial: navigator_policy::Denial) -> Answer {
    Answer {
        allowed: false,
        decision: "deny",
        policy: denial.policy,
        rule: denial.rule,
        detail: denial.detail,
        change: Some(denial.suggestion.sentence),
        yaml: Some(denial.suggestion.yaml),
    }
}

fn words(answer: &Answer) -> String {
    let mut text =
        format!("{}: {}\n", if answer.allowed { "allowed" } else { "denied" }, answer.detail);
    if let (Some(change), Some(yaml)) = (&answer.change, &answer.yaml) {
        text.push_str(&format!("to allow it, {change}:\n"));
        for line in yaml.lines() {
            text.push_str(&format!("  {line}\n"));
        }
    }
    text
}
