//! Makes one side have what the other side's entries say.

use futures_util::{StreamExt, TryStreamExt, stream};
use navigator_sftp::wire::Attributes;

use crate::client::ClientError;
use crate::entry::{Entry, Kind, stays_inside};
use crate::error::TransferError;
use crate::file::Work;
use crate::options::{Event, Preserve, Report, Skipped};
use crate::remote::{self, find, make_directory};

/// Files on their way at once, so that small ones do not wait for each other's answers.
const FILES_TOGETHER: usize = 64;

impl Work<'_> {
    /// Uploads entries below the remote directory, which exists.
    pub(crate) async fn upload(&self, entries: &[Entry]) -> Result<Report, TransferError> {
        let mut report = self.begin(entries);
        for entry in of_kind(entries, is_directory) {
            make_directory(self.client, &self.remote.join_all(&entry.path.0)).await?;
        }
        let files = of_kind(entries, is_file).map(|entry| self.send(&entry.path, &entry.path));
        self.all(files, &mut report).await?;
        for entry in entries {
            match &entry.kind {
                Kind::Link(target) => self.upload_link(entry, target).await?,
                Kind::Special => report.skipped.push((entry.path.to_path(), Skipped::Special)),
                Kind::Directory | Kind::File => {}
            }
        }
        for entry in self.directories_to_finish(entries) {
            let path = self.remote.join_all(&entry.path.0);
            let times = Some((entry.mtime, entry.mtime));
            let permissions = Some(entry.mode & 0o777);
            let wanted = Attributes { permissions, times, ..Attributes::default() };
            let done = self.client.set(&path, wanted).await;
            done.map_err(|reason| remote::remote("set", &path, reason))?;
        }
        Ok(report)
    }

    /// Downloads entries below the local directory, which exists.
    pub(crate) async fn download(&self, entries: &[Entry]) -> Result<Report, TransferError> {
        let mut report = self.begin(entries);
        for entry in of_kind(entries, is_directory) {
            self.local.make_directory(&entry.path)?;
        }
        let files =
            of_kind(entries, is_file).map(|entry| self.fetch(&entry.path, &entry.path, entry.size));
        self.all(files, &mut report).await?;
        for entry in entries {
            match &entry.kind {
                Kind::Link(target) if stays_inside(&entry.path, target) => {
                    self.local.make_link(&entry.path, target)?;
                }
                Kind::Link(_) => {
                    report.skipped.push((entry.path.to_path(), Skipped::LinkOutside));
                }
                Kind::Special => report.skipped.push((entry.path.to_path(), Skipped::Special)),
                Kind::Directory | Kind::File => {}
            }
        }
        for entry in self.directories_to_finish(entries) {
            self.local.finish_directory(entry)?;
        }
        Ok(report)
    }

    fn begin(&self, entries: &[Entry]) -> Report {
        let files = of_kind(entries, is_file).count() as u64;
        let bytes = entries.iter().fold(0_u64, |sum, entry| sum.saturating_add(entry.bytes()));
        self.progress.event(Event::Total { files, bytes });
        Report::default()
    }

    async fn all(
        &self,
        files: impl Iterator<Item = impl Future<Output = Result<u64, TransferError>>>,
        report: &mut Report,
    ) -> Result<(), TransferError> {
        let mut files = stream::iter(files).buffer_unordered(FILES_TOGETHER);
        while let Some(bytes) = files.try_next().await? {
            report.files += 1;
            report.bytes += bytes;
        }
        Ok(())
    }

    async fn upload_link(&self, entry: &Entry, target: &[u8]) -> Result<(), TransferError> {
        let path = self.remote.join_all(&entry.path.0);
        let failed = |reason| remote::remote("link", &path, reason);
        match self.client.remove(&path).await {
            Ok(()) | Err(ClientError::NotFound) => {}
            Err(_) if find(self.client, &path, false).await?.is_some() => {
                return Err(TransferError::InTheWay(remote::shown(&path)));
            }
            Err(reason) => return Err(failed(reason)),
        }
        self.client.make_link(target, &path).await.map_err(failed)
    }

    /// Directories get their times last and from the inside out: what is made in them changes them.
    fn directories_to_finish<'e>(
        &self,
        entries: &'e [Entry],
    ) -> impl Iterator<Item = &'e Entry> + use<'e> {
        let keep = self.options.preserve == Preserve::Yes;
        entries.iter().rev().filter(move |entry| keep && is_directory(&entry.kind))
    }
}

fn of_kind(entries: &[Entry], is: fn(&Kind) -> bool) -> impl Iterator<Item = &Entry> {
    entries.iter().filter(move |entry| is(&entry.kind))
}

fn is_directory(kind: &Kind) -> bool {
    matches!(kind, Kind::Directory)
}

fn is_file(kind: &Kind) -> bool {
    matches!(kind, Kind::File)
}
