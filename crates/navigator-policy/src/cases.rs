//! Tables of questions with the answers that a policy is expected to give (`navigator policy test`).

use serde::{Deserialize, Serialize};

use crate::compile::CompiledPolicy;
use crate::decide::{Caller, Decision, Destination, Request, RequestDecision, RequestKind};
use crate::host::Host;
use crate::model::Policy;
use crate::request::CanonicalPath;

/// A file of cases.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cases {
    /// Each of them.
    pub cases: Vec<Case>,
}

/// One question and the expected answer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Program that asks.
    pub binary: String,
    /// Host that it wants.
    pub host: String,
    /// Port that it wants.
    #[serde(default = "https")]
    pub port: u16,
    /// Method of a request on the connection.
    #[serde(default)]
    pub method: Option<String>,
    /// Path of a request on the connection.
    #[serde(default)]
    pub path: Option<String>,
    /// The answer.
    pub expect: Expected,
}

fn https() -> u16 {
    443
}

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expected {
    /// It passes.
    Allow,
    /// It is refused.
    Deny,
}

/// How a case came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CaseResult {
    /// The question.
    pub question: String,
    /// The answer that was expected.
    pub expected: Expected,
    /// The answer that was given.
    pub answer: Expected,
    /// Why.
    pub detail: String,
}

impl CaseResult {
    /// Whether the answer was the expected one.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.expected == self.answer
    }
}

/// A file of cases that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the cases {file}: {message}")]
pub struct CasesError {
    file: String,
    message: String,
}

impl Cases {
    /// Parses a file of cases.
    pub fn parse(file: &str, text: &str) -> Result<Self, CasesError> {
        let error = |message: String| CasesError { file: file.to_owned(), message };
        let cases: Self = serde_saphyr::from_str(text)
            .map_err(|source| error(source.without_snippet().to_string()))?;
        if cases.cases.is_empty() {
            return Err(error("there is no case in it".into()));
        }
        Ok(cases)
    }

    /// Puts every question to a policy.
    #[must_use]
    pub fn ask(&self, policy: &Policy) -> Vec<CaseResult> {
        let compiled = CompiledPolicy::compile(policy, &|_| None);
        self.cases.iter().map(|case| case.ask(&compiled)).collect()
    }
}

impl Case {
    fn ask(&self, policy: &CompiledPolicy) -> CaseResult {
        let (answer, detail) = self.answer(policy);
        let mut question = format!("{} → {}:{}", self.binary, self.host, self.port);
        if let (Some(method), Some(path)) = (&self.method, &self.path) {
            question.push_str(&format!(" {method} {path}"));
        }
        CaseResult { question, expected: self.expect, answer, detail }
    }

    /// What cannot be judged is denied.
    fn answer(&self, policy: &CompiledPolicy) -> (Expected, String) {
        let host = match Host::parse(&self.host) {
            Ok(host) => host,
            Err(error) => return (Expected::Deny, error.to_string()),
        };
        let caller = Caller { executable: &self.binary, ancestors: &[], scripts: &[] };
        let decision = policy.decide(&caller, &Destination { host: &host, port: self.port });
        let grant = match decision {
            Decision::Tunnel(grant) => return (Expected::Allow, format!("by {}", grant.rule())),
            Decision::Inspect(grant) => grant,
            Decision::Inference => return (Expected::Deny, "no policy allows it".into()),
            Decision::Deny(denial) => return (Expected::Deny, denial.detail),
        };
        let (Some(method), Some(path)) = (&self.method, &self.path) else {
            return (Expected::Allow, format!("by {}", grant.rule()));
        };
        let path = match CanonicalPath::parse(path) {
            Ok(path) => path,
            Err(error) => return (Expected::Deny, error.to_string()),
        };
        match policy
            .decide_request(&grant, &Request { method, path: &path, kind: RequestKind::Plain })
        {
            RequestDecision::Allow { rule } => (Expected::Allow, format!("by {rule}")),
            RequestDecision::Audit(denial) => {
                (Expected::Allow, format!("recorded: {}", denial.detail))
            }
            RequestDecision::Deny(denial) => (Expected::Deny, denial.detail),
        }
    }
}
