//! The requests that OpenSSH added to the protocol.

use rustix::fs::{AtFlags, FileType, StatVfs, StatVfsMountFlags};
use rustix::io::Errno;

use super::answers::Answers;
use super::handles::MAX_HANDLES;
use super::requests::{again, write_at};
use super::{Refusal, Session, attributes};
use crate::wire::{MAX_DATA, MAX_PACKET, Reader, Writer, kind, status};

/// Extensions and their versions, as the server announces them.
const KNOWN: [(&str, &str); 10] = [
    ("posix-rename@openssh.com", "1"),
    ("statvfs@openssh.com", "2"),
    ("fstatvfs@openssh.com", "2"),
    ("hardlink@openssh.com", "1"),
    ("fsync@openssh.com", "1"),
    ("lsetstat@openssh.com", "1"),
    ("limits@openssh.com", "1"),
    ("expand-path@openssh.com", "1"),
    ("copy-data", "1"),
    ("home-directory", "1"),
];

/// Adds the announcement to a version packet.
pub(super) fn announce(packet: Writer<'_>) -> Writer<'_> {
    KNOWN.iter().fold(packet, |packet, (name, version)| {
        packet.string(name.as_bytes()).string(version.as_bytes())
    })
}

/// Answers an extended request.
pub(super) fn answer(
    session: &mut Session,
    id: u32,
    mut reader: Reader<'_>,
    answers: &mut Answers<'_>,
) -> Result<(), Refusal> {
    match reader.string()? {
        b"statvfs@openssh.com" => {
            let path = session.path(reader.string()?);
            let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
            let file = rustix::fs::openat(&session.start, path, flags, rustix::fs::Mode::empty())?;
            space(id, &rustix::fs::fstatvfs(file)?, answers)
        }
        b"fstatvfs@openssh.com" => {
            let file = session.handles.any(reader.string()?)?;
            space(id, &rustix::fs::fstatvfs(file)?, answers)
        }
        b"limits@openssh.com" => answers.packet(kind::EXTENDED_REPLY, id, |packet| {
            let packet = packet.u64(MAX_PACKET as u64).u64(MAX_DATA as u64);
            packet.u64(MAX_DATA as u64).u64(MAX_HANDLES as u64)
        }),
        b"expand-path@openssh.com" => {
            let name = session.real_path(expand(reader.string()?)?)?;
            answers.name(id, &name)
        }
        b"home-directory" => {
            let home = session.real_path(b".")?;
            answers.name(id, &home)
        }
        other => change(session, other, reader).and_then(|()| answers.ok(id)),
    }
}

/// Extensions whose answer is only whether they were done.
fn change(session: &mut Session, name: &[u8], mut reader: Reader<'_>) -> Result<(), Refusal> {
    let from = &session.start;
    match name {
        b"posix-rename@openssh.com" => {
            let (old, new) = (session.path(reader.string()?), session.path(reader.string()?));
            rustix::fs::renameat(from, old, from, new)?;
        }
        b"hardlink@openssh.com" => {
            let (old, new) = (session.path(reader.string()?), session.path(reader.string()?));
            rustix::fs::linkat(from, old, from, new, AtFlags::empty())?;
        }
        b"fsync@openssh.com" => rustix::fs::fsync(session.handles.any(reader.string()?)?)?,
        b"lsetstat@openssh.com" => {
            let path = session.path(reader.string()?);
            attributes::set(from, path, AtFlags::SYMLINK_NOFOLLOW, &reader.attributes()?)?;
        }
        b"copy-data" => return copy(session, reader),
        _ => return Err(Refusal::Status(status::OP_UNSUPPORTED)),
    }
    Ok(())
}

/// The start directory stands for the home directory; other people's are not known.
fn expand(name: &[u8]) -> Result<&[u8], Refusal> {
    match name {
        b"~" => Ok(b"."),
        [b'~', b'/', rest @ ..] => Ok(rest.trim_ascii_start()),
        [b'~', ..] => Err(Errno::NOENT.into()),
        other => Ok(other),
    }
}

/// Copies within the server. Both files are regular, so that the copy ends.
fn copy(session: &mut Session, mut reader: Reader<'_>) -> Result<(), Refusal> {
    let source = session.handles.file(reader.string()?)?;
    let (mut offset, length) = (reader.u64()?, reader.u64()?);
    let target = session.handles.file(reader.string()?)?;
    let mut target_offset = reader.u64()?;
    let stat = rustix::fs::fstat(source)?;
    let target_stat = rustix::fs::fstat(target)?;
    let regular = |mode| FileType::from_raw_mode(mode).is_file();
    let same = (stat.st_dev, stat.st_ino) == (target_stat.st_dev, target_stat.st_ino);
    if same || !regular(stat.st_mode) || !regular(target_stat.st_mode) {
        return Err(Errno::INVAL.into());
    }
    let there = u64::try_from(stat.st_size).unwrap_or(0).saturating_sub(offset);
    let mut left = if length == 0 { there } else { there.min(length) };
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(MAX_DATA).min(MAX_DATA);
        let count = again(|| rustix::io::pread(source, &mut session.content[..most], offset))?;
        if count == 0 {
            break;
        }
        write_at(target, &session.content[..count], target_offset)?;
        let count = count as u64;
        offset += count;
        target_offset = target_offset.checked_add(count).ok_or(Errno::FBIG)?;
        left -= count;
    }
    Ok(())
}

fn space(id: u32, found: &StatVfs, answers: &mut Answers<'_>) -> Result<(), Refusal> {
    /// The two bits that the extension defines.
    const READ_ONLY: u64 = 1;
    const NO_SETUID: u64 = 2;
    let bit = |flag, bit| if found.f_flag.contains(flag) { bit } else { 0 };
    answers.packet(kind::EXTENDED_REPLY, id, |packet| {
        let packet = packet.u64(found.f_bsize).u64(found.f_frsize).u64(found.f_blocks);
        let packet = packet.u64(found.f_bfree).u64(found.f_bavail).u64(found.f_files);
        let packet = packet.u64(found.f_ffree).u64(found.f_favail).u64(found.f_fsid);
        let flags =
            bit(StatVfsMountFlags::RDONLY, READ_ONLY) | bit(StatVfsMountFlags::NOSUID, NO_SETUID);
        packet.u64(flags).u64(found.f_namemax)
    })
}
