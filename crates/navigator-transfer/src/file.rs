//! One file, from one side to the other: into a part beside its place, then under its name.
//!
//! A file is not forced to the disk before it gets its name: that doubles the time of a large one and costs small ones
//! some milliseconds each. A process that ends loses nothing by it; a machine that does may, as with `cp`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use navigator_sftp::wire::{Attributes, open};
use rustix::fs::FileType;

use crate::client::{Arrival, Client, ClientError, Handle, Part, file_type};
use crate::entry::part_name;
use crate::error::TransferError;
use crate::local::{LocalRoot, finish, local, mtime};
use crate::name::{Below, Name, RemotePath};
use crate::options::{Event, Options, Preserve, Progress};
use crate::remote::{find, remote, shown};

/// Requests of one file on their way at once: more than the stream between both sides holds.
const WINDOW: usize = 16;

/// What a transfer works with.
pub(crate) struct Work<'a> {
    pub(crate) client: &'a Client,
    pub(crate) local: &'a LocalRoot,
    pub(crate) remote: &'a RemotePath,
    pub(crate) options: Options,
    pub(crate) progress: &'a dyn Progress,
}

impl Work<'_> {
    /// Uploads a file. Returns its bytes.
    pub(crate) async fn send(&self, from: &Below, to: &Below) -> Result<u64, TransferError> {
        let (file, stat) = self.local.open_file(from)?;
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let (parents, name) = to.split().ok_or(TransferError::InTheWay(to.to_path()))?;
        let parent = self.remote.join_all(parents);
        let part = parent.join(&part_name(name, size, mtime(&stat)));
        let mode = stat.st_mode & 0o777;
        let (handle, offset) = self.open_remote_part(&part, size, mode).await?;
        self.progress.event(Event::Bytes(offset));
        let failed = |source| remote("write", &part, source);
        self.send_content(&handle, Arc::new(file), offset, size, from, &part).await?;
        if self.options.preserve == Preserve::Yes {
            let times = Some((mtime(&stat), mtime(&stat)));
            let wanted = Attributes { permissions: Some(mode), times, ..Attributes::default() };
            self.client.set_open(&handle, wanted).await.map_err(failed)?;
        }
        self.client.close(handle).await.map_err(failed)?;
        self.client.rename(&part, &parent.join(name)).await.map_err(failed)?;
        self.progress.event(Event::File(&to.to_path()));
        Ok(size)
    }

    /// Opens a new part, or one that an earlier transfer left.
    async fn open_remote_part(
        &self,
        part: &RemotePath,
        size: u64,
        mode: u32,
    ) -> Result<(Handle, u64), TransferError> {
        let failed = |source| remote("create", part, source);
        let wanted = Attributes { permissions: Some(mode | 0o600), ..Attributes::default() };
        let new = open::WRITE | open::CREATE | open::EXCLUSIVE;
        let refused = match self.client.open_file(part, new, wanted).await {
            Ok(handle) => return Ok((handle, 0)),
            Err(refused) => refused,
        };
        let found = find(self.client, part, false).await?.ok_or_else(|| failed(refused))?;
        if file_type(&found) != FileType::RegularFile {
            return Err(TransferError::InTheWay(shown(part)));
        }
        let whole = open::WRITE | open::TRUNCATE;
        let there = found.size.filter(|there| *there <= size).unwrap_or(0);
        let flags = if there > 0 { open::WRITE } else { whole };
        let opened = self.client.open_file(part, flags, Attributes::default()).await;
        Ok((opened.map_err(failed)?, there))
    }

    async fn send_content(
        &self,
        handle: &Handle,
        file: Arc<File>,
        offset: u64,
        size: u64,
        from: &Below,
        part: &RemotePath,
    ) -> Result<(), TransferError> {
        // Requests follow one another, so that a broken upload is whole up to its end.
        let writes = steps(offset, size, self.client.write_size()).map(|(at, length)| {
            let file = &file;
            async move {
                let written = self.client.write_from(handle, file, at, length).await;
                written.map_err(|reason| match reason {
                    ClientError::File(reason) => reading_failed(from, reason),
                    other => remote("write", part, other),
                })?;
                self.progress.event(Event::Bytes(length as u64));
                Ok(())
            }
        });
        stream::iter(writes).buffered(WINDOW).try_collect().await
    }

    /// Downloads a file that was announced to have a size. Returns its bytes.
    pub(crate) async fn fetch(
        &self,
        from: &Below,
        to: &Below,
        announced: u64,
    ) -> Result<u64, TransferError> {
        let source = self.remote.join_all(&from.0);
        let failed = |reason| remote("read", &source, reason);
        let opened = self.client.open_file(&source, open::READ, Attributes::default()).await;
        let handle = opened.map_err(failed)?;
        let found = self.client.fstat(&handle).await.map_err(failed)?;
        if file_type(&found) != FileType::RegularFile {
            return Err(TransferError::Special(shown(&source)));
        }
        // What was added since is not part of this copy: nothing grows beyond what was announced.
        let size = found.size.unwrap_or(0).min(announced);
        let mode = found.permissions.unwrap_or(0o600) & 0o777;
        let time = found.times.map_or(0, |(_, change)| change);
        let (parents, name) = to.split().ok_or(TransferError::InTheWay(to.to_path()))?;
        let part = part_name(name, size, time);
        let (parent, file, there) = self.local.open_part(parents, &part, mode)?;
        let here = |reason: io::Error| local("write", &to.to_path(), reason);
        let offset = if there <= size { there } else { 0 };
        // Only what has to go is cut off: the system writes a file to the disk at once that was cut to nothing.
        if offset < there {
            file.set_len(offset).map_err(here)?;
        }
        self.progress.event(Event::Bytes(offset));
        let arrival = Arc::new(Arrival::new(file, to.to_path(), offset));
        self.fetch_content(&handle, &arrival, offset, size, &source).await?;
        self.client.close(handle).await.map_err(failed)?;
        if self.options.preserve == Preserve::Yes {
            finish(arrival.file(), mode, time).map_err(|reason| here(reason.into()))?;
        }
        rename_here(&parent, &part, name).map_err(|reason| here(reason.into()))?;
        self.progress.event(Event::File(&to.to_path()));
        Ok(size)
    }

    async fn fetch_content(
        &self,
        handle: &Handle,
        arrival: &Arc<Arrival>,
        offset: u64,
        size: u64,
        source: &RemotePath,
    ) -> Result<(), TransferError> {
        let reads = steps(offset, size, self.client.read_size())
            .map(|(at, length)| self.read_whole(handle, at, length, source, Some(arrival)));
        let mut reads = stream::iter(reads).buffered(WINDOW);
        while let Some((mut at, parts)) = reads.try_next().await? {
            for part in parts {
                if let Part::Held(content) = &part {
                    // Everything before is there now: it is this content's turn.
                    let written = arrival.write(at, content);
                    written.map_err(|reason| local("write", arrival.path(), reason))?;
                }
                at += part.len() as u64;
                self.progress.event(Event::Bytes(part.len() as u64));
            }
        }
        Ok(())
    }

    /// Reads one step, also from a server that answers with less.
    async fn read_whole(
        &self,
        handle: &Handle,
        at: u64,
        length: usize,
        source: &RemotePath,
        into: Option<&Arc<Arrival>>,
    ) -> Result<(u64, Vec<Part>), TransferError> {
        let mut parts = vec![];
        let mut there = 0;
        while there < length {
            let read = self.client.read(handle, at + there as u64, length - there, into).await;
            let part = read.map_err(|reason| match (reason, into) {
                (ClientError::File(reason), Some(into)) => local("write", into.path(), reason),
                (reason, _) => remote("read", source, reason),
            })?;
            if part.len() == 0 {
                return Err(TransferError::Changed(shown(source)));
            }
            there += part.len();
            parts.push(part);
        }
        Ok((at, parts))
    }
}

