//! `navigator policy`: check, format, explain, ask and compare policies without starting anything.

use std::path::{Path, PathBuf};

use navigator_policy::{
    Caller, CanonicalPath, Cases, Checked, CompiledPolicy, Decision, Destination, Diagnostics,
    Host, Request, RequestDecision, explain, load,
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
    /// Put a table of questions to a policy and compare the answers with the expected ones
    Test(TestArgs),
    /// Say what the second policy newly allows and denies
    Diff(DiffArgs),
    /// Print a policy that allows one thing more
    Allow(AllowArgs),
    /// Print the JSON Schema of the language, for editors
    Schema,
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
    pub file: PathBuf,
    /// Ask for this program
    #[arg(long, value_name = "PATH")]
    pub binary: String,
    /// Ask for this host
    #[arg(long)]
    pub host: String,
    /// Ask for this port
    #[arg(long, default_value_t = 443, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// Ask for a request with this method
    #[arg(long, requires = "path")]
    pub method: Option<String>,
    /// Ask for a request with this path
    #[arg(long, requires = "method")]
    pub path: Option<String>,
    /// Choose how to print
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "text")]
    pub output: Format,
}

/// A policy and its cases.
#[derive(clap::Args, Debug)]
pub struct TestArgs {
    /// Read this policy
    file: PathBuf,
    /// Read the cases from this file: `cases:` with `binary`, `host`, `port`, `method`, `path`, `expect`
    cases: PathBuf,
    /// Choose how to print
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "text")]
    output: Format,
}

/// Two policies.
#[derive(clap::Args, Debug)]
pub struct DiffArgs {
    /// Read the policy before
    before: PathBuf,
    /// Read the policy after
    after: PathBuf,
    /// Choose how to print
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "text")]
    output: Format,
}

/// One more right.
#[derive(clap::Args, Debug)]
pub struct AllowArgs {
    /// Read this policy
    file: PathBuf,
    /// Allow this host
    #[arg(long)]
    host: String,
    /// Allow this port
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Allow it for this program
    #[arg(long, value_name = "PATH")]
    binary: String,
    /// Change the file instead of printing the new policy; comments in it are lost
    #[arg(long)]
    write: bool,
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
    /// A program's path that is none.
    #[error("failed to understand the program `{text}`")]
    Binary {
        /// What was given.
        text: String,
        /// Why.
        source: navigator_policy::PathError,
    },
    /// Cases that cannot be read.
    #[error(transparent)]
    Cases(#[from] navigator_policy::CasesError),
    /// A file that cannot be changed.
    #[error("failed to write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
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
        PolicyCommand::Test(args) => test(args),
        PolicyCommand::Diff(args) => compare(args),
        PolicyCommand::Allow(args) => allow(args),
        PolicyCommand::Schema => {
            output::print(navigator_policy::schema());
            Ok(0)
        }
    }
}

fn test(args: &TestArgs) -> Result<u8, PolicyError> {
    let policy = checked(&args.file)?.policy;
    let text = text_file::read(&args.cases)?;
    let results = Cases::parse(&args.cases.display().to_string(), &text)?.ask(&policy);
    let failed = results.iter().filter(|result| !result.passed()).count();
    match args.output {
        Format::Json => output::print_json(&results),
        Format::Text => {
            for result in &results {
                let mark = if result.passed() { "ok    " } else { "FAILED" };
                output::print(&neutral(&format!("{mark} {}: {}", result.question, result.detail)));
            }
            output::print(&format!("{} passed, {failed} failed", results.len() - failed));
        }
    }
    Ok(u8::from(failed > 0))
}

fn compare(args: &DiffArgs) -> Result<u8, PolicyError> {
    let diff =
        navigator_policy::diff(&checked(&args.before)?.policy, &checked(&args.after)?.policy);
    match args.output {
        Format::Json => output::print_json(&diff),
        Format::Text => {
            for right in &diff.allowed {
                output::print(&neutral(&format!("+ {right}")));
            }
            for right in &diff.denied {
                output::print(&neutral(&format!("- {right}")));
            }
            if diff.is_empty() {
                output::say("both policies allow the same");
            }
        }
    }
    Ok(0)
}

fn allow(args: &AllowArgs) -> Result<u8, PolicyError> {
    let mut policy = checked(&args.file)?.policy;
    let host = host(&args.host)?;
    let changed = policy
        .allow(&args.binary, &host, args.port)
        .map_err(|source| PolicyError::Binary { text: args.binary.clone(), source })?;
    if !changed {
        output::say("the policy allows that already");
    }
    if args.write {
        if changed {
            text_file::replace(&args.file, &policy.to_yaml())
                .map_err(|source| PolicyError::Write { path: args.file.clone(), source })?;
        }
    } else {
        output::print(&policy.to_yaml());
    }
    Ok(0)
}

fn host(text: &str) -> Result<Host, PolicyError> {
    Host::parse(text).map_err(|source| PolicyError::Host { text: text.to_owned(), source })
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
                output::print(&neutral(&format!("{}: valid", args.file.display())));
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

/// Answers a question to a policy.
pub fn why(args: &WhyArgs) -> Result<u8, PolicyError> {
    let policy = checked(&args.file)?.policy;
    let compiled = CompiledPolicy::compile(&policy, &|_| None);
    let host = host(&args.host)?;
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
