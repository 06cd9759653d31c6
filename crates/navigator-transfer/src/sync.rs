//! Makes a directory on one side like one on the other, and moves only what differs.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use navigator_sftp::wire::Attributes;

use crate::client::Client;
use crate::copy::made_here;
use crate::entry::{Entry, Kind, is_part};
use crate::error::TransferError;
use crate::file::Work;
use crate::ignores::Ignores;
use crate::local::{LocalRoot, Rules};
use crate::name::{Below, RemotePath};
use crate::options::{Links, Options, Preserve, Progress, Report, Skipped};
use crate::remote::{self, make_directory};

/// How files are found to differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compare {
    /// By size and time of change, in seconds.
    #[default]
    SizeAndTime,
    /// By content too, where sizes are equal: reads everything on both sides.
    Content,
}

/// What happens with what only the receiving side has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extra {
    /// It stays.
    #[default]
    Keep,
    /// It is deleted, unless the source's rules leave it out.
    Delete,
}

/// How a sync is done.
#[derive(Clone, Copy, Debug, Default)]
pub struct SyncOptions {
    /// How files are compared.
    pub compare: Compare,
    /// What happens with more.
    pub extra: Extra,
}

/// Links as links, and times kept: the next comparison needs them.
const OPTIONS: Options = Options { preserve: Preserve::Yes, links: Links::Copy };

/// Makes a directory of the sandbox like a local one. What `.gitignore` files leave out is not touched.
///
/// # Errors
/// When either side fails; the next sync goes on.
pub async fn sync_up(
    client: &Client,
    source: &Path,
    target: &RemotePath,
    options: SyncOptions,
    progress: &dyn Progress,
) -> Result<Report, TransferError> {
    let root = LocalRoot::open(source, Links::Copy)?;
    let mut ignores = Ignores::default();
    let here = root.walk(&mut Rules::Gather(&mut ignores))?;
    make_directory(client, target).await?;
    let there = remote::walk(client, target, &mut Rules::Follow(&ignores)).await?;
    let work = Work { client, local: &root, remote: target, options: OPTIONS, progress };
    let plan = work.plan(here, there, options).await?;
    for entry in &plan.unlock {
        let path = target.join_all(&entry.path.0);
        let permissions = Some((entry.mode & 0o777) | OWNER);
        let unlocked = client.set(&path, Attributes { permissions, ..Attributes::default() }).await;
        unlocked.map_err(|reason| remote::remote("set", &path, reason))?;
    }
    for entry in plan.delete.iter().rev() {
        let path = target.join_all(&entry.path.0);
        let removed = match entry.kind {
            Kind::Directory => client.remove_directory(&path).await,
            _ => client.remove(&path).await,
        };
        removed.map_err(|reason| remote::remote("remove", &path, reason))?;
    }
    let report = work.upload(&plan.transfer).await?;
    Ok(Report { deleted: plan.delete.len() as u64, ..report })
}

/// Makes a local directory like one of the sandbox. What the sandbox's `.gitignore` files leave out is not touched,
/// nor is `.git`: hooks and settings in it would make programs of the sandbox run on the user's side.
///
/// # Errors
/// When either side fails; the next sync goes on.
pub async fn sync_down(
    client: &Client,
    source: &RemotePath,
    target: &Path,
    options: SyncOptions,
    progress: &dyn Progress,
) -> Result<Report, TransferError> {
    let mut ignores = Ignores::default();
    let mut there = remote::walk(client, source, &mut Rules::Gather(&mut ignores)).await?;
    // A directory that is there was named by the user, also when its name is a link.
    let there_already = target.is_dir();
    let root =
        if there_already { LocalRoot::open(target, Links::Copy) } else { made_here(target) }?;
    let mut here = root.walk(&mut Rules::Follow(&ignores))?;
    let skipped = there.iter().filter(|entry| is_repository(&entry.path)).map(|entry| &entry.path);
    let skipped: Vec<_> = skipped.map(Below::to_path).collect();
    there.retain(|entry| !in_repository(&entry.path));
    here.retain(|entry| !in_repository(&entry.path));
    let work = Work { client, local: &root, remote: source, options: OPTIONS, progress };
    let plan = work.plan(there, here, options).await?;
    for entry in &plan.unlock {
        root.set_mode(entry, entry.mode | OWNER)?;
    }
    for entry in plan.delete.iter().rev() {
        root.remove(entry)?;
    }
    let mut report = work.download(&plan.transfer).await?;
    report.skipped.extend(skipped.into_iter().map(|path| (path, Skipped::Repository)));
    Ok(Report { deleted: plan.delete.len() as u64, ..report })
}

