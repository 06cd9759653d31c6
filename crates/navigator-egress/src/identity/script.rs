//! The script that a `#!` interpreter really runs, and nothing that merely looks like one.
//!
//! `execve(2)` of a script gives the interpreter the arguments `[interpreter, (the one argument of
//! the first line), script, …]`; `env` and `env -S` of the first line add theirs. Only a command
//! line of exactly that shape counts: the script is the first word that is no option, its own
//! first line gives the options before it and names the file that runs. A relative word is never
//! taken, because the process can change the directory that it stands for.

use std::os::fd::BorrowedFd;

use rustix::fs::{FileType, OFlags, fstat, readlinkat};
use rustix::io::read;

use super::executable::{FileId, file_id, open_inside};
use super::preload::{is_below, is_plain, values};

/// The kernel reads this much of a script's first line (`BINPRM_BUF_SIZE`).
const FIRST_LINE: usize = 256;
/// Options that a first line may put before its script.
const MAX_OPTIONS: usize = 8;
/// Directories of `PATH` that are searched for the program that `env` would start.
const MAX_PATH_DIRECTORIES: usize = 64;

/// A process that may be an interpreter.
pub(super) struct Interpreted<'a> {
    pub(super) root: BorrowedFd<'a>,
    pub(super) executable: FileId,
    pub(super) environment: &'a [u8],
    pub(super) read_only: &'a [String],
}

/// A script that an interpreter runs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Script {
    /// The path by which it was started.
    pub(super) opened: String,
    /// The path by which a policy names it.
    pub(super) name: String,
}

/// What a first line asks for.
#[derive(Debug, PartialEq, Eq)]
struct FirstLine {
    program: Program,
    options: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Program {
    Path(String),
    SearchedByEnv(String),
}

impl Interpreted<'_> {
    /// The script, if the arguments (`/proc/PID/cmdline`) show one.
    pub(super) fn script(&self, arguments: &[u8]) -> Option<Script> {
        let words = words(arguments);
        let (options, script) = candidate(&words)?;
        let first_line = parse_first_line(&self.first_line(script)?)?;
        let names_it = first_line.options == options && self.runs(&first_line.program);
        names_it.then(|| Script { opened: script.to_owned(), name: self.settled_name(script) })
    }

    fn first_line(&self, script: &str) -> Option<Vec<u8>> {
        let file = open_inside(self.root, script, OFlags::RDONLY).ok()?;
        let stat = fstat(&file).ok()?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return None;
        }
        let mut line = vec![0u8; FIRST_LINE];
        let length = read(&file, &mut line[..]).ok()?;
        line.truncate(length);
        Some(line)
    }

    fn runs(&self, program: &Program) -> bool {
        match program {
            Program::Path(path) => self.is_executable(path),
            Program::SearchedByEnv(name) => self.search(name),
        }
    }

    /// `env` starts the first executable of that name in `PATH`.
    fn search(&self, name: &str) -> bool {
        let path =
            values(self.environment, "PATH").next().unwrap_or(b"/usr/local/bin:/usr/bin:/bin");
        let Ok(path) = std::str::from_utf8(path) else { return false };
        path.split(':')
            .take(MAX_PATH_DIRECTORIES)
            .filter(|directory| directory.starts_with('/'))
            .map(|directory| format!("{directory}/{name}"))
            .find_map(|path| self.file_id(&path))
            .is_some_and(|found| found == self.executable)
    }

    fn is_executable(&self, path: &str) -> bool {
        self.file_id(path) == Some(self.executable)
    }

    fn file_id(&self, path: &str) -> Option<FileId> {
        let file = open_inside(self.root, path, OFlags::PATH).ok()?;
        let stat = fstat(&file).ok()?;
        (FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile).then(|| file_id(&stat))
    }

    /// A name through a read-only symlink (`/bin` → `/usr/bin`) is resolved; any other name is
    /// kept as it was used, because a link that the sandbox owns can be turned after the start.
    fn settled_name(&self, script: &str) -> String {
        let Some((directory, name)) = script.rsplit_once('/') else { return script.to_owned() };
        let (first, rest) = match directory.strip_prefix('/').and_then(|d| d.split_once('/')) {
            Some((first, rest)) => (first, format!("/{rest}")),
            None => (directory.trim_start_matches('/'), String::new()),
        };
        if first.is_empty() || !is_below(&format!("/{first}"), self.read_only) {
            return script.to_owned();
        }
        match readlinkat(self.root, first, Vec::new()).ok().and_then(|link| link.into_string().ok())
        {
            Some(link) => format!("/{}{rest}/{name}", link.trim_matches('/')),
            None => script.to_owned(),
        }
    }
}

fn words(arguments: &[u8]) -> Vec<&str> {
    arguments
        .split(|byte| *byte == 0)
        .take(MAX_OPTIONS + 2)
        .map_while(|word| std::str::from_utf8(word).ok())
        .collect()
}

/// The first word that is no option, with the options before it.
fn candidate<'w>(words: &'w [&'w str]) -> Option<(&'w [&'w str], &'w str)> {
    let arguments = words.get(1..)?;
    let at = arguments.iter().position(|word| !word.starts_with('-'))?;
    let script = *arguments.get(at)?;
    is_plain(script).then_some((&arguments[..at], script))
}

/// Parses `#! interpreter [argument]` as the kernel does, and what `env` makes of its argument.
fn parse_first_line(line: &[u8]) -> Option<FirstLine> {
    let line = line.strip_prefix(b"#!")?;
    let end = line.iter().position(|byte| *byte == b'\n');
    // Without an end the kernel may have cut the line anywhere: then it names nothing for certain.
    let line = std::str::from_utf8(&line[..end?]).ok()?;
    let line = line.trim_matches([' ', '\t']);
    let (interpreter, argument) = match line.split_once([' ', '\t']) {
        Some((interpreter, argument)) => (interpreter, argument.trim_start_matches([' ', '\t'])),
        None => (line, ""),
    };
    if !interpreter.starts_with('/') {
        return None;
    }
    if interpreter.ends_with("/env") {
        return parse_env(argument);
    }
    let options = if argument.is_empty() { vec![] } else { vec![argument.to_owned()] };
    Some(FirstLine { program: Program::Path(interpreter.to_owned()), options })
}

/// `env NAME` or `env -S NAME OPTION…`; quoting and assignments are not interpreted, so such a
/// line names no interpreter.
fn parse_env(argument: &str) -> Option<FirstLine> {
    let mut words = match argument.strip_prefix("-S") {
        Some(split) if !split.contains(['\'', '"', '\\', '$', '=']) => {
            split.split_ascii_whitespace()
        }
        Some(_) => return None,
        None if argument.contains([' ', '\t', '=']) => return None,
        None => argument.split_ascii_whitespace(),
    };
    let name = words.next().filter(|name| !name.starts_with('-'))?.to_owned();
    let options = words.map(str::to_owned).collect();
    let program =
        if name.contains('/') { Program::Path(name) } else { Program::SearchedByEnv(name) };
    Some(FirstLine { program, options })
}

#[cfg(test)]
mod tests;
