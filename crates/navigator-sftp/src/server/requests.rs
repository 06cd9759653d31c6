//! What each request of the protocol does.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, Mode, OFlags, RawDir, RenameFlags};
use rustix::io::Errno;

use super::answers::Answers;
use super::handles::Open;
use super::{Refusal, Session, attributes, extensions, longname};
use crate::wire::{MAX_DATA, MAX_PACKET, Reader, VERSION, Writer, kind, open, status};

/// Directory entries read at once. Even the shortest names' answer, some seven times as long, fits a packet.
const ENTRIES: usize = 32 * 1024;
const _: () = assert!(ENTRIES * 7 < MAX_PACKET);
/// Bits of a mode that new files get when the client names none; the process's mask takes its part.
const FILE_MODE: u32 = 0o666;
/// The same for directories.
const DIRECTORY_MODE: u32 = 0o777;

impl Session {
    /// Answers one packet.
    pub(super) fn answer(&mut self, packet: &[u8], answers: &mut Answers<'_>) -> io::Result<()> {
        let invalid = |reason| io::Error::new(io::ErrorKind::InvalidData, reason);
        let mut reader = Reader::new(packet);
        let kind = reader.u8().map_err(invalid)?;
        let id = reader.u32().map_err(invalid)?;
        let done = match kind {
            kind::INIT => self.greet(id, answers),
            _ if !self.greeted => return Err(invalid(crate::wire::Malformed)),
            _ => self.request(kind, id, reader, answers),
        };
        match done.or_else(|refusal| refuse(id, refusal, answers)) {
            Err(Refusal::Output(reason)) => Err(reason),
            _ => Ok(()),
        }
    }

    fn greet(&mut self, version: u32, answers: &mut Answers<'_>) -> Result<(), Refusal> {
        if version < VERSION {
            return Err(Refusal::Output(io::ErrorKind::Unsupported.into()));
        }
        self.greeted = true;
        answers.packet(kind::VERSION, VERSION, extensions::announce)
    }

    fn request(
        &mut self,
        kind: u8,
        id: u32,
        mut reader: Reader<'_>,
        answers: &mut Answers<'_>,
    ) -> Result<(), Refusal> {
        match kind {
            kind::READ => self.read(id, reader, answers),
            kind::WRITE => self.write(reader).and_then(|()| answers.ok(id)),
            kind::OPEN | kind::OPENDIR => {
                let open = if kind == kind::OPEN { self.open(reader) } else { self.list(reader) }?;
                let handle = self.handles.insert(open)?;
                answers.packet(kind::HANDLE, id, |packet| packet.string(&handle))
            }
            kind::LSTAT => self.stat(id, reader, AtFlags::SYMLINK_NOFOLLOW, answers),
            kind::STAT => self.stat(id, reader, AtFlags::empty(), answers),
            kind::FSTAT => {
                let stat = rustix::fs::fstat(self.handles.any(reader.string()?)?)?;
                answers.attributes(id, &attributes::of(&stat))
            }
            kind::READDIR => read_directory(id, self.handles.directory(reader.string()?)?, answers),
            kind::REALPATH => {
                let name = self.real_path(reader.string()?)?;
                answers.name(id, &name)
            }
            kind::READLINK => {
                let path = self.path(reader.string()?);
                let target = rustix::fs::readlinkat(&self.start, path, vec![])?;
                answers.name(id, target.as_bytes())
            }
            kind::EXTENDED => extensions::answer(self, id, reader, answers),
            _ => self.change(kind, reader).and_then(|()| answers.ok(id)),
        }
    }