/// What the owner of a directory needs to change what is in it.
const OWNER: u32 = 0o700;

/// What is to be done, parents before what is in them.
#[derive(Debug)]
struct Plan {
    /// Directories of the receiving side that their owner may not write to, though something in them changes. Those
    /// that stay are transferred too, and so become again what they are at the source.
    unlock: Vec<Entry>,
    delete: Vec<Entry>,
    transfer: Vec<Entry>,
}

impl Work<'_> {
    async fn plan(
        &self,
        mut source: Vec<Entry>,
        target: Vec<Entry>,
        options: SyncOptions,
    ) -> Result<Plan, TransferError> {
        source.retain(|entry| !entry.path.split().is_some_and(|(_, name)| is_part(name)));
        let delete = match options.extra {
            Extra::Delete => extra(&source, &target),
            Extra::Keep => vec![],
        };
        let gone: HashSet<&Below> = delete.iter().map(|entry| &entry.path).collect();
        let there: HashMap<&Below, &Entry> = target
            .iter()
            .filter(|entry| !gone.contains(&entry.path))
            .map(|entry| (&entry.path, entry))
            .collect();
        let mut differ = HashSet::new();
        for entry in &source {
            let same = match there.get(&entry.path) {
                Some(other) => self.same(entry, other, options.compare).await?,
                None => false,
            };
            if !same {
                differ.insert(entry.path.clone());
            }
        }
        let unlock = locked(&target, gone.into_iter().chain(&differ));
        differ.extend(unlock.iter().map(|entry| entry.path.clone()));
        source.retain(|entry| differ.contains(&entry.path));
        Ok(Plan { unlock, delete, transfer: source })
    }

    async fn same(
        &self,
        source: &Entry,
        target: &Entry,
        compare: Compare,
    ) -> Result<bool, TransferError> {
        match (&source.kind, &target.kind) {
            (Kind::File, Kind::File) => {
                let alike = source.size == target.size && source.mtime == target.mtime;
                let alike = alike && source.mode & 0o777 == target.mode & 0o777;
                match compare {
                    Compare::Content if alike => self.same_content(&source.path, source.size).await,
                    _ => Ok(alike),
                }
            }
            (Kind::Directory, Kind::Directory) => Ok(source.mode & 0o777 == target.mode & 0o777),
            (source, target) => Ok(source == target),
        }
    }
}

/// What only the receiving side has.
fn extra(source: &[Entry], target: &[Entry]) -> Vec<Entry> {
    let kept: HashMap<&Below, bool> =
        source.iter().map(|entry| (&entry.path, entry.kind == Kind::Directory)).collect();
    let stays = |entry: &&Entry| kept.get(&entry.path) == Some(&(entry.kind == Kind::Directory));
    target.iter().filter(|entry| !stays(entry)).cloned().collect()
}

/// Directories in which something changes and whose owner may not write to them.
fn locked<'a>(target: &[Entry], changed: impl Iterator<Item = &'a Below>) -> Vec<Entry> {
    let parents: HashSet<_> =
        changed.filter_map(|path| path.split()).map(|(parents, _)| parents).collect();
    let is_locked = |entry: &&Entry| {
        entry.kind == Kind::Directory
            && entry.mode & OWNER != OWNER
            && parents.contains(&entry.path.0[..])
    };
    target.iter().filter(is_locked).cloned().collect()
}

/// Git finds its directory on some systems whatever the case of its letters.
fn is_repository(path: &Below) -> bool {
    path.split().is_some_and(|(_, name)| name.as_bytes().eq_ignore_ascii_case(b".git"))
}

fn in_repository(path: &Below) -> bool {
    path.0.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(b".git"))
}
