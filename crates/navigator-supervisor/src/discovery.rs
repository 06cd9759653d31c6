//! The policy of a sandbox that was made without one: what its root filesystem says, else the built-in one.

use std::io::{self, Read};
use std::path::Path;

use navigator_isolation::RootView;
use navigator_policy::{Diagnostics, Policy};

/// Where a root filesystem says what it needs.
const PLACE: &str = "etc/navigator/policy.yaml";
/// Largest file that is read: one byte more than the language takes.
const FILE_BYTES: u64 = 1024 * 1024 + 1;

/// A root filesystem whose policy cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// The file cannot be read.
    #[error("failed to read {PLACE} of the root filesystem")]
    Read(#[source] io::Error),
    /// It is no valid policy.
    #[error("failed to use {PLACE} of the root filesystem: {}", first(diagnostics))]
    Invalid {
        /// What is wrong.
        diagnostics: Diagnostics,
    },
}

fn first(diagnostics: &Diagnostics) -> String {
    let lines = diagnostics.iter().map(|found| format!("line {}: {}", found.line, found.message));
    lines.collect::<Vec<_>>().join("; ")
}

/// Finds it.
///
/// # Errors
/// [`DiscoveryError`] when there is one that cannot be used; no other takes its place.
pub fn discover(root: &RootView) -> Result<Policy, DiscoveryError> {
    match read(root).map_err(DiscoveryError::Read)? {
        Some(text) => navigator_policy::load(PLACE, &text)
            .map(|checked| checked.policy)
            .map_err(|diagnostics| DiscoveryError::Invalid { diagnostics }),
        None => Ok(Policy::restrictive_default()),
    }
}

fn read(root: &RootView) -> io::Result<Option<String>> {
    let Some(file) = root.open(Path::new(PLACE))? else { return Ok(None) };
    let mut text = String::new();
    file.take(FILE_BYTES).read_to_string(&mut text)?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(place: impl FnOnce(&Path)) -> (tempfile::TempDir, RootView) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("etc/navigator")).unwrap();
        place(&dir.path().join(PLACE));
        let view = RootView::Directory(dir.path().to_owned());
        (dir, view)
    }

    #[test]
    fn without_a_file_the_built_in_policy_holds() {
        let (_dir, root) = root(|_| {});
        assert_eq!(discover(&root).unwrap(), Policy::restrictive_default());
    }

    #[test]
    fn the_file_is_validated_like_any_other() {
        let (_dir, good) = root(|path| std::fs::write(path, "version: 1\n").unwrap());
        assert!(discover(&good).is_ok());
        let (_dir, bad) = root(|path| std::fs::write(path, "version: 1\nnew_key: 2\n").unwrap());
        assert!(discover(&bad).unwrap_err().to_string().contains("new_key"));
        let long = format!("version: 1\n{}", "#".repeat(FILE_BYTES as usize));
        let (_dir, large) = root(|path| std::fs::write(path, long).unwrap());
        assert!(discover(&large).is_err());
    }

    #[test]
    fn a_link_does_not_lead_out_of_the_root_filesystem() {
        let outside = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(outside.path(), "version: 1\nnetwork_policies: {}\n").unwrap();
        let (_dir, root) = root(|path| std::os::unix::fs::symlink(outside.path(), path).unwrap());
        assert_eq!(discover(&root).unwrap(), Policy::restrictive_default());
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let (_dir, root) = root(|path| std::fs::create_dir(path).unwrap());
        assert!(matches!(discover(&root), Err(DiscoveryError::Read { .. })));
    }
}
