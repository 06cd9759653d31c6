//! The client's half of the protocol: many requests on their way at once, over any stream.
//!
//! The server is not trusted: what it sends has bounds, answers are of the kind that was asked for, and content is
//! never more than was asked for.

mod connection;
mod content;
mod handle;
mod input;

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use navigator_sftp::wire::{Attributes, MAX_DATA, Malformed, Reader, Writer, kind, status};
use rustix::fs::FileType;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::name::RemotePath;
use connection::{Answer, Connection};
pub(crate) use content::Arrival;
use content::{Landing, Piece, content_of};
pub use handle::Handle;

/// Content per request to a server that does not announce its limits; every server takes that much.
const USUAL_DATA: usize = 32 * 1024;
/// Extensions that a server may announce; more is no honest server.
const MAX_EXTENSIONS: usize = 64;

/// Why a request was not done.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nothing has that name.
    #[error("no such file or directory")]
    NotFound,
    /// The server may not do it.
    #[error("permission denied")]
    Denied,
    /// The server does not know the request.
    #[error("the server does not support it")]
    Unsupported,
    /// Another reason, in the server's words: show them harmlessly.
    #[error("the server says {0:?}")]
    Failed(String),
    /// The server broke the protocol.
    #[error("the server broke the protocol")]
    Protocol,
    /// The connection ended.
    #[error("the connection to the sandbox ended")]
    Closed,
    /// The stream failed.
    #[error("the connection to the sandbox failed")]
    Stream(#[source] io::Error),
    /// The file here, whose content is sent or arrives, failed.
    #[error("the file on this side failed")]
    File(#[source] io::Error),
}

impl From<Malformed> for ClientError {
    fn from(_: Malformed) -> Self {
        Self::Protocol
    }
}

/// Content that was read.
#[derive(Debug)]
pub(crate) enum Part {
    /// That much is in its file.
    Landed(usize),
    /// It is here.
    Held(Bytes),
}

impl Part {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Landed(length) => *length,
            Self::Held(content) => content.len(),
        }
    }

    /// What is here of it.
    pub(crate) fn held(&self) -> &[u8] {
        match self {
            Self::Landed(_) => &[],
            Self::Held(content) => content,
        }
    }
}

/// One entry of a directory. The name is as the server sent it: it may be anything.
#[derive(Clone, Debug)]
pub struct ListedEntry {
    /// The name, unchecked.
    pub name: Vec<u8>,
    /// What the server says about it.
    pub attributes: Attributes,
}

/// A connection to a file server. Requests may be made at the same time; they are answered as they come.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    extensions: Vec<Vec<u8>>,
    read_size: usize,
    write_size: usize,
}

impl Client {
    /// Greets the server on the other end of a stream.
    ///
    /// # Errors
    /// When the stream fails or what answers is no file server.
    pub async fn open(
        stream: impl AsyncRead + AsyncWrite + Send + 'static,
    ) -> Result<Self, ClientError> {
        let (connection, hello) = Connection::open(stream).await?;
        let mut extensions = vec![];
        let mut reader = Reader::new(&hello);
        while !reader.is_empty() {
            extensions.push(reader.string()?.to_vec());
            reader.string()?;
            if extensions.len() > MAX_EXTENSIONS {
                return Err(ClientError::Protocol);
            }
        }
        let mut client =
            Self { connection, extensions, read_size: USUAL_DATA, write_size: USUAL_DATA };
        if client.knows(b"limits@openssh.com") {
            client.learn_limits().await?;
        }
        Ok(client)
    }

    /// Bytes that one read may ask for.
    #[must_use]
    pub fn read_size(&self) -> usize {
        self.read_size
    }

    /// Bytes that one write may carry.
    #[must_use]
    pub fn write_size(&self) -> usize {
        self.write_size
    }

    /// Opens a file; flags are those of [`navigator_sftp::wire::open`].
    ///
    /// # Errors
    /// The server's reason.
    pub async fn open_file(
        &self,
        path: &RemotePath,
        flags: u32,
        attributes: Attributes,
    ) -> Result<Handle, ClientError> {
        self.handle(kind::OPEN, |packet| {
            packet.string(path.as_bytes()).u32(flags).attributes(&attributes)
        })
        .await
    }

    /// Opens a directory to list it.
    ///
    /// # Errors
    /// The server's reason.
    pub async fn open_directory(&self, path: &RemotePath) -> Result<Handle, ClientError> {
        self.handle(kind::OPENDIR, |packet| packet.string(path.as_bytes())).await
    }

    /// Some more entries of a directory, or none at its end.
    ///
    /// # Errors
    /// The server's reason.
    pub async fn entries(&self, handle: &Handle) -> Result<Option<Vec<ListedEntry>>, ClientError> {
        let answer = self.ask(kind::READDIR, |packet| packet.string(handle.id())).await?;
        if answer.end_of_file() {
            return Ok(None);
        }
        let body = answer.expect(kind::NAME)?;
        let mut reader = Reader::new(&body);
        let count = reader.u32()?;
        let mut entries = vec![];
        for _ in 0..count {
            let name = reader.string()?.to_vec();
            reader.string()?;
            entries.push(ListedEntry { name, attributes: reader.attributes()? });
        }
        Ok((!entries.is_empty()).then_some(entries))
    }

