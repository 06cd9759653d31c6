//! `navigator policy test`: a table of questions with the answers that are expected.

use std::path::PathBuf;

use navigator_policy::Cases;

use super::{PolicyError, checked};
use crate::output::{self, Format, line};
use crate::text_file;

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

/// Puts every question and tells which answers differ; the exit code is 1 when one does.
pub(super) fn test(args: &TestArgs) -> Result<u8, PolicyError> {
    let policy = checked(&args.file)?.policy;
    let text = text_file::read(&args.cases)?;
    let results = Cases::parse(&args.cases.display().to_string(), &text)?.ask(&policy);
    let failed = results.iter().filter(|result| !result.passed()).count();
    match args.output {
        Format::Json => output::print_json(&results)?,
        Format::Text => {
            for result in &results {
                let mark = if result.passed() { "ok    " } else { "FAILED" };
                let row = format!("{mark} {}: {}", result.question, result.detail);
                output::print(&line(&row))?;
            }
            output::print(&format!("{} passed, {failed} failed", results.len() - failed))?;
        }
    }
    Ok(u8::from(failed > 0))
}
