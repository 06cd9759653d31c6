//! `navigator policy`: check, format, explain, ask and compare policies without starting anything.

mod allow;
mod cases;
mod diff;
mod error;
mod fmt;
mod why;

use std::path::{Path, PathBuf};

use navigator_policy::{Checked, Diagnostics, Host, explain, load};
use serde::Serialize;

use crate::output::{self, Format, line, neutral};
use crate::sandbox::revisions::{self, RevisionCommand};
use crate::text_file;

pub use error::PolicyError;
pub use why::{WhyArgs, why};

/// Commands over policies.
#[derive(clap::Subcommand, Debug)]
pub enum PolicyCommand {
    /// Report every error and warning of a policy
    Check(FileArgs),
    /// Print policies in their canonical form, or put them into it
    Fmt(fmt::FmtArgs),
    /// Say in plain words what a policy grants
    Explain(FileArgs),
    /// Answer whether a program may reach a host, and what would change the answer
    Why(WhyArgs),
    /// Put a table of questions to a policy and compare the answers with the expected ones
    Test(cases::TestArgs),
    /// Say what the second policy newly allows and denies
    Diff(diff::DiffArgs),
    /// Print a policy that allows one thing more
    Allow(allow::AllowArgs),
    #[command(flatten)]
    Revision(RevisionCommand),
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

/// Carries out a policy command and returns the exit code.
pub fn run(command: &PolicyCommand) -> Result<u8, PolicyError> {
    match command {
        PolicyCommand::Check(args) => check(args),
        PolicyCommand::Fmt(args) => fmt::fmt(args),
        PolicyCommand::Explain(args) => {
            let text = explain(&checked(&args.file)?.policy);
            match args.output {
                Format::Text => output::print(&neutral(&text))?,
                Format::Json => output::print_json(&serde_json::json!({ "explanation": text }))?,
            }
            Ok(0)
        }
        PolicyCommand::Why(args) => why(args),
        PolicyCommand::Test(args) => cases::test(args),
        PolicyCommand::Diff(args) => diff::compare(args),
        PolicyCommand::Allow(args) => allow::allow(args),
        PolicyCommand::Revision(command) => Ok(revisions::run_alone(command).map_err(Box::new)?),
        PolicyCommand::Schema => {
            output::print(navigator_policy::schema())?;
            Ok(0)
        }
    }
}

fn host(text: &str) -> Result<Host, PolicyError> {
    Host::parse(text).map_err(|source| PolicyError::Host { text: text.to_owned(), source })
}

/// Reads a policy file; its errors are rendered with the lines they are about.
pub fn checked(path: &Path) -> Result<Checked, PolicyError> {
    parse(path, &text_file::read(path)?)
}

fn parse(path: &Path, text: &str) -> Result<Checked, PolicyError> {
    let file = line(&path.display().to_string());
    load(&file, text).map_err(|errors| PolicyError::Invalid {
        count: errors.len(),
        rendered: errors.render(text),
        file,
    })
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
    let file = args.file.display().to_string();
    let name = match args.output {
        Format::Json => file,
        Format::Text => line(&file),
    };
    let result = load(&name, &text);
    let none = Diagnostics::default();
    let (errors, warnings, hash) = match &result {
        Ok(checked) => (&none, &checked.warnings, Some(checked.policy.hash().to_string())),
        Err(errors) => (errors, &none, None),
    };
    let valid = errors.is_empty();
    match args.output {
        Format::Json => output::print_json(&Report { valid, errors, warnings, hash })?,
        Format::Text => {
            for list in [errors, warnings].into_iter().filter(|list| !list.is_empty()) {
                output::say(&neutral(&list.render(&text)));
            }
            if valid {
                output::print(&format!("{name}: valid"))?;
            }
        }
    }
    Ok(if valid { 0 } else { 2 })
}
