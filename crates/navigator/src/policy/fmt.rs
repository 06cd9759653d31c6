//! `navigator policy fmt`: policies in their canonical form, printed, compared or put in place.

use std::path::PathBuf;

use super::{PolicyError, parse};
use crate::output::{self, Format, line};
use crate::text_file;

/// Policy files and what is done with them.
#[derive(clap::Args, Debug)]
pub struct FmtArgs {
    /// Read these policies; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Name the files that are not in canonical form, change nothing; the exit code is 1 if there are any
    #[arg(long, conflicts_with = "write")]
    check: bool,
    /// Change the files that are not in canonical form and name them
    #[arg(long)]
    write: bool,
    /// Choose how to print: the policy, or the names with --check and --write
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "text")]
    output: Format,
}

/// Formats policies.
pub(super) fn fmt(args: &FmtArgs) -> Result<u8, PolicyError> {
    if !args.check && !args.write {
        return one(args);
    }
    let mut differ = vec![];
    for file in &args.files {
        let text = text_file::read(file)?;
        let canonical = parse(file, &text)?.policy.to_yaml_like(&text);
        if text == canonical {
            continue;
        }
        if args.write {
            text_file::replace(file, &canonical)?;
        }
        differ.push(file.display().to_string());
    }
    match args.output {
        Format::Json => output::print_json(&serde_json::json!({ "differ": differ }))?,
        Format::Text => differ.iter().try_for_each(|file| output::print(&line(file)))?,
    }
    Ok(u8::from(args.check && !differ.is_empty()))
}

fn one(args: &FmtArgs) -> Result<u8, PolicyError> {
    let [file] = args.files.as_slice() else {
        return Err(PolicyError::Several { count: args.files.len() });
    };
    let text = text_file::read(file)?;
    let policy = parse(file, &text)?.policy;
    match args.output {
        Format::Json => output::print_json(&policy.document())?,
        Format::Text => output::print(&policy.to_yaml_like(&text))?,
    }
    Ok(0)
}
