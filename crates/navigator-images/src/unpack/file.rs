//! Regular files of a layer.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::path::Name;
use super::{EntryError, LOOK_EVERY, Unpacker, times};
use crate::archive::{Archive, Member, Streamed};

impl Unpacker<'_> {
    pub(super) fn file<R: Read>(
        &mut self,
        archive: &mut Archive<Streamed<R>>,
        member: &Member,
        name: &Name<'_>,
    ) -> Result<(), EntryError> {
        self.contents.bytes = self.contents.bytes.saturating_add(member.size);
        if self.contents.bytes > self.limits.layer_bytes {
            return Err(EntryError::Bytes { limit: self.limits.layer_bytes });
        }
        let parent = self.parent(name.parent)?;
        let mut file = match create(parent.as_fd(), name) {
            Err(Errno::EXIST) => {
                self.replace(parent.as_fd(), name)?;
                create(parent.as_fd(), name)?
            }
            other => other?,
        };
        self.write(archive, member, &mut file)?;
        self.own(file.as_fd(), member)?;
        let mut mode = member.mode & 0o777;
        if !self.privileged {
            // Or its owner could not read it.
            mode |= 0o400;
        }
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        rustix::fs::futimens(&file, &times(member))?;
        self.parent = Some((name.parent.to_owned(), parent));
        Ok(())
    }

    fn write<R: Read>(
        &mut self,
        archive: &mut Archive<Streamed<R>>,
        member: &Member,
        file: &mut File,
    ) -> Result<(), EntryError> {
        let Some(segments) = &member.segments else {
            return self.copy(archive, archive.body_left(), file);
        };
        for segment in segments {
            file.seek(SeekFrom::Start(segment.offset)).map_err(EntryError::Write)?;
            self.copy(archive, segment.length, file)?;
        }
        file.set_len(member.size).map_err(EntryError::Write)
    }

    fn copy(
        &mut self,
        source: &mut impl Read,
        mut left: u64,
        file: &mut File,
    ) -> Result<(), EntryError> {
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            let length = source.read(&mut self.buffer[..most]).map_err(EntryError::Read)?;
            self.unchecked += length as u64;
            if self.unchecked >= LOOK_EVERY {
                self.look_at_disk()?;
            }
            file.write_all(&self.buffer[..length]).map_err(EntryError::Write)?;
            left -= length as u64;
        }
        Ok(())
    }

    fn look_at_disk(&mut self) -> Result<(), EntryError> {
        self.unchecked = 0;
        let disk = rustix::fs::fstatvfs(self.root)?;
        let keep_free = self.limits.keep_free;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < keep_free { Err(EntryError::Space { keep_free }) } else { Ok(()) }
    }
}

fn create(parent: BorrowedFd<'_>, name: &Name<'_>) -> rustix::io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name.last, flags, Mode::RUSR | Mode::WUSR).map(File::from)
}
