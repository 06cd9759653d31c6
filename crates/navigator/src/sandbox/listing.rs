//! How things of the gateway are printed: as a table, JSON, YAML or names. Whatever comes from outside stays text.

use std::io;

use serde::Serialize;

use crate::output::{self, OutputError, line, neutral, neutral_json};

/// Spaces between columns.
const GAP: usize = 2;

/// How a listing is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Listing {
    /// For people.
    Table,
    /// For programs: one JSON value.
    Json,
    /// The same as YAML.
    Yaml,
    /// One name a line.
    Name,
}

/// A thing in a list.
pub trait Listed: Serialize {
    /// Headings of the table.
    const COLUMNS: &'static [&'static str];

    /// What stands below the headings.
    fn cells(&self) -> Vec<String>;

    /// The name.
    fn name(&self) -> &str;
}

/// Prints a list.
pub fn print_all<T: Listed>(items: &[T], format: Listing) -> Result<(), OutputError> {
    match format {
        Listing::Table => output::print(&table(items)),
        Listing::Json => output::print_json(&items),
        Listing::Yaml => output::print(&yaml(&items)?),
        Listing::Name if items.is_empty() => Ok(()),
        Listing::Name => {
            let names: Vec<_> = items.iter().map(|item| line(item.name())).collect();
            output::print(&names.join("\n"))
        }
    }
}

/// Prints one thing; `text` is how people read it.
pub fn print_one<T: Listed>(
    item: &T,
    format: Listing,
    text: impl FnOnce(&T) -> String,
) -> Result<(), OutputError> {
    match format {
        Listing::Table => output::print(&neutral(&text(item))),
        Listing::Json => output::print_json(item),
        Listing::Yaml => output::print(&yaml(item)?),
        Listing::Name => output::print(&line(item.name())),
    }
}

/// One thing by itself, for lists that go on.
pub fn one_line<T: Listed>(item: &T, format: Listing) -> io::Result<String> {
    Ok(match format {
        Listing::Table => rows(&[item.cells()]),
        Listing::Json => neutral_json(&serde_json::to_string(item)?),
        Listing::Yaml => format!("---\n{}", yaml(item)?),
        Listing::Name => line(item.name()),
    })
}

fn yaml(value: &impl Serialize) -> io::Result<String> {
    serde_saphyr::to_string(value).map(|text| neutral(&text)).map_err(io::Error::other)
}

/// A table of things, with headings.
pub fn table<T: Listed>(items: &[T]) -> String {
    let heading = T::COLUMNS.iter().map(|&name| name.to_owned()).collect();
    let lines: Vec<_> = std::iter::once(heading).chain(items.iter().map(Listed::cells)).collect();
    rows(&lines)
}

/// Rows whose columns are as wide as their widest cell.
fn rows(lines: &[Vec<String>]) -> String {
    let lines: Vec<Vec<String>> =
        lines.iter().map(|cells| cells.iter().map(|cell| line(cell)).collect()).collect();
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|cells| cells.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0) + GAP
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let row = |cells: &Vec<String>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<String>().trim_end().to_owned()
    };
    lines.iter().map(row).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Thing {
        name: String,
        note: String,
    }

    impl Listed for Thing {
        const COLUMNS: &'static [&'static str] = &["NAME", "NOTE"];

        fn cells(&self) -> Vec<String> {
            vec![self.name.clone(), self.note.clone()]
        }

        fn name(&self) -> &str {
            &self.name
        }
    }

    fn things() -> Vec<Thing> {
        let thing = |name: &str, note: &str| Thing { name: name.into(), note: note.into() };
        vec![thing("a", "plain"), thing("longer", "\x1b[2J\nFAKE  row\u{202e}")]
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_rows_stay_rows() {
        insta::assert_snapshot!(table(&things()), @r"
        NAME    NOTE
        a       plain
        longer  \u{1b}[2J\u{a}FAKE  row\u{202e}
        ");
    }

    #[test]
    fn no_format_commands_a_terminal() {
        for format in [Listing::Table, Listing::Json, Listing::Yaml, Listing::Name] {
            let text = one_line(&things()[1], format).unwrap();
            assert!(!text.contains(['\x1b', '\u{202e}']), "{format:?}: {text:?}");
        }
    }
}