    /// Requests whose answer is only whether they were done.
    fn change(&mut self, kind: u8, mut reader: Reader<'_>) -> Result<(), Refusal> {
        if kind == kind::CLOSE {
            return self.handles.remove(reader.string()?);
        }
        if kind == kind::FSETSTAT {
            let file = self.handles.any(reader.string()?)?;
            return Ok(attributes::set_open(file, &reader.attributes()?)?);
        }
        if !matches!(
            kind,
            kind::SETSTAT | kind::REMOVE | kind::MKDIR | kind::RMDIR | kind::RENAME | kind::SYMLINK
        ) {
            return Err(Refusal::Status(status::OP_UNSUPPORTED));
        }
        let from = &self.start;
        let path = self.path(reader.string()?);
        match kind {
            kind::SETSTAT => {
                attributes::set(from, path, AtFlags::empty(), &reader.attributes()?)?;
            }
            kind::REMOVE => rustix::fs::unlinkat(from, path, AtFlags::empty())?,
            kind::MKDIR => {
                let mode = attributes::mode(&reader.attributes()?, DIRECTORY_MODE);
                rustix::fs::mkdirat(from, path, mode)?;
            }
            kind::RMDIR => rustix::fs::unlinkat(from, path, AtFlags::REMOVEDIR)?,
            kind::RENAME => rename_new(from, path, self.path(reader.string()?))?,
            // OpenSSH sends what the link names first, against the draft, and every client follows it.
            _ => rustix::fs::symlinkat(path, from, self.path(reader.string()?))?,
        }
        Ok(())
    }

    fn open(&self, mut reader: Reader<'_>) -> Result<Open, Refusal> {
        let path = self.path(reader.string()?);
        let wanted = reader.u32()?;
        let mode = attributes::mode(&reader.attributes()?, FILE_MODE);
        let has = |bit| wanted & bit != 0;
        let mut flags = match (has(open::READ), has(open::WRITE)) {
            (true, true) => OFlags::RDWR,
            (_, false) => OFlags::RDONLY,
            (false, true) => OFlags::WRONLY,
        };
        // A pipe that nobody writes to must not hold up the only thread.
        flags |= OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        flags.set(OFlags::APPEND, has(open::APPEND));
        flags.set(OFlags::CREATE, has(open::CREATE));
        flags.set(OFlags::TRUNC, has(open::TRUNCATE));
        flags.set(OFlags::EXCL, has(open::EXCLUSIVE));
        Ok(Open::File(rustix::fs::openat(&self.start, path, flags, mode)?))
    }

    fn list(&self, mut reader: Reader<'_>) -> Result<Open, Refusal> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let path = self.path(reader.string()?);
        Ok(Open::Directory(rustix::fs::openat(&self.start, path, flags, Mode::empty())?))
    }

    fn read(
        &mut self,
        id: u32,
        mut reader: Reader<'_>,
        answers: &mut Answers<'_>,
    ) -> Result<(), Refusal> {
        let file = self.handles.file(reader.string()?)?;
        let offset = reader.u64()?;
        let length = usize::try_from(reader.u32()?).unwrap_or(MAX_DATA).min(MAX_DATA);
        let count = again(|| rustix::io::pread(file, &mut self.content[..length], offset))?;
        if count == 0 && length > 0 {
            return Err(Refusal::Status(status::EOF));
        }
        answers.data(id, &self.content[..count])
    }

    fn write(&self, mut reader: Reader<'_>) -> Result<(), Refusal> {
        let file = self.handles.file(reader.string()?)?;
        let offset = reader.u64()?;
        write_at(file, reader.string()?, offset)
    }

    fn stat(
        &self,
        id: u32,
        mut reader: Reader<'_>,
        follow: AtFlags,
        answers: &mut Answers<'_>,
    ) -> Result<(), Refusal> {
        let stat = rustix::fs::statat(&self.start, self.path(reader.string()?), follow)?;
        answers.attributes(id, &attributes::of(&stat))
    }

    /// A name without links and dots; its last part need not exist.
    pub(super) fn real_path(&self, name: &[u8]) -> Result<Vec<u8>, Refusal> {
        let path = self.absolute(name);
        let found = match std::fs::canonicalize(&path) {
            Err(reason) if reason.kind() == io::ErrorKind::NotFound => {
                let (parent, last) = path.parent().zip(path.file_name()).ok_or(Errno::NOENT)?;
                std::fs::canonicalize(parent)?.join(last)
            }
            other => other?,
        };
        Ok(found.into_os_string().as_bytes().to_vec())
    }
}