fn rename_here(parent: &std::os::fd::OwnedFd, part: &Name, name: &Name) -> rustix::io::Result<()> {
    rustix::fs::renameat(parent, part.as_bytes(), parent, name.as_bytes())
}

/// Offsets and lengths of the requests for a file.
fn steps(from: u64, size: u64, step: usize) -> impl Iterator<Item = (u64, usize)> {
    (from..size)
        .step_by(step)
        .map(move |at| (at, usize::try_from(size - at).unwrap_or(step).min(step)))
}

fn reading_failed(path: &Below, reason: io::Error) -> TransferError {
    match reason.kind() {
        io::ErrorKind::UnexpectedEof => TransferError::Changed(path.to_path()),
        _ => local("read", &path.to_path(), reason),
    }
}

impl Work<'_> {
    /// Whether a file of the same size and path has the same content on both sides.
    pub(crate) async fn same_content(
        &self,
        path: &Below,
        size: u64,
    ) -> Result<bool, TransferError> {
        let source = self.remote.join_all(&path.0);
        let failed = |reason| remote("read", &source, reason);
        let (file, _) = self.local.open_file(path)?;
        let opened = self.client.open_file(&source, open::READ, Attributes::default()).await;
        let handle = opened.map_err(failed)?;
        let reads = steps(0, size, self.client.read_size())
            .map(|(at, length)| self.read_whole(&handle, at, length, &source, None));
        let mut reads = stream::iter(reads).buffered(WINDOW);
        let mut same = true;
        let mut buffer = vec![0; self.client.read_size()];
        while let Some((at, parts)) = reads.try_next().await? {
            let alike = alike(&file, at, &parts, &mut buffer);
            same = alike.map_err(|reason| reading_failed(path, reason))?;
            if !same {
                break;
            }
        }
        drop(reads);
        self.client.close(handle).await.map_err(failed)?;
        Ok(same)
    }
}

/// Whether a file has this content at a place. The buffer has room for each part.
fn alike(file: &File, mut at: u64, parts: &[Part], buffer: &mut [u8]) -> io::Result<bool> {
    for part in parts {
        let here = buffer.get_mut(..part.len()).ok_or(io::ErrorKind::InvalidInput)?;
        file.read_exact_at(here, at)?;
        if here != part.held() {
            return Ok(false);
        }
        at += part.len() as u64;
    }
    Ok(true)
}
