//! Extended headers (POSIX pax), as far as they say something that is unpacked. Extended attributes are not.

use super::ArchiveError;
use super::sparse::SEGMENTS;

/// What headers before an entry say about it.
#[derive(Default)]
pub(super) struct Extended {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<(i64, u32)>,
    pub(super) sparse_name: Option<Vec<u8>>,
    pub(super) sparse_size: Option<u64>,
    pub(super) sparse_major: Option<u64>,
    /// Offsets and lengths in turn, of the forms that have the map here.
    pub(super) sparse_map: Vec<u64>,
    any: bool,
}

impl Extended {
    pub(super) fn is_empty(&self) -> bool {
        !self.any
    }

    pub(super) fn set_path(&mut self, bytes: Vec<u8>) {
        self.any = true;
        self.path = Some(ended_by_nul(bytes));
    }

    pub(super) fn set_link(&mut self, bytes: Vec<u8>) {
        self.any = true;
        self.link = Some(ended_by_nul(bytes));
    }

    /// Reads records: length, space, keyword, `=`, value, line feed.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> Result<(), ArchiveError> {
        self.any = true;
        while !bytes.is_empty() {
            let space =
                bytes.iter().position(|byte| *byte == b' ').ok_or(ArchiveError::Extended)?;
            let length = usize::try_from(decimal(&bytes[..space])?).unwrap_or(usize::MAX);
            if length <= space + 1 || length > bytes.len() || bytes[length - 1] != b'\n' {
                return Err(ArchiveError::Extended);
            }
            let record = &bytes[space + 1..length - 1];
            let equals =
                record.iter().position(|byte| *byte == b'=').ok_or(ArchiveError::Extended)?;
            self.set(&record[..equals], &record[equals + 1..])?;
            bytes = &bytes[length..];
        }
        Ok(())
    }

    fn set(&mut self, keyword: &[u8], value: &[u8]) -> Result<(), ArchiveError> {
        match keyword {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(decimal(value)?),
            b"uid" => self.uid = Some(decimal(value)?),
            b"gid" => self.gid = Some(decimal(value)?),
            b"mtime" => self.mtime = Some(time(value)?),
            b"GNU.sparse.name" => self.sparse_name = Some(value.to_vec()),
            b"GNU.sparse.realsize" | b"GNU.sparse.size" => self.sparse_size = Some(decimal(value)?),
            b"GNU.sparse.major" => self.sparse_major = Some(decimal(value)?),
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => self.sparse_map.push(decimal(value)?),
            b"GNU.sparse.map" => {
                let numbers = value.split(|byte| *byte == b',').map(decimal);
                self.sparse_map = numbers.collect::<Result<_, _>>()?;
            }
            _ => {}
        }
        if self.sparse_map.len() > 2 * SEGMENTS { Err(ArchiveError::Sparse) } else { Ok(()) }
    }
}

/// A long name ends at its NUL; after it there is only padding.
fn ended_by_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
}

pub(super) fn decimal(digits: &[u8]) -> Result<u64, ArchiveError> {
    let all = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok().filter(|_| all);
    text.and_then(|text| text.parse().ok()).ok_or(ArchiveError::Extended)
}

/// Seconds with an optional fraction.
fn time(value: &[u8]) -> Result<(i64, u32), ArchiveError> {
    let text = std::str::from_utf8(value).map_err(|_| ArchiveError::Extended)?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().map_err(|_| ArchiveError::Extended)?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ArchiveError::Extended);
    }
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanos = digits.fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
    // A fraction goes on from the number's sign.
    match whole.starts_with('-') && nanos > 0 {
        true => Ok((seconds.saturating_sub(1), 1_000_000_000 - nanos)),
        false => Ok((seconds, nanos)),
    }
}