/// Writes all bytes at an offset.
pub(super) fn write_at(file: &OwnedFd, mut bytes: &[u8], mut offset: u64) -> Result<(), Refusal> {
    while !bytes.is_empty() {
        let count = again(|| rustix::io::pwrite(file, bytes, offset))?;
        if count == 0 {
            return Err(Errno::IO.into());
        }
        bytes = bytes.get(count..).unwrap_or_default();
        offset = offset.checked_add(count as u64).ok_or(Errno::FBIG)?;
    }
    Ok(())
}

/// Does a call again that a signal interrupted.
pub(super) fn again<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

/// Renames without replacing, as the draft wants it.
fn rename_new(from: &OwnedFd, old: &[u8], new: &[u8]) -> Result<(), Errno> {
    match rustix::fs::renameat_with(from, old, from, new, RenameFlags::NOREPLACE) {
        // A file system or a filter that does not know the flag.
        Err(Errno::INVAL | Errno::NOSYS) => {
            match rustix::fs::statat(from, new, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(_) => Err(Errno::EXIST),
                Err(Errno::NOENT) => rustix::fs::renameat(from, old, from, new),
                Err(reason) => Err(reason),
            }
        }
        other => other,
    }
}

/// Answers with the entries of one system call. What vanishes meanwhile is left out.
fn read_directory(id: u32, directory: &OwnedFd, answers: &mut Answers<'_>) -> Result<(), Refusal> {
    let mut names = Vec::new();
    let mut count = 0;
    while count == 0 {
        count = read_entries(directory, &mut names)?.ok_or(Refusal::Status(status::EOF))?;
    }
    answers.packet(kind::NAME, id, |packet| packet.u32(count).raw(&names))
}

/// The entries of one system call, or nothing at the end.
fn read_entries(directory: &OwnedFd, names: &mut Vec<u8>) -> Result<Option<u32>, Errno> {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec;
    let mut space = [MaybeUninit::uninit(); ENTRIES];
    let mut entries = RawDir::new(directory, &mut space);
    let mut count = None;
    while let Some(entry) = entries.next() {
        let name = entry?.file_name().to_owned();
        let so_far = count.get_or_insert(0);
        if let Ok(stat) = rustix::fs::statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW) {
            *so_far += 1;
            let line = longname::line(name.to_bytes(), &stat, now);
            push_entry(names, name.to_bytes(), &line, &attributes::of(&stat));
        }
        if entries.is_buffer_empty() {
            break;
        }
    }
    Ok(count)
}

fn push_entry(into: &mut Vec<u8>, name: &[u8], line: &[u8], found: &crate::wire::Attributes) {
    Writer::fragment(into).string(name).string(line).attributes(found);
}

/// Says why a request was not done.
fn refuse(id: u32, refusal: Refusal, answers: &mut Answers<'_>) -> Result<(), Refusal> {
    match refusal {
        Refusal::System(reason) => {
            answers.status(id, code(reason), &io::Error::from(reason).to_string())
        }
        Refusal::Status(status::EOF) => answers.status(id, status::EOF, "end of file"),
        Refusal::Status(status::BAD_MESSAGE) => {
            answers.status(id, status::BAD_MESSAGE, "the request is malformed")
        }
        Refusal::Status(code) => answers.status(id, code, "not supported"),
        Refusal::Output(reason) => Err(Refusal::Output(reason)),
    }
}

fn code(reason: Errno) -> u32 {
    match reason {
        Errno::NOENT | Errno::NOTDIR | Errno::BADF | Errno::LOOP => status::NO_SUCH_FILE,
        Errno::PERM | Errno::ACCESS => status::PERMISSION_DENIED,
        Errno::NAMETOOLONG => status::BAD_MESSAGE,
        Errno::NOSYS | Errno::OPNOTSUPP => status::OP_UNSUPPORTED,
        _ => status::FAILURE,
    }
}
