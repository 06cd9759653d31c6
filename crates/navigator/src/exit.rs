//! The one place where an error becomes an exit code and words with a next step.

use std::process::ExitCode;

use crate::audit::AuditError;
use crate::output::{neutral, say};
use crate::pages::ManError;
use crate::policy::PolicyError;
use crate::run::RunError;
use crate::why::WhyError;

/// A command that failed.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    error: Box<dyn std::error::Error>,
    hint: Option<String>,
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        Self { code: error.exit_code(), hint: error.hint(), error: Box::new(error) }
    }
}

impl From<PolicyError> for Failure {
    fn from(error: PolicyError) -> Self {
        Self { code: 2, hint: None, error: Box::new(error) }
    }
}

impl From<AuditError> for Failure {
    fn from(error: AuditError) -> Self {
        Self { code: 2, hint: audit_hint(&error), error: Box::new(error) }
    }
}

impl From<WhyError> for Failure {
    fn from(error: WhyError) -> Self {
        let hint = match &error {
            WhyError::Audit(error) => audit_hint(error),
            WhyError::Policy(_) | WhyError::Ambiguous { .. } => None,
            WhyError::NotFound { .. } => {
                Some("list the records with `navigator audit show`".into())
            }
        };
        Self { code: error.exit_code(), hint, error: Box::new(error) }
    }
}

fn audit_hint(error: &AuditError) -> Option<String> {
    match error {
        AuditError::Read(error) if error.source.kind() == std::io::ErrorKind::NotFound => {
            Some("name an audit file, or run something: `navigator run -- true`".into())
        }
        AuditError::Read(_) => Some("name an audit file that you may read".into()),
        AuditError::Hash(_) => None,
    }
}

impl From<ManError> for Failure {
    fn from(error: ManError) -> Self {
        Self { code: 125, hint: None, error: Box::new(error) }
    }
}

impl Failure {
    /// Tells what failed, why, and what to do next.
    pub fn report(&self) -> ExitCode {
        let mut text = format!("error: {}", neutral(&self.error.to_string()));
        let mut cause = self.error.source();
        while let Some(error) = cause {
            text.push_str(&format!("\n  because: {}", neutral(&error.to_string())));
            cause = error.source();
        }
        if let Some(hint) = &self.hint {
            text.push_str(&format!("\n  next: {}", neutral(hint)));
        }
        say(&text);
        ExitCode::from(self.code)
    }
}
