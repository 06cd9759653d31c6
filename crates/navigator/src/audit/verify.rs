//! `navigator audit verify`: whether an audit file is what was written.

use std::path::PathBuf;

use navigator_supervisor::audit::{Digest, Finding, History, Note, Place, Problem, Report, verify};

use super::{AuditError, history};
use crate::output::{self, Format, neutral};

/// What the help says at its end.
pub const HELP: &str = "\
Each line holds the hash of the line before it. So a changed, missing, moved or added line is found, and the
line after it is named. Nothing after the last line holds that line: removing lines from the end, or writing
the whole file anew, cannot be seen in the file itself. Keep the last hash that this command prints somewhere
else, and give it with --expect later: it proves everything up to the line that it belongs to.

Exit codes:
  0 intact; 1 not intact; 2 a file cannot be read or wrong usage";

/// Arguments of `navigator audit verify`.
#[derive(clap::Args, Debug)]
pub struct VerifyArgs {
    /// Check this audit file and the full ones before it; several files are checked as one chain, in this order
    /// [default: the one that `navigator run` writes]
    file: Vec<PathBuf>,
    /// Prove that the line with this hash is there, and with it all lines before it
    #[arg(long, value_name = "HASH")]
    expect: Option<String>,
    /// Choose how to print
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "text")]
    output: Format,
}

/// Checks a file and says what is proven.
pub fn run(args: &VerifyArgs) -> Result<u8, AuditError> {
    let expect = args.expect.as_deref().map(str::parse::<Digest>).transpose()?;
    let mut history = match args.file.as_slice() {
        [] => history(None)?,
        [file] => history(Some(file))?,
        several => History::exactly(several)?,
    };
    let report = verify(&mut history, expect)?;
    match args.output {
        Format::Json => output::print_json(&report)?,
        Format::Text => output::print(&neutral(&text(&report)))?,
    }
    Ok(u8::from(!report.intact))
}

fn text(report: &Report) -> String {
    let mut lines = vec![];
    lines.extend(report.findings.iter().map(finding));
    if report.more_findings > 0 {
        lines.push(format!("{} more findings", report.more_findings));
    }
    lines.extend(report.notes.iter().map(note));
    if report.more_notes > 0 {
        lines.push(format!("{} more notes", report.more_notes));
    }
    lines.extend(proven(report));
    let verdict =
        if report.findings.is_empty() { "no line is altered or missing" } else { "not intact" };
    match report.last_hash {
        Some(hash) => lines.push(format!("{} lines, {verdict}; last hash {hash}", report.lines)),
        None => lines.push("the file is empty".to_owned()),
    }
    lines.extend(expected(report));
    lines.join("\n")
}

fn at(place: &Place) -> String {
    format!("{}:{}", place.file.display(), place.line)
}

fn finding(finding: &Finding) -> String {
    let what = match &finding.problem {
        Problem::Altered => "the line was altered: the line after it holds another hash".to_owned(),
        Problem::Missing { count: 1 } => "a line before this one is missing".to_owned(),
        Problem::Missing { count } => format!("{count} lines before this one are missing"),
        Problem::Misplaced { seq, expected } => {
            format!(
                "line number {seq} stands where {expected} belongs: lines were moved or repeated"
            )
        }
        Problem::Numbered { seq, expected } => {
            format!("the line has the number {seq} and should have {expected}")
        }
        Problem::Unproven => "no audit line, and no line after it holds its hash".to_owned(),
        Problem::TornEnd => {
            "the last line was cut off; the next run seals it, or it was altered".to_owned()
        }
        Problem::MissingBeginning { seq, from: None } => {
            format!("the file begins with line number {seq}; the lines before it are missing")
        }
        Problem::MissingBeginning { from: Some(from), .. } => {
            format!("the lines before are in {from}, which is missing")
        }
        Problem::NoChain => "no line up to here has a hash: the file was written by a version \
             without a chain, or is no audit file, and nothing is proven"
            .to_owned(),
    };
    format!("{}: {what}", at(&finding.place))
}

fn note(note: &Note) -> String {
    match note {
        Note::Unchained { lines } => format!(
            "note: the first {lines} lines were written without a chain; only the last of them is proven"
        ),
        Note::Sealed { place } => format!(
            "note: {}: no whole audit line (cut off by a crash or a full disk); it is as the next writer found it",
            at(place)
        ),
        Note::Unknown { lines } => {
            format!(
                "note: {lines} lines have events that this version does not know; they are proven too"
            )
        }
        Note::Continues { from } => {
            format!("note: the lines before are in {from}, which was not read")
        }
    }
}

/// Which lines still hold together when some do not.
fn proven(report: &Report) -> Option<String> {
    let (last, before) = report.spans.split_last()?;
    if before.is_empty() {
        return None;
    }
    let span = |span: &navigator_supervisor::audit::Span| {
        format!("{} to {}", at(&span.first), at(&span.last))
    };
    let before: Vec<String> = before.iter().map(span).collect();
    Some(format!(
        "{} hold together up to the last hash; nothing ties to it: {}",
        span(last),
        before.join(", ")
    ))
}

fn expected(report: &Report) -> Option<String> {
    let expected = report.expected.as_ref()?;
    Some(match (&expected.found, expected.whole) {
        (Some(place), true) => {
            format!("the expected hash is that of {}: everything up to there is proven", at(place))
        }
        (Some(place), false) => format!(
            "the expected hash is that of {}: the lines from the last break up to there are proven",
            at(place)
        ),
        (None, _) => {
            "no line has the expected hash: the end was removed, or lines were altered".to_owned()
        }
    })
}
