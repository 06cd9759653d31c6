//! Copies a file or a tree to or from the sandbox, placed as `cp -r` places it.

use std::path::Path;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::client::{Client, ClientError, file_type};
use crate::entry::{Entry, Kind};
use crate::error::TransferError;
use crate::file::Work;
use crate::local::{LocalRoot, Rules, local};
use crate::name::{Below, Name, RemotePath};
use crate::options::{Event, Links, Options, Progress, Report};
use crate::remote::{self, entry_of, find, make_directory, shown};

/// Copies a local file or tree into the sandbox. An existing directory gets it under its own name.
///
/// # Errors
/// When either side fails; files that arrived stay, and one that did not goes on next time.
pub async fn copy_up(
    client: &Client,
    source: &Path,
    target: &RemotePath,
    options: Options,
    progress: &dyn Progress,
) -> Result<Report, TransferError> {
    let found = std::fs::metadata(source).map_err(|reason| local("open", source, reason))?;
    let into = find(client, target, true).await?;
    let is_directory = into.is_some_and(|into| file_type(&into) == FileType::Directory);
    let target = match Name::last_of(source) {
        Some(name) if is_directory => target.join(&name),
        _ => target.clone(),
    };
    if found.is_dir() {
        let root = LocalRoot::open(source, options.links)?;
        let entries = root.walk(&mut Rules::None)?;
        make_directory(client, &target).await?;
        let work = Work { client, local: &root, remote: &target, options, progress };
        return work.upload(&entries).await;
    }
    let no_name = || TransferError::InTheWay(shown(&target));
    let name = Name::last_of(source).ok_or_else(no_name)?;
    let (parent, new) = target.split().filter(|_| !target.has_slash()).ok_or_else(no_name)?;
    // The user named this file: a link in its own place is followed, as cp does.
    let root = LocalRoot::open(source.parent().unwrap_or(Path::new(".")), Links::Follow)?;
    progress.event(Event::Total { files: 1, bytes: found.len() });
    let work = Work { client, local: &root, remote: &parent, options, progress };
    let bytes = work.send(&one(name), &one(new)).await?;
    Ok(Report { files: 1, bytes, ..Report::default() })
}

/// Copies a file or tree of the sandbox here. An existing directory gets it under its own name.
///
/// # Errors
/// When either side fails; files that arrived stay, and one that did not goes on next time.
pub async fn copy_down(
    client: &Client,
    source: &RemotePath,
    target: &Path,
    options: Options,
    progress: &dyn Progress,
) -> Result<Report, TransferError> {
    let missing = || remote::remote("open", source, ClientError::NotFound);
    let found = find(client, source, true).await?.ok_or_else(missing)?;
    let target = match source.split() {
        Some((_, name)) if target.is_dir() => target.join(name.as_os()),
        _ => target.to_owned(),
    };
    let options = Options { links: Links::Copy, ..options };
    if file_type(&found) == FileType::Directory {
        let entries = remote::walk(client, source, &mut Rules::None).await?;
        let root = made_here(&target)?;
        let work = Work { client, local: &root, remote: source, options, progress };
        return work.download(&entries).await;
    }
    let (from, name) = source.split().ok_or_else(missing)?;
    let entry: Entry = entry_of(client, source, one(name), &found).await?;
    if entry.kind != Kind::File {
        return Err(TransferError::Special(shown(source)));
    }
    let new = Name::last_of(&target).filter(|_| !ends_with_slash(&target));
    let new = new.ok_or_else(|| TransferError::InTheWay(target.clone()))?;
    let root = LocalRoot::open(target.parent().unwrap_or(Path::new(".")), Links::Copy)?;
    progress.event(Event::Total { files: 1, bytes: entry.size });
    let work = Work { client, local: &root, remote: &from, options, progress };
    let bytes = work.fetch(&entry.path, &one(new), entry.size).await?;
    Ok(Report { files: 1, bytes, ..Report::default() })
}

/// The directory that the user named, made if nothing has its name. A link in its place is refused: below an
/// existing directory it may be one that an earlier copy brought.
pub(crate) fn made_here(target: &Path) -> Result<LocalRoot, TransferError> {
    let Some(name) = Name::last_of(target) else { return LocalRoot::open(target, Links::Copy) };
    let parent = LocalRoot::open(target.parent().unwrap_or(Path::new(".")), Links::Copy)?;
    let path = one(name);
    parent.make_directory(&path)?;
    let below = parent.below(&path).map_err(|reason: Errno| local("open", target, reason))?;
    Ok(below)
}

pub(crate) fn one(name: Name) -> Below {
    Below(vec![name])
}

fn ends_with_slash(path: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().ends_with(b"/")
}
