//! `navigator policy allow`: a policy that allows one thing more.

use std::path::PathBuf;

use navigator_policy::AllowError;

use super::{PolicyError, host, parse};
use crate::output;
use crate::text_file;

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
    /// Change the file instead of printing the new policy
    #[arg(long)]
    write: bool,
}

/// Prints the new policy, or puts it in the place of the old one.
pub(super) fn allow(args: &AllowArgs) -> Result<u8, PolicyError> {
    let text = text_file::read(&args.file)?;
    let mut policy = parse(&args.file, &text)?.policy;
    let host = host(&args.host)?;
    let changed = policy.allow(&args.binary, &host, args.port).map_err(|error| match error {
        AllowError::Binary(source) => PolicyError::Binary { text: args.binary.clone(), source },
        AllowError::Address(source) => PolicyError::Address { text: args.host.clone(), source },
    })?;
    if !changed {
        output::say("the policy allows that already");
    }
    let text = policy.to_yaml_like(&text);
    match (args.write, changed) {
        (true, true) => text_file::replace(&args.file, &text)?,
        (true, false) => {}
        (false, _) => output::print(&text)?,
    }
    Ok(0)
}