    /// Reads content, into its file if its turn comes; less than asked for only at the end, nothing behind it.
    pub(crate) async fn read(
        &self,
        handle: &Handle,
        at: u64,
        length: usize,
        into: Option<&Arc<Arrival>>,
    ) -> Result<Part, ClientError> {
        let most = length.min(self.read_size);
        let wanted = u32::try_from(most).unwrap_or(u32::MAX);
        let fill = |packet: Writer<'_>| packet.string(handle.id()).u64(at).u32(wanted).end();
        let landing = into.map(|into| Landing { into: Arc::clone(into), at, most });
        let answer = self.connection.ask(kind::READ, fill, None, landing).await?;
        if let Answer::Landed(length) = answer {
            return Ok(Part::Landed(length));
        }
        if answer.end_of_file() {
            return Ok(Part::Held(Bytes::new()));
        }
        let body = answer.expect(kind::DATA)?;
        content_of(&body, most)?;
        Ok(Part::Held(body.slice(4..)))
    }

    /// Writes a piece of a file here, at most [`Client::write_size`] bytes of it, at the same place.
    ///
    /// # Errors
    /// The server's reason, or that of the file here.
    pub async fn write_from(
        &self,
        handle: &Handle,
        file: &Arc<File>,
        at: u64,
        length: usize,
    ) -> Result<(), ClientError> {
        let long = u32::try_from(length).map_err(|_| ClientError::Protocol)?;
        let fill =
            |packet: Writer<'_>| packet.string(handle.id()).u64(at).u32(long).end_with(length);
        let piece = Piece { file: Arc::clone(file), at, length };
        self.connection.ask(kind::WRITE, fill, Some(piece), None).await?.done()
    }

    /// Closes a file or directory.
    ///
    /// # Errors
    /// The server's reason.
    pub async fn close(&self, mut handle: Handle) -> Result<(), ClientError> {
        self.change(kind::CLOSE, |packet| packet.string(&handle.give_up())).await
    }

    /// Attributes of a name, not of what a link names.
    ///
    /// # Errors
    /// The server's reason.
    pub async fn lstat(&self, path: &RemotePath) -> Result<Attributes, ClientError> {
        self.attributes(kind::LSTAT, path.as_bytes()).await
    }

    /// Attributes of what a name leads to.
    ///
    /// # Errors
    /// The server's reason.
    pub async fn stat(&self, path: &RemotePath) -> Result<Attributes, ClientError> {
        self.attributes(kind::STAT, path.as_bytes()).await
    }

    /// Attributes of an open file.
    ///
    /// # Errors
    /// The server's reason.
    pub async fn fstat(&self, handle: &Handle) -> Result<Attributes, ClientError> {
        self.attributes(kind::FSTAT, handle.id()).await
    }

    /// Sets attributes of a name, never of what a link names if the server can tell.
    ///
    /// # Errors
    /// The server's reason.
    pub async fn set(&self, path: &RemotePath, wanted: Attributes) -> Result<(), ClientError> {
        self.extended(b"lsetstat@openssh.com", |packet| {
            packet.string(path.as_bytes()).attributes(&wanted)
        })
        .await
    }

