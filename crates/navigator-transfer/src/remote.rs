//! The sandbox's side: what a tree of it holds, every name and size in doubt.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{StreamExt, TryStreamExt, stream};
use navigator_sftp::wire::{Attributes, open};
use rustix::fs::FileType;

use crate::client::{Client, ClientError, ListedEntry, file_type};
use crate::entry::{self, Entry, Kind};
use crate::error::TransferError;
use crate::ignores;
use crate::local::Rules;
use crate::name::{Below, Name, RemotePath};

/// Directories that are listed at the same time.
const LISTED_TOGETHER: usize = 16;
/// Entries that a server may list, those included that are passed over: a listing without end does not hold us.
const MAX_LISTED: usize = 2 * entry::MAX_ENTRIES;

/// Everything below a directory, parents before what is in them.
pub(crate) async fn walk(
    client: &Client,
    root: &RemotePath,
    rules: &mut Rules<'_>,
) -> Result<Vec<Entry>, TransferError> {
    let mut entries = vec![];
    let seen = AtomicUsize::new(0);
    let mut level = vec![Below::default()];
    while !level.is_empty() {
        let lists = level.into_iter().map(|at| list(client, root, at, &seen));
        let mut lists = stream::iter(lists).buffered(LISTED_TOGETHER);
        let mut next = vec![];
        while let Some((at, found)) = lists.try_next().await? {
            if let Rules::Gather(ignores) = rules
                && let Some(text) = rules_text(client, root, &at, &found).await?
            {
                ignores.add(at, &text);
            }
            for entry in found {
                let directory = entry.kind == Kind::Directory;
                if rules.leave_out(&entry.path, directory) {
                    continue;
                }
                if directory {
                    next.push(entry.path.clone());
                }
                entry::push(&mut entries, entry)?;
            }
        }
        drop(lists);
        level = next;
    }
    Ok(entries)
}

async fn list(
    client: &Client,
    root: &RemotePath,
    at: Below,
    seen: &AtomicUsize,
) -> Result<(Below, Vec<Entry>), TransferError> {
    let path = root.join_all(&at.0);
    let failed = |source| remote("list", &path, source);
    let handle = client.open_directory(&path).await.map_err(failed)?;
    let mut found = vec![];
    while let Some(listed) = client.entries(&handle).await.map_err(failed)? {
        if seen.fetch_add(listed.len(), Ordering::Relaxed) > MAX_LISTED {
            let (path, what) = (shown(&path), "entries");
            return Err(TransferError::TooMuch { path, what, limit: MAX_LISTED });
        }
        for listed in listed {
            if let Some(entry) = checked(client, &path, &at, listed).await? {
                entry::push(&mut found, entry)?;
            }
        }
    }
    client.close(handle).await.map_err(failed)?;
    Ok((at, found))
}

async fn checked(
    client: &Client,
    directory: &RemotePath,
    at: &Below,
    listed: ListedEntry,
) -> Result<Option<Entry>, TransferError> {
    if matches!(&listed.name[..], b"." | b"..") {
        return Ok(None);
    }
    let name = Name::new(&listed.name).ok_or_else(|| TransferError::Name {
        directory: shown(directory),
        name: listed.name.escape_ascii().to_string(),
    })?;
    entry_of(client, &directory.join(&name), at.join(name.clone()), &listed.attributes)
        .await
        .map(Some)
}

/// An entry from its attributes.
pub(crate) async fn entry_of(
    client: &Client,
    path: &RemotePath,
    below: Below,
    attributes: &Attributes,
) -> Result<Entry, TransferError> {
    let kind = match file_type(attributes) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => {
            Kind::Link(client.read_link(path).await.map_err(|e| remote("read", path, e))?)
        }
        _ => Kind::Special,
    };
    Ok(Entry {
        path: below,
        kind,
        size: attributes.size.unwrap_or(0),
        mode: attributes.permissions.unwrap_or(0o600) & 0o7777,
        mtime: attributes.times.map_or(0, |(_, change)| change),
    })
}

/// The rules in a directory, if it lists some.
async fn rules_text(
    client: &Client,
    root: &RemotePath,
    at: &Below,
    found: &[Entry],
) -> Result<Option<Vec<u8>>, TransferError> {
    let is_rules = |entry: &&Entry| {
        entry.kind == Kind::File
            && entry.path.split().is_some_and(|(_, name)| name.as_bytes() == b".gitignore")
    };
    if !found.iter().any(|entry| is_rules(&entry)) {
        return Ok(None);
    }
    let path = root.join_all(&at.0).join_bytes(b".gitignore");
    let failed = |source| remote("read", &path, source);
    let opened = client.open_file(&path, open::READ, Attributes::default()).await;
    let handle = opened.map_err(failed)?;
    let mut text = vec![];
    while text.len() < ignores::LONGEST {
        let more = client.read(&handle, text.len() as u64, client.read_size(), None).await;
        let more = more.map_err(failed)?;
        if more.len() == 0 {
            break;
        }
        text.extend_from_slice(more.held());
    }
    client.close(handle).await.map_err(failed)?;
    Ok(Some(text))
}

/// Makes a directory, or finds that it is there and no link.
pub(crate) async fn make_directory(
    client: &Client,
    path: &RemotePath,
) -> Result<(), TransferError> {
    let wanted = Attributes { permissions: Some(0o777), ..Attributes::default() };
    let Err(refused) = client.make_directory(path, wanted).await else { return Ok(()) };
    match client.lstat(path).await {
        Ok(found) if file_type(&found) == FileType::Directory => Ok(()),
        Ok(_) => Err(TransferError::InTheWay(shown(path))),
        Err(_) => Err(remote("create", path, refused)),
    }
}

/// Attributes of a name, or nothing when nothing has it.
pub(crate) async fn find(
    client: &Client,
    path: &RemotePath,
    follow: bool,
) -> Result<Option<Attributes>, TransferError> {
    let found = if follow { client.stat(path).await } else { client.lstat(path).await };
    match found {
        Ok(found) => Ok(Some(found)),
        Err(ClientError::NotFound) => Ok(None),
        Err(source) => Err(remote("look at", path, source)),
    }
}

pub(crate) fn shown(path: &RemotePath) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(path.as_bytes()))
}

pub(crate) fn remote(
    action: &'static str,
    path: &RemotePath,
    source: ClientError,
) -> TransferError {
    TransferError::Remote { action, path: shown(path), source }
}
