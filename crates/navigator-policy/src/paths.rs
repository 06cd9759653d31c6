//! Absolute paths in a sandbox, in the one canonical form in which they are compared.

use std::fmt;
use std::path::Path;

use serde::Serialize;

/// Longest path in bytes, without the terminating zero (`PATH_MAX`, limits.h).
const PATH_BYTES: usize = 4096;

/// An absolute path without `.`, `..`, double or trailing slashes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct SandboxPath(String);

/// A text that is not such a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not start with `/`.
    #[error("the path is relative; write it from `/`")]
    Relative,
    /// It has a `..` component.
    #[error("path traversal: the path contains `..`; write the path it leads to")]
    Traversal,
    /// It has a control character.
    #[error("the path has a NUL or control character")]
    Control,
    /// It is too long.
    #[error("the path is longer than 4096 bytes")]
    Long,
}

impl SandboxPath {
    /// Parses a path and makes it canonical.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.len() > PATH_BYTES {
            return Err(PathError::Long);
        }
        if text.chars().any(char::is_control) {
            return Err(PathError::Control);
        }
        if !text.starts_with('/') {
            return Err(PathError::Relative);
        }
        let mut path = String::with_capacity(text.len());
        for component in text.split('/') {
            match component {
                "" | "." => {}
                ".." => return Err(PathError::Traversal),
                name => {
                    path.push('/');
                    path.push_str(name);
                }
            }
        }
        if path.is_empty() {
            path.push('/');
        }
        Ok(Self(path))
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether making it writable would open the system.
    pub(crate) fn is_overly_broad(&self) -> bool {
        const BROAD: [&str; 13] = [
            "/", "/etc", "/usr", "/bin", "/sbin", "/proc", "/sys", "/dev", "/var", "/boot",
            "/root", "/home", "/run",
        ];
        let lib = self.0.strip_prefix("/lib").is_some_and(|rest| !rest.contains('/'));
        lib || BROAD.contains(&self.0.as_str())
    }
}

impl AsRef<Path> for SandboxPath {
    fn as_ref(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl fmt::Display for SandboxPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_path_are_one_path() {
        for text in ["/a/b", "//a//b", "/a/./b/", "/./a/b/."] {
            assert_eq!(SandboxPath::parse(text).unwrap().as_str(), "/a/b", "{text}");
        }
        assert_eq!(SandboxPath::parse("///").unwrap().as_str(), "/");
    }

    #[test]
    fn unsafe_spellings_are_refused() {
        assert_eq!(SandboxPath::parse("a"), Err(PathError::Relative));
        assert_eq!(SandboxPath::parse(""), Err(PathError::Relative));
        assert_eq!(SandboxPath::parse("/a/../b"), Err(PathError::Traversal));
        assert_eq!(SandboxPath::parse("/a\0"), Err(PathError::Control));
        assert_eq!(SandboxPath::parse("/a\n"), Err(PathError::Control));
        assert_eq!(SandboxPath::parse(&format!("/{}", "a".repeat(4096))), Err(PathError::Long));
    }

    #[test]
    fn system_directories_are_overly_broad() {
        for text in ["/", "/etc", "/lib64", "/lib", "/home", "/usr/"] {
            assert!(SandboxPath::parse(text).unwrap().is_overly_broad(), "{text}");
        }
        for text in ["/sandbox", "/lib/x", "/tmp", "/home/me", "/dev/null"] {
            assert!(!SandboxPath::parse(text).unwrap().is_overly_broad(), "{text}");
        }
    }
}
