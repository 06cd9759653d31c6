//! How SFTP packets are written and read (draft-ietf-secsh-filexfer-02), for both sides.

use thiserror::Error;

/// The version that both sides speak.
pub const VERSION: u32 = 3;
/// Most bytes of file content in one packet. A power of two keeps file offsets aligned to pages.
pub const MAX_DATA: usize = 256 * 1024;
/// Longest packet without its length field: content and room for names, handles and attributes around it.
pub const MAX_PACKET: usize = MAX_DATA + 16 * 1024;

/// Kinds of packets.
pub mod kind {
    #![expect(missing_docs, reason = "the names are the protocol's own")]
    pub const INIT: u8 = 1;
    pub const VERSION: u8 = 2;
    pub const OPEN: u8 = 3;
    pub const CLOSE: u8 = 4;
    pub const READ: u8 = 5;
    pub const WRITE: u8 = 6;
    pub const LSTAT: u8 = 7;
    pub const FSTAT: u8 = 8;
    pub const SETSTAT: u8 = 9;
    pub const FSETSTAT: u8 = 10;
    pub const OPENDIR: u8 = 11;
    pub const READDIR: u8 = 12;
    pub const REMOVE: u8 = 13;
    pub const MKDIR: u8 = 14;
    pub const RMDIR: u8 = 15;
    pub const REALPATH: u8 = 16;
    pub const STAT: u8 = 17;
    pub const RENAME: u8 = 18;
    pub const READLINK: u8 = 19;
    pub const SYMLINK: u8 = 20;
    pub const STATUS: u8 = 101;
    pub const HANDLE: u8 = 102;
    pub const DATA: u8 = 103;
    pub const NAME: u8 = 104;
    pub const ATTRS: u8 = 105;
    pub const EXTENDED: u8 = 200;
    pub const EXTENDED_REPLY: u8 = 201;
}

/// Codes in a status packet.
pub mod status {
    #![expect(missing_docs, reason = "the names are the protocol's own")]
    pub const OK: u32 = 0;
    pub const EOF: u32 = 1;
    pub const NO_SUCH_FILE: u32 = 2;
    pub const PERMISSION_DENIED: u32 = 3;
    pub const FAILURE: u32 = 4;
    pub const BAD_MESSAGE: u32 = 5;
    pub const OP_UNSUPPORTED: u32 = 8;
}

/// Flags of an open request.
pub mod open {
    #![expect(missing_docs, reason = "the names are the protocol's own")]
    pub const READ: u32 = 0x01;
    pub const WRITE: u32 = 0x02;
    pub const APPEND: u32 = 0x04;
    pub const CREATE: u32 = 0x08;
    pub const TRUNCATE: u32 = 0x10;
    pub const EXCLUSIVE: u32 = 0x20;
}

/// Which attributes are present.
mod present {
    pub const SIZE: u32 = 0x01;
    pub const OWNER: u32 = 0x02;
    pub const PERMISSIONS: u32 = 0x04;
    pub const TIMES: u32 = 0x08;
    pub const EXTENDED: u32 = 0x8000_0000;
}

/// A packet that ends early or says what it cannot mean.
#[derive(Debug, Error)]
#[error("the packet is malformed")]
pub struct Malformed;

/// Attributes of a file; what is absent is not known, or is to stay as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Bytes of content.
    pub size: Option<u64>,
    /// User and group.
    pub owner: Option<(u32, u32)>,
    /// Mode with the file's type.
    pub permissions: Option<u32>,
    /// Access and modification, in seconds since 1970.
    pub times: Option<(u32, u32)>,
}

