//! `navigator policy diff`: what a policy newly allows and denies.

use std::path::PathBuf;

use super::{PolicyError, checked};
use crate::output::{self, Format, line};

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

/// Lists the rights that only one of the policies gives.
pub(super) fn compare(args: &DiffArgs) -> Result<u8, PolicyError> {
    let before = checked(&args.before)?.policy;
    let diff = navigator_policy::diff(&before, &checked(&args.after)?.policy);
    match args.output {
        Format::Json => output::print_json(&diff)?,
        Format::Text => {
            for right in &diff.allowed {
                output::print(&line(&format!("+ {right}")))?;
            }
            for right in &diff.denied {
                output::print(&line(&format!("- {right}")))?;
            }
            if diff.is_empty() {
                output::say("both policies allow the same");
            }
        }
    }
    Ok(0)
}
