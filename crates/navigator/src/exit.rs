//! The one place where an error becomes an exit code and words with a next step.

use std::process::ExitCode;

use crate::audit::AuditError;
use crate::image::error::ImageError;
use crate::output::{OutputError, line, neutral, print, say};
use crate::pages::ManError;
use crate::policy::PolicyError;
use crate::run::RunError;
use crate::sandbox::error::SandboxError;
use crate::text_file::WriteError;
use crate::why::WhyError;
use navigator_supervisor::SuperviseError;

/// A command that failed.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    /// What belongs before the message, in many lines.
    details: Option<String>,
    error: Box<dyn std::error::Error>,
    hint: Option<String>,
}

/// Navigator itself failed.
const OURS: u8 = 125;
/// What was asked for cannot be done as things are.
const NO: u8 = 1;
/// Wrong usage or an invalid policy.
const USAGE: u8 = 2;

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Policy(error) => error.into(),
            error => Self {
                code: error.exit_code(),
                details: None,
                hint: error.hint(),
                error: Box::new(error),
            },
        }
    }
}

impl From<SandboxError> for Failure {
    fn from(error: SandboxError) -> Self {
        match error {
            SandboxError::Policy(error) => error.into(),
            SandboxError::Output(error) => error.into(),
            error => Self {
                code: error.exit_code(),
                details: error.details(),
                hint: error.hint(),
                error: Box::new(error),
            },
        }
    }
}

impl From<ImageError> for Failure {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Output(error) => error.into(),
            error => Self {
                code: error.exit_code(),
                details: None,
                hint: error.hint(),
                error: Box::new(error),
            },
        }
    }
}

impl From<PolicyError> for Failure {
    fn from(error: PolicyError) -> Self {
        match error {
            PolicyError::Revision(error) => (*error).into(),
            error => policy(error),
        }
    }
}

/// A failure over a policy alone.
fn policy(error: PolicyError) -> Failure {
    let (code, hint) = match &error {
        // Told apart before.
        PolicyError::Revision(_) => (OURS, String::new()),
        PolicyError::Read(_) => (USAGE, "name a readable file; `-` is standard input".into()),
        PolicyError::Invalid { file, .. } => {
            (USAGE, format!("correct it and run `navigator policy check {file}`"))
        }
        PolicyError::Host { .. } => {
            (USAGE, "write a name such as `api.example.com`, or an address".into())
        }
        PolicyError::Address { .. } => (USAGE, "allow the service by its public name".into()),
        PolicyError::Binary { .. } => {
            (USAGE, "write the path that it has in the sandbox, such as `/usr/bin/curl`".into())
        }
        PolicyError::Path { .. } => (USAGE, "write a path such as `/repos/x?page=1`".into()),
        PolicyError::Cases(_) => {
            let case = "- { binary: /usr/bin/curl, host: a.example, expect: deny }";
            (USAGE, format!("write `cases:` and below it lines such as `{case}`"))
        }
        PolicyError::Several { .. } => (USAGE, "name one file, or use --check or --write".into()),
        PolicyError::Write(WriteError::Stdin) => {
            (USAGE, "name a file, or leave out --write".into())
        }
        PolicyError::Write(WriteError::File { .. }) => {
            (OURS, "name a file in a directory that can be written".into())
        }
        PolicyError::Output(_) => (OURS, NO_OUTPUT.into()),
    };
    let details = match &error {
        PolicyError::Invalid { rendered, .. } => Some(rendered.clone()),
        _ => None,
    };
    Failure { code, details, hint: Some(hint), error: Box::new(error) }
}

const NO_OUTPUT: &str = "check that there is room where the output goes";

impl From<OutputError> for Failure {
    fn from(error: OutputError) -> Self {
        Self { code: OURS, details: None, hint: Some(NO_OUTPUT.into()), error: Box::new(error) }
    }
}

impl From<AuditError> for Failure {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Output(error) => error.into(),
            error => {
                let hint = audit_hint(&error);
                Self { code: USAGE, details: None, hint, error: Box::new(error) }
            }
        }
    }
}

impl From<WhyError> for Failure {
    fn from(error: WhyError) -> Self {
        let hint = match error {
            WhyError::Audit(error) => return error.into(),
            WhyError::Policy(error) => return error.into(),
            WhyError::Ambiguous { .. } => None,
            WhyError::NotFound { .. } => {
                Some("list the records with `navigator audit show`".into())
            }
        };
        Self { code: error.exit_code(), details: None, hint, error: Box::new(error) }
    }
}

fn audit_hint(error: &AuditError) -> Option<String> {
    match error {
        AuditError::Read(error) if error.source.kind() == std::io::ErrorKind::NotFound => {
            Some("name an audit file, or run something: `navigator run -- true`".into())
        }
        AuditError::Read(_) => Some("name an audit file that you may read".into()),
        AuditError::Hash(_) | AuditError::Output(_) => None,
    }
}

impl From<SuperviseError> for Failure {
    fn from(error: SuperviseError) -> Self {
        Self { code: OURS, details: None, hint: None, error: Box::new(error) }
    }
}

impl From<ManError> for Failure {
    fn from(error: ManError) -> Self {
        match error {
            ManError::Output(error) => error.into(),
            error @ ManError::Pages { .. } => {
                let hint = "name a directory that can be written".into();
                Self { code: OURS, details: None, hint: Some(hint), error: Box::new(error) }
            }
        }
    }
}

impl Failure {
    /// The same from a command that passes on the exit codes of others: a plain no would look like one of those.
    pub fn among_codes(mut self) -> Self {
        if self.code == NO {
            self.code = OURS;
        }
        self
    }

    /// Tells what failed, why, and what to do next.
    pub fn report(&self) -> ExitCode {
        let mut text = match &self.details {
            Some(details) => format!("{}\n\n", neutral(details)),
            None => String::new(),
        };
        text.push_str(&format!("error: {}", line(&self.error.to_string())));
        let mut cause = self.error.source();
        while let Some(error) = cause {
            text.push_str(&format!("\n  because: {}", line(&error.to_string())));
            cause = error.source();
        }
        if let Some(hint) = &self.hint {
            text.push_str(&format!("\n  next: {}", line(hint)));
        }
        say(&text);
        ExitCode::from(self.code)
    }
}

/// What the command line's own parser has to say: help on standard output, wrong usage on standard error, where it
/// repeats arguments.
pub fn usage(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        say(neutral(&error.to_string()).trim_end());
        return ExitCode::from(USAGE);
    }
    match print(&error.render().ansi().to_string()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => Failure::from(error).report(),
    }
}
