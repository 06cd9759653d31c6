//! The bytes of a file: shared where the file system can, copied where not, holes left out.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::Ordering;

use rustix::fs::{FileType, Mode, OFlags, SeekFrom, Stat};
use rustix::io::Errno;

use super::{Copying, Pair};
use crate::{beneath, reading};

/// Bytes that are read and written at once; for more the kernel copies.
const SMALL: usize = 64 << 10;

impl Copying<'_> {
    pub(super) fn file(&self, pair: &Pair, name: &OsStr, path: &Path) -> io::Result<()> {
        let mut source = match reading::file(pair.source.as_fd(), name) {
            // It went away, or became something else that is not opened.
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(()),
            other => other?,
        };
        let stat = rustix::fs::fstat(&source)?;
        if beneath::kind(&stat) != FileType::RegularFile {
            // It was one a moment ago.
            self.skipped.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        let several = (stat.st_nlink > 1).then_some((stat.st_dev, stat.st_ino));
        // Held until the first name is there, so that other names find it.
        let mut links = several.map(|_| self.links());
        if let (Some(links), Some(file)) = (&links, several)
            && links.link(file, pair.target.as_fd(), name)?
        {
            return Ok(());
        }
        self.bytes.fetch_add(size(&stat), Ordering::Relaxed);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let target = rustix::fs::openat(&pair.target, name, flags, Mode::RUSR | Mode::WUSR)?;
        let mut target = File::from(target);
        if size(&stat) <= self.limits.layer_bytes {
            self.bytes(&mut source, &mut target, &stat)?;
        }
        self.dress(target.as_fd(), &stat, 0o400)?;
        if let (Some(links), Some(file)) = (&mut links, several) {
            links.copied(file, path);
        }
        Ok(())
    }

    fn bytes(&self, source: &mut File, target: &mut File, stat: &Stat) -> io::Result<()> {
        let size = size(stat);
        if size == 0 {
            return Ok(());
        }
        if self.reflinks.load(Ordering::Relaxed) {
            match rustix::fs::ioctl_ficlone(&*target, &*source) {
                Ok(()) => return Ok(()),
                Err(Errno::OPNOTSUPP | Errno::XDEV | Errno::INVAL | Errno::NOTTY) => {
                    self.reflinks.store(false, Ordering::Relaxed);
                }
                Err(error) => return Err(error.into()),
            }
        }
        if size <= SMALL as u64 {
            let mut bytes = Vec::with_capacity(size as usize);
            source.take(size).read_to_end(&mut bytes)?;
            return target.write_all(&bytes);
        }
        data(source, target, size)?;
        target.set_len(size)
    }
}

fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

/// Copies what is no hole.
fn data(source: &File, target: &File, size: u64) -> io::Result<()> {
    let mut at = 0;
    while at < size {
        at = match rustix::fs::seek(source, SeekFrom::Data(at)) {
            Ok(data) => data,
            // Nothing but a hole until the end.
            Err(Errno::NXIO) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let hole = rustix::fs::seek(source, SeekFrom::Hole(at))?.min(size);
        while at < hole {
            let length = usize::try_from(hole - at).unwrap_or(usize::MAX);
            let (mut from, mut to) = (at, at);
            match rustix::fs::copy_file_range(
                source,
                Some(&mut from),
                target,
                Some(&mut to),
                length,
            )? {
                // It became shorter.
                0 => return Ok(()),
                more => at += more as u64,
            }
        }
    }
    Ok(())
}
