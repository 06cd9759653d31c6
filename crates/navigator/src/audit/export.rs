//! `navigator audit export`: records for other systems.

use std::path::PathBuf;

use navigator_supervisor::audit::ocsf;

use super::{AuditError, FilterArgs, history, say_unread};
use crate::output::{self, neutral_json};

/// What to export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum ExportFormat {
    /// Events of the Open Cybersecurity Schema Framework, version 1.x
    Ocsf,
    /// The records as they stand in the file
    Json,
}

/// Arguments of `navigator audit export`.
#[derive(clap::Args, Debug)]
pub struct ExportArgs {
    /// Read this audit file and the full ones before it [default: the one that `navigator run` writes]
    file: Option<PathBuf>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Choose the form of the records
    #[arg(long, value_name = "FORMAT")]
    format: ExportFormat,
}

/// Prints records, one JSON object a line.
pub fn run(args: &ExportArgs) -> Result<u8, AuditError> {
    let filter = args.filter.filter();
    let mut history = history(args.file.as_deref())?;
    let mut unread = 0;
    while let Some(entry) = filter.next(&mut history, &mut unread)? {
        let printed = match args.format {
            ExportFormat::Json => {
                output::try_print(&neutral_json(&String::from_utf8_lossy(&entry.text)))
            }
            ExportFormat::Ocsf => ocsf::events(&entry.line)
                .iter()
                .try_for_each(|event| output::try_print(&neutral_json(&event.to_string()))),
        };
        if let Err(error) = printed {
            return Ok(output::ended(error)?);
        }
    }
    say_unread(unread);
    Ok(0)
}
