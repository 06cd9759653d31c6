//! `navigator policy why`: the decision, the rule, and the smallest change that would flip it.

use std::path::PathBuf;

use navigator_policy::{
    Caller, CanonicalPath, CompiledPolicy, Decision, Denial, Destination, Grant, Host, Request,
    RequestDecision, RequestKind, SandboxPath,
};
use serde::Serialize;

use super::{PolicyError, checked, host};
use crate::output::{self, Format, line, neutral};

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

/// Answers one question.
pub fn why(args: &WhyArgs) -> Result<u8, PolicyError> {
    let policy = checked(&args.file)?.policy;
    let compiled = CompiledPolicy::compile(&policy, &|_| None);
    let host = host(&args.host)?;
    let binary = SandboxPath::parse(&args.binary)
        .map_err(|source| PolicyError::Binary { text: args.binary.clone(), source })?;
    let caller = Caller { executable: binary.as_str(), ancestors: &[], scripts: &[] };
    let decision = compiled.decide(&caller, &Destination { host: &host, port: args.port });
    let answer = match (&args.method, &args.path) {
        (Some(method), Some(path)) => {
            let path = CanonicalPath::parse(path)
                .map_err(|source| PolicyError::Path { text: path.clone(), source })?;
            request(
                &compiled,
                decision,
                &host,
                &Request { method, path: &path, kind: RequestKind::Plain },
            )
        }
        (None, None) | (Some(_), None) | (None, Some(_)) => connection(decision, &host),
    };
    match args.output {
        Format::Json => output::print_json(&answer)?,
        Format::Text => output::print(&words(&answer))?,
    }
    Ok(0)
}

fn connection(decision: Decision<'_>, host: &Host) -> Answer {
    match decision {
        Decision::Tunnel(grant) => granted("tunnel", &grant, host),
        Decision::Inspect(grant) => granted("inspect", &grant, host),
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

fn granted(decision: &'static str, grant: &Grant<'_>, host: &Host) -> Answer {
    let answer = |allowed, decision, detail| Answer {
        allowed,
        decision,
        policy: Some(grant.policy_name().to_owned()),
        rule: Some(grant.rule().to_owned()),
        detail,
        change: None,
        yaml: None,
    };
    if let Host::Address(address) = host
        && let Err(refusal) = grant.check_address(*address)
    {
        return answer(false, "address", refusal.to_string());
    }
    let detail = format!("policy `{}` allows {}", grant.policy_name(), grant.rule());
    answer(true, decision, detail)
}

fn request(
    policy: &CompiledPolicy,
    decision: Decision<'_>,
    host: &Host,
    request: &Request<'_>,
) -> Answer {
    let Decision::Inspect(grant) = decision else { return connection(decision, host) };
    match policy.decide_request(&grant, request) {
        RequestDecision::Allow { rule } => Answer {
            rule: Some(rule.to_owned()),
            detail: format!("rule `{rule}` of policy `{}` allows it", grant.policy_name()),
            ..granted("inspect", &grant, host)
        },
        RequestDecision::Audit(denial) => {
            let detail = format!("{}; it passes because the endpoint only records", denial.detail);
            Answer { allowed: true, decision: "audit", detail, ..denied(denial) }
        }
        RequestDecision::Deny(denial) => denied(denial),
    }
}

fn denied(denial: Denial) -> Answer {
    let (change, yaml) = denial.suggestion.map(|it| (it.sentence, it.yaml)).unzip();
    Answer {
        allowed: false,
        decision: "deny",
        policy: denial.policy,
        rule: denial.rule,
        detail: denial.detail,
        change,
        yaml,
    }
}

fn words(answer: &Answer) -> String {
    let verdict = if answer.allowed { "allowed" } else { "denied" };
    let mut text = format!("{verdict}: {}\n", line(&answer.detail));
    if let (Some(change), Some(yaml)) = (&answer.change, &answer.yaml) {
        text.push_str(&format!("to allow it, {}:\n", line(change)));
        for row in yaml.lines() {
            text.push_str(&format!("  {}\n", neutral(row)));
        }
    }
    text
}
