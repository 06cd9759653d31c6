//! Errors and warnings about a policy text: where, what, and what to write instead.

use std::fmt;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

use crate::document::Place;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The policy cannot be used.
    Error,
    /// The policy can be used and may not do what is meant.
    Warning,
}

/// One error or warning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Name of the file.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// The key that it is about, such as `network_policies.pypi.endpoints[0].port`.
    pub path: String,
    /// The offending text.
    pub text: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

/// All errors and warnings about one text, in the order of the text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Shows each with the line of `source` that it is about.
    #[must_use]
    pub fn render(&self, source: &str) -> String {
        self.0.iter().map(|diagnostic| render(diagnostic, source)).collect::<Vec<_>>().join("\n\n")
    }

    pub(crate) fn from_list(mut list: Vec<Diagnostic>) -> Self {
        list.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column, diagnostic.severity));
        Self(list)
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in &self.0 {
            writeln!(formatter, "{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, message, .. } = self;
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(formatter, "{file}:{line}:{column}: {severity}: {message}")?;
        match &self.help {
            Some(help) => write!(formatter, "; {help}"),
            None => Ok(()),
        }
    }
}

fn render(diagnostic: &Diagnostic, source: &str) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let span = span(diagnostic, source);
    let snippet = Snippet::source(source)
        .path(&*diagnostic.file)
        .annotation(AnnotationKind::Primary.span(span).label(&*diagnostic.path));
    let mut groups = vec![level.primary_title(&*diagnostic.message).element(snippet)];
    if let Some(help) = &diagnostic.help {
        groups.push(Group::with_title(Level::HELP.secondary_title(&**help)));
    }
    Renderer::plain().render(&groups)
}

/// The bytes of `source` that a diagnostic is about: the offending text if it stands there, else one
/// character.
fn span(diagnostic: &Diagnostic, source: &str) -> std::ops::Range<usize> {
    let line_start: usize =
        source.split_inclusive('\n').take(diagnostic.line - 1).map(str::len).sum();
    let line = source.get(line_start..).unwrap_or("").lines().next().unwrap_or("");
    let in_line =
        line.char_indices().nth(diagnostic.column - 1).map_or(line.len(), |(offset, _)| offset);
    let start = line_start + in_line;
    let rest = source.get(start..).unwrap_or("");
    let quoted = rest.strip_prefix(['"', '\'']).unwrap_or(rest);
    let length = if !diagnostic.text.is_empty() && quoted.starts_with(&diagnostic.text) {
        diagnostic.text.len() + (rest.len() - quoted.len())
    } else {
        rest.chars().next().filter(|c| *c != '\n').map_or(0, char::len_utf8)
    };
    start..start + length
}

/// Collects what is found while a document is read.
pub(crate) struct Collector {
    file: String,
    list: Vec<Diagnostic>,
}

/// Where in the document something was found.
pub(crate) struct Found<'a> {
    pub(crate) at: Place,
    pub(crate) path: &'a str,
    pub(crate) text: &'a str,
}

impl Collector {
    pub(crate) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), list: vec![] }
    }

    pub(crate) fn error(&mut self, found: Found<'_>, message: String, help: Option<String>) {
        self.push(Severity::Error, found, message, help);
    }

    pub(crate) fn warning(&mut self, found: Found<'_>, message: String, help: Option<String>) {
        self.push(Severity::Warning, found, message, help);
    }

    fn push(
        &mut self,
        severity: Severity,
        found: Found<'_>,
        message: String,
        help: Option<String>,
    ) {
        self.list.push(Diagnostic {
            severity,
            file: self.file.clone(),
            line: found.at.line,
            column: found.at.column,
            path: found.path.to_owned(),
            text: found.text.to_owned(),
            message,
            help,
        });
    }

    /// Errors and warnings apart.
    pub(crate) fn finish(self) -> (Diagnostics, Diagnostics) {
        let is_error = |diagnostic: &Diagnostic| diagnostic.severity == Severity::Error;
        let (errors, warnings) = self.list.into_iter().partition(is_error);
        (Diagnostics::from_list(errors), Diagnostics::from_list(warnings))
    }
}
