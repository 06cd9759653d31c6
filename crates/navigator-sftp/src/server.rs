//! The file server's loop: packets in, answers out, in order, by one thread.

mod answers;
mod attributes;
mod extensions;
mod handles;
mod longname;
mod requests;

use std::ffi::OsString;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::wire::{MAX_DATA, MAX_PACKET};
use answers::Answers;
use handles::Handles;

/// Room for requests that have arrived: several large ones, so that what is unfinished seldom moves.
const INPUT: usize = 3 * (MAX_PACKET + 4);

/// Serves one client until it hangs up.
///
/// `first` is what came from the client before, at most `INPUT` bytes.
///
/// Relative names are taken from the start directory, whatever the process's own working directory is. The server
/// holds at most one packet's content, `INPUT` bytes of requests and a bounded number of handles.
///
/// # Errors
/// When the start directory cannot be opened, a stream fails, or the client does not speak the protocol: an
/// impossible length, or no version first.
pub fn serve(
    first: &[u8],
    input: BorrowedFd<'_>,
    output: BorrowedFd<'_>,
    start_directory: &Path,
) -> io::Result<()> {
    let mut session = Session::start(start_directory)?;
    let mut answers = Answers::new(output);
    let mut buffer = vec![0; INPUT];
    let (mut start, mut end) = (0, first.len());
    buffer.get_mut(..end).ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(first);
    loop {
        while let Some(length) = complete(&buffer[start..end])? {
            session.answer(&buffer[start + 4..start + 4 + length], &mut answers)?;
            start += 4 + length;
        }
        answers.flush()?;
        if start == end {
            (start, end) = (0, 0);
        } else if buffer.len() - start < MAX_PACKET + 4 {
            buffer.copy_within(start..end, 0);
            (start, end) = (0, end - start);
        }
        match rustix::io::read(input, &mut buffer[end..]) {
            Ok(0) if start == end => return Ok(()),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => end += count,
            Err(Errno::INTR) => {}
            Err(reason) => return Err(reason.into()),
        }
    }
}

/// The length of the packet at the front, when all of it is there.
fn complete(bytes: &[u8]) -> io::Result<Option<usize>> {
    let Some(prefix) = bytes.first_chunk::<4>() else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
    if length == 0 || length > MAX_PACKET {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a packet has an impossible length",
        ));
    }
    Ok((bytes.len() - 4 >= length).then_some(length))
}

/// What one client has open, and where its relative names begin.
struct Session {
    start: OwnedFd,
    start_path: PathBuf,
    handles: Handles,
    /// The content of one read or copy, used again and again.
    content: Vec<u8>,
    greeted: bool,
}

impl Session {
    fn start(directory: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            start: rustix::fs::openat(CWD, directory, flags, Mode::empty())?,
            start_path: std::fs::canonicalize(directory)?,
            handles: Handles::default(),
            content: vec![0; MAX_DATA],
            greeted: false,
        })
    }

    /// A name as the client wrote it; an empty one is the start directory.
    fn path<'a>(&self, name: &'a [u8]) -> &'a [u8] {
        if name.is_empty() { b"." } else { name }
    }

    /// A name from the root on.
    fn absolute(&self, name: &[u8]) -> PathBuf {
        use std::os::unix::ffi::OsStringExt;
        self.start_path.join(OsString::from_vec(self.path(name).to_vec()))
    }
}

/// Why a request was not done.
enum Refusal {
    /// The system's reason.
    System(Errno),
    /// The protocol's reason.
    Status(u32),
    /// The answers have nowhere to go: the session ends.
    Output(io::Error),
}

impl From<Errno> for Refusal {
    fn from(reason: Errno) -> Self {
        Self::System(reason)
    }
}

impl From<io::Error> for Refusal {
    fn from(reason: io::Error) -> Self {
        Self::System(Errno::from_io_error(&reason).unwrap_or(Errno::IO))
    }
}

impl From<crate::wire::Malformed> for Refusal {
    fn from(_: crate::wire::Malformed) -> Self {
        Self::Status(crate::wire::status::BAD_MESSAGE)
    }
}