/// Takes fields off the front of a packet.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads a packet's bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One byte.
    ///
    /// # Errors
    /// When the packet ends before.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    /// A number of four bytes.
    ///
    /// # Errors
    /// When the packet ends before.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        let bytes = self.take(4)?.try_into().map_err(|_| Malformed)?;
        Ok(u32::from_be_bytes(bytes))
    }

    /// A number of eight bytes.
    ///
    /// # Errors
    /// When the packet ends before.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        let bytes = self.take(8)?.try_into().map_err(|_| Malformed)?;
        Ok(u64::from_be_bytes(bytes))
    }

    /// Bytes that come after their count.
    ///
    /// # Errors
    /// When the packet ends before.
    pub fn string(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.u32()?).map_err(|_| Malformed)?;
        self.take(length)
    }

    /// Attributes; what extends them is passed over.
    ///
    /// # Errors
    /// When the packet ends before.
    pub fn attributes(&mut self) -> Result<Attributes, Malformed> {
        let flags = self.u32()?;
        let has = |bit| flags & bit != 0;
        let mut found = Attributes::default();
        if has(present::SIZE) {
            found.size = Some(self.u64()?);
        }
        if has(present::OWNER) {
            found.owner = Some((self.u32()?, self.u32()?));
        }
        if has(present::PERMISSIONS) {
            found.permissions = Some(self.u32()?);
        }
        if has(present::TIMES) {
            found.times = Some((self.u32()?, self.u32()?));
        }
        if has(present::EXTENDED) {
            for _ in 0..self.u32()? {
                self.string()?;
                self.string()?;
            }
        }
        Ok(found)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }
}

/// Appends one packet to a buffer; its length is filled in by [`Writer::end`].
#[derive(Debug)]
pub struct Writer<'a> {
    buffer: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Writer<'a> {
    /// Begins a packet.
    #[must_use]
    pub fn begin(buffer: &'a mut Vec<u8>, kind: u8) -> Self {
        let start = buffer.len();
        buffer.extend_from_slice(&[0; 4]);
        buffer.push(kind);
        Self { buffer, start }
    }

    /// One number of four bytes.
    pub fn u32(self, value: u32) -> Self {
        self.buffer.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// One number of eight bytes.
    pub fn u64(self, value: u64) -> Self {
        self.buffer.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// Goes on with fields of a packet that is begun elsewhere.
    #[must_use]
    pub fn fragment(buffer: &'a mut Vec<u8>) -> Self {
        Self { start: buffer.len(), buffer }
    }

    /// Fields that were written before, by [`Writer::fragment`].
    pub fn raw(self, fields: &[u8]) -> Self {
        self.buffer.extend_from_slice(fields);
        self
    }

    /// Bytes after their count.
    pub fn string(self, bytes: &[u8]) -> Self {
        let longer = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let this = self.u32(longer);
        this.buffer.extend_from_slice(bytes);
        this
    }

    /// Attributes that are present.
    pub fn attributes(self, attributes: &Attributes) -> Self {
        let bit = |present: bool, bit| if present { bit } else { 0 };
        let mut this = self.u32(
            bit(attributes.size.is_some(), present::SIZE)
                | bit(attributes.owner.is_some(), present::OWNER)
                | bit(attributes.permissions.is_some(), present::PERMISSIONS)
                | bit(attributes.times.is_some(), present::TIMES),
        );
        if let Some(size) = attributes.size {
            this = this.u64(size);
        }
        if let Some((user, group)) = attributes.owner {
            this = this.u32(user).u32(group);
        }
        if let Some(permissions) = attributes.permissions {
            this = this.u32(permissions);
        }
        if let Some((access, change)) = attributes.times {
            this = this.u32(access).u32(change);
        }
        this
    }

    /// Fills in the packet's length.
    pub fn end(self) {
        self.end_with(0);
    }

    /// Fills in the length of a packet whose last bytes the caller sends from elsewhere.
    pub fn end_with(self, elsewhere: usize) {
        let length = self.buffer.len() - self.start - 4 + elsewhere;
        let length = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        self.buffer[self.start..self.start + 4].copy_from_slice(&length);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn attributes_come_back_as_they_were_written(
            size: Option<u64>, owner: Option<(u32, u32)>,
            permissions: Option<u32>, times: Option<(u32, u32)>,
        ) {
            let attributes = Attributes { size, owner, permissions, times };
            let mut buffer = vec![];
            Writer::begin(&mut buffer, kind::ATTRS).attributes(&attributes).end();
            let mut reader = Reader::new(&buffer[5..]);
            prop_assert_eq!(reader.attributes().unwrap(), attributes);
            prop_assert!(reader.is_empty());
            prop_assert_eq!(buffer[..4].to_vec(), (buffer.len() as u32 - 4).to_be_bytes().to_vec());
        }

        #[test]
        fn no_bytes_make_the_reader_go_past_its_end(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes);
            while reader.attributes().is_ok() && reader.string().is_ok() {}
            prop_assert!(reader.0.len() <= bytes.len());
        }
    }
}
