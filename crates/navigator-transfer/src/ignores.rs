//! Which files of a tree its `.gitignore` files leave out.

use std::collections::HashMap;
use std::path::PathBuf;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::name::{Below, Name};

/// Longest `.gitignore` that is read; what is behind is not seen.
pub(crate) const LONGEST: usize = 1024 * 1024;

/// The rules of a tree, by the directory that they lie in.
#[derive(Debug, Default)]
pub(crate) struct Ignores(HashMap<Below, Gitignore>);

impl Ignores {
    /// Adds the rules of a directory. A line that is no rule is passed over, as git does.
    pub(crate) fn add(&mut self, directory: Below, text: &[u8]) {
        let mut builder = GitignoreBuilder::new("");
        for line in String::from_utf8_lossy(text).lines() {
            let _ = builder.add_line(None, line);
        }
        if let Ok(rules) = builder.build() {
            self.0.insert(directory, rules);
        }
    }

    /// Whether a path is left out; the rules that are nearest decide.
    pub(crate) fn leaves_out(&self, path: &Below, directory: bool) -> bool {
        for depth in (0..path.0.len()).rev() {
            let Some(rules) = self.0.get(&Below(path.0[..depth].to_vec())) else { continue };
            let rest: PathBuf = path.0[depth..].iter().map(Name::as_os).collect();
            match rules.matched(rest, directory) {
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
                Match::None => {}
            }
        }
        false
    }
}