    /// Sets attributes of an open file.
    ///
    /// # Errors
    /// The server's reason.
    pub async fn set_open(&self, handle: &Handle, wanted: Attributes) -> Result<(), ClientError> {
        self.change(kind::FSETSTAT, |packet| packet.string(handle.id()).attributes(&wanted)).await
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// The server's reason.
    pub async fn make_directory(
        &self,
        path: &RemotePath,
        attributes: Attributes,
    ) -> Result<(), ClientError> {
        self.change(kind::MKDIR, |packet| packet.string(path.as_bytes()).attributes(&attributes))
            .await
    }

    /// Removes a directory that is empty.
    ///
    /// # Errors
    /// The server's reason.
    pub async fn remove_directory(&self, path: &RemotePath) -> Result<(), ClientError> {
        self.change(kind::RMDIR, |packet| packet.string(path.as_bytes())).await
    }

    /// Removes a file or a link.
    ///
    /// # Errors
    /// The server's reason.
    pub async fn remove(&self, path: &RemotePath) -> Result<(), ClientError> {
        self.change(kind::REMOVE, |packet| packet.string(path.as_bytes())).await
    }

    /// Renames, replacing what has the new name.
    ///
    /// # Errors
    /// The server's reason.
    pub async fn rename(&self, old: &RemotePath, new: &RemotePath) -> Result<(), ClientError> {
        self.extended(b"posix-rename@openssh.com", |packet| {
            packet.string(old.as_bytes()).string(new.as_bytes())
        })
        .await
    }

    /// Makes a symbolic link.
    ///
    /// # Errors
    /// The server's reason.
    pub async fn make_link(&self, target: &[u8], path: &RemotePath) -> Result<(), ClientError> {
        // The order is OpenSSH's, not the draft's.
        self.change(kind::SYMLINK, |packet| packet.string(target).string(path.as_bytes())).await
    }

    /// What a symbolic link names.
    ///
    /// # Errors
    /// The server's reason.
    pub async fn read_link(&self, path: &RemotePath) -> Result<Vec<u8>, ClientError> {
        let answer = self.ask(kind::READLINK, |packet| packet.string(path.as_bytes())).await?;
        one_name(answer)
    }

    /// A path without links and dots.
    ///
    /// # Errors
    /// The server's reason.
    pub async fn real_path(&self, path: &RemotePath) -> Result<Vec<u8>, ClientError> {
        let answer = self.ask(kind::REALPATH, |packet| packet.string(path.as_bytes())).await?;
        one_name(answer)
    }

    /// Waits until an open file is on the disk.
    ///
    /// # Errors
    /// The server's reason.
    pub async fn sync(&self, handle: &Handle) -> Result<(), ClientError> {
        self.extended(b"fsync@openssh.com", |packet| packet.string(handle.id())).await
    }

    fn knows(&self, extension: &[u8]) -> bool {
        self.extensions.iter().any(|known| known == extension)
    }

    async fn learn_limits(&mut self) -> Result<(), ClientError> {
        let asked = self.ask(kind::EXTENDED, |packet| packet.string(b"limits@openssh.com"));
        let body = asked.await?.expect(kind::EXTENDED_REPLY)?;
        let mut reader = Reader::new(&body);
        reader.u64()?;
        // Zero means that the server has no limit of its own.
        let bounded = |size: u64| match usize::try_from(size) {
            Ok(size @ 1..) => size.min(MAX_DATA),
            _ => MAX_DATA,
        };
        self.read_size = bounded(reader.u64()?);
        self.write_size = bounded(reader.u64()?);
        Ok(())
    }

    async fn extended(
        &self,
        extension: &[u8],
        fill: impl FnOnce(Writer<'_>) -> Writer<'_>,
    ) -> Result<(), ClientError> {
        if !self.knows(extension) {
            return Err(ClientError::Unsupported);
        }
        self.change(kind::EXTENDED, |packet| fill(packet.string(extension))).await
    }

    async fn ask(
        &self,
        kind: u8,
        fill: impl FnOnce(Writer<'_>) -> Writer<'_>,
    ) -> Result<Answer, ClientError> {
        self.connection.ask(kind, |packet| fill(packet).end(), None, None).await
    }

    async fn change(
        &self,
        kind: u8,
        fill: impl FnOnce(Writer<'_>) -> Writer<'_>,
    ) -> Result<(), ClientError> {
        self.ask(kind, fill).await?.done()
    }

    async fn handle(
        &self,
        kind: u8,
        fill: impl FnOnce(Writer<'_>) -> Writer<'_>,
    ) -> Result<Handle, ClientError> {
        while let Some(left) = self.connection.left() {
            // What failed before has been told, and a handle that the server does not know is closed.
            let _ = self.close(left).await;
        }
        match self.ask(kind, fill).await? {
            Answer::Opened(handle) => Ok(handle),
            other => Err(other.done().err().unwrap_or(ClientError::Protocol)),
        }
    }

    async fn attributes(&self, kind: u8, name: &[u8]) -> Result<Attributes, ClientError> {
        let body = self.ask(kind, |packet| packet.string(name)).await?.expect(kind::ATTRS)?;
        Ok(Reader::new(&body).attributes()?)
    }
}

/// The type in the permissions, when the server sent them.
#[must_use]
pub fn file_type(attributes: &Attributes) -> FileType {
    attributes.permissions.map_or(FileType::Unknown, FileType::from_raw_mode)
}

fn one_name(answer: Answer) -> Result<Vec<u8>, ClientError> {
    let body = answer.expect(kind::NAME)?;
    let mut reader = Reader::new(&body);
    if reader.u32()? != 1 {
        return Err(ClientError::Protocol);
    }
    Ok(reader.string()?.to_vec())
}

impl Answer {
    fn end_of_file(&self) -> bool {
        matches!(self, Self::Packet { kind: kind::STATUS, body }
            if Reader::new(body).u32().is_ok_and(|code| code == status::EOF))
    }

    fn expect(self, wanted: u8) -> Result<Bytes, ClientError> {
        match self {
            Self::Packet { kind, body } if kind == wanted => Ok(body),
            other => Err(other.done().err().unwrap_or(ClientError::Protocol)),
        }
    }

    /// A status other than success is an error, and so is anything but a status.
    fn done(self) -> Result<(), ClientError> {
        let Self::Packet { kind: kind::STATUS, body } = self else {
            return Err(ClientError::Protocol);
        };
        let mut reader = Reader::new(&body);
        match reader.u32()? {
            status::OK => Ok(()),
            status::NO_SUCH_FILE => Err(ClientError::NotFound),
            status::PERMISSION_DENIED => Err(ClientError::Denied),
            status::OP_UNSUPPORTED => Err(ClientError::Unsupported),
            _ => {
                let message = reader.string().unwrap_or_default();
                Err(ClientError::Failed(String::from_utf8_lossy(message).into_owned()))
            }
        }
    }
}
