//! Numbers in the fields of a header: octal digits, or binary when the first bit is set.

use super::ArchiveError;

/// A number that is not negative.
pub(super) fn unsigned(field: &[u8], name: &'static str) -> Result<u64, ArchiveError> {
    read(field)
        .and_then(|value| u64::try_from(value).ok())
        .ok_or(ArchiveError::Number { field: name })
}

/// A number that may be negative, such as a time before 1970.
pub(super) fn signed(field: &[u8], name: &'static str) -> Result<i64, ArchiveError> {
    read(field)
        .and_then(|value| i64::try_from(value).ok())
        .ok_or(ArchiveError::Number { field: name })
}

fn read(field: &[u8]) -> Option<i128> {
    match field {
        [first, rest @ ..] if first & 0x80 != 0 => binary(*first, rest),
        _ => octal(field),
    }
}

/// Two's complement without the first bit, which marks the form; the second is the sign.
fn binary(first: u8, rest: &[u8]) -> Option<i128> {
    let start = if first & 0x40 == 0 { i128::from(first & 0x3f) } else { i128::from(first as i8) };
    rest.iter().try_fold(start, |value, byte| {
        value.checked_mul(256).map(|value| value | i128::from(*byte))
    })
}

fn octal(field: &[u8]) -> Option<i128> {
    let text = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    let text = text.split(['\0', ' ']).next().unwrap_or_default();
    if text.is_empty() {
        return Some(0);
    }
    text.bytes().all(|byte| matches!(byte, b'0'..=b'7')).then_some(())?;
    i128::from_str_radix(text, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_nonsense_is_not() {
        assert_eq!(unsigned(b"0000644\0", "x").unwrap(), 0o644);
        assert_eq!(unsigned(b"   644 \0", "x").unwrap(), 0o644);
        assert_eq!(unsigned(b"\0\0\0\0", "x").unwrap(), 0);
        assert_eq!(unsigned(&[0x80, 0, 0, 0, 2, 0, 0, 0, 0], "x").unwrap(), 0x2_0000_0000);
        assert_eq!(signed(&[0xff; 12], "x").unwrap(), -1);
        assert!(unsigned(&[0xff; 12], "x").is_err());
        assert!(unsigned(&[0xbf; 12], "x").is_err());
        for wrong in [&b"-0000001"[..], b"0x10\0", b"8\0", b"+1"] {
            assert!(unsigned(wrong, "x").is_err(), "{wrong:?}");
        }
    }
}
