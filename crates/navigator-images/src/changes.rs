//! What a sandbox has changed: its upper directory compared with the layers below.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat};

use crate::beneath;
use crate::limits::{DEPTH, Limits};
use crate::reading::Readable;
use crate::unpack::is_opaque;

/// A change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Where, from the root.
    pub path: PathBuf,
    /// What.
    pub kind: ChangeKind,
}

/// What happened to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is another one, or its contents or attributes are others.
    Changed,
    /// It is gone, with all that was in it.
    Deleted,
}

/// A comparison that failed.
#[derive(Debug, thiserror::Error)]
pub enum ChangesError {
    /// A file or directory.
    #[error("failed to compare `{}`", .path.escape_debug())]
    Entry {
        /// Its path.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Too deep.
    #[error("failed to compare: directories are more than {DEPTH} deep")]
    Depth,
    /// Too many.
    #[error("failed to compare: more than {limit} paths have changed")]
    Many {
        /// How many there may be.
        limit: u64,
    },
}

/// Compares an upper directory with the layers below it, the highest first. Sorted by path.
pub fn changes(upper: &Path, lower: &[PathBuf]) -> Result<Vec<Change>, ChangesError> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |error: rustix::io::Errno| ChangesError::Entry { path, source: error.into() }
    };
    let open = |path: &Path| beneath::directory(path).map_err(failed(path));
    let directory = open(upper)?;
    let lower = Lower(lower.iter().map(|path| open(path)).collect::<Result<_, _>>()?);
    let mut comparison = Comparison { found: vec![] };
    comparison.directory(directory.as_fd(), &lower, Path::new(""), 0)?;
    let mut found = comparison.found;
    found.sort_unstable();
    Ok(found)
}

/// A directory as the layers below have it: in those that are seen, the highest first.
struct Lower(Vec<OwnedFd>);

/// What the layers below have at a name.
struct Below {
    stat: Stat,
    directory: Lower,
}

impl Lower {
    fn look(&self, name: &OsStr) -> rustix::io::Result<Option<Below>> {
        let mut found: Option<Below> = None;
        for layer in &self.0 {
            let Some(stat) = beneath::look(layer.as_fd(), name)? else { continue };
            let directory = beneath::kind(&stat) == FileType::Directory;
            if beneath::is_whiteout(&stat) || (found.is_some() && !directory) {
                break;
            }
            let below = found.get_or_insert(Below { stat, directory: Self(vec![]) });
            if !directory {
                break;
            }
            let inner = beneath::subdirectory(layer.as_fd(), name)?;
            let opaque = is_opaque(inner.as_fd());
            below.directory.0.push(inner);
            if opaque {
                break;
            }
        }
        Ok(found)
    }

    /// Names that are seen.
    fn names(&self) -> rustix::io::Result<Vec<OsString>> {
        let mut names = vec![];
        for layer in &self.0 {
            names.extend(beneath::names(layer.as_fd())?);
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }
}

struct Comparison {
    found: Vec<Change>,
}

impl Comparison {
    fn directory(
        &mut self,
        upper: BorrowedFd<'_>,
        lower: &Lower,
        path: &Path,
        depth: usize,
    ) -> Result<(), ChangesError> {
        if depth > DEPTH {
            return Err(ChangesError::Depth);
        }
        let failed = |path: &Path| {
            let path = path.display().to_string();
            move |error: rustix::io::Errno| ChangesError::Entry { path, source: error.into() }
        };
        for name in beneath::names(upper).map_err(failed(path))? {
            let path = path.join(&name);
            let Some(stat) = beneath::look(upper, &name).map_err(failed(&path))? else { continue };
            let below = lower.look(&name).map_err(failed(&path))?;
            if beneath::is_whiteout(&stat) {
                if below.is_some() {
                    self.note(path, ChangeKind::Deleted)?;
                }
                continue;
            }
            self.note_entry(&path, &stat, below.as_ref())?;
            if beneath::kind(&stat) == FileType::Directory {
                let inner = Readable::open(upper, &name).map_err(failed(&path))?;
                let below = below.map_or(Lower(vec![]), |below| below.directory);
                self.inner(inner.as_fd(), &below, &path, depth)?;
            }
        }
        Ok(())
    }

    /// A directory within; an opaque one hides all that is below it and not in it.
    fn inner(
        &mut self,
        upper: BorrowedFd<'_>,
        lower: &Lower,
        path: &Path,
        depth: usize,
    ) -> Result<(), ChangesError> {
        if is_opaque(upper) {
            let failed = |error: rustix::io::Errno| ChangesError::Entry {
                path: path.display().to_string(),
                source: error.into(),
            };
            for name in lower.names().map_err(failed)? {
                let seen = lower.look(&name).map_err(failed)?.is_some();
                if seen && beneath::look(upper, &name).map_err(failed)?.is_none() {
                    self.note(path.join(name), ChangeKind::Deleted)?;
                }
            }
        }
        self.directory(upper, lower, path, depth + 1)
    }

    fn note_entry(
        &mut self,
        path: &Path,
        stat: &Stat,
        below: Option<&Below>,
    ) -> Result<(), ChangesError> {
        let Some(below) = below else { return self.note(path.to_owned(), ChangeKind::Added) };
        // A directory is copied up when something in it changes; that alone is no change of it.
        let attributes = |stat: &Stat| (stat.st_mode, stat.st_uid, stat.st_gid);
        let same = beneath::kind(stat) == FileType::Directory
            && attributes(stat) == attributes(&below.stat);
        if same { Ok(()) } else { self.note(path.to_owned(), ChangeKind::Changed) }
    }

    fn note(&mut self, path: PathBuf, kind: ChangeKind) -> Result<(), ChangesError> {
        let limit = Limits::default().entries;
        if self.found.len() as u64 == limit {
            return Err(ChangesError::Many { limit });
        }
        self.found.push(Change { path, kind });
        Ok(())
    }
}
