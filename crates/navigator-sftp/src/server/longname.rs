//! One line about a file in the shape of `ls -l`, which clients show as it comes.

use jiff::Timestamp;
use jiff::tz::Offset;
use rustix::fs::{FileType, Stat};

/// Seconds after which a time shows its year instead of its hour: half a year.
const OLD: i64 = 182 * 24 * 60 * 60;

/// The line for a file. Owners are numbers and times are UTC: the server reads no user list and no time zones.
pub(super) fn line(name: &[u8], stat: &Stat, now: i64) -> Vec<u8> {
    let mut line = format!(
        "{} {:3} {:<8} {:<8} {:8} {} ",
        mode(stat.st_mode),
        stat.st_nlink,
        stat.st_uid,
        stat.st_gid,
        stat.st_size,
        time(stat.st_mtime, now)
    )
    .into_bytes();
    line.extend_from_slice(name);
    line
}

fn mode(mode: u32) -> String {
    let kind = match FileType::from_raw_mode(mode) {
        FileType::Directory => 'd',
        FileType::Symlink => 'l',
        FileType::CharacterDevice => 'c',
        FileType::BlockDevice => 'b',
        FileType::Fifo => 'p',
        FileType::Socket => 's',
        FileType::RegularFile | FileType::Unknown => '-',
    };
    let mut text = String::from(kind);
    for (shift, special, mark) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (bits & 1 != 0, mode & special != 0) {
            (true, false) => 'x',
            (false, false) => '-',
            (true, true) => mark,
            (false, true) => mark.to_ascii_uppercase(),
        });
    }
    text
}

fn time(seconds: i64, now: i64) -> String {
    let Ok(time) = Timestamp::from_second(seconds) else { return "Jan  1  1970".into() };
    let recent = now.saturating_sub(seconds) < OLD && seconds <= now;
    let shape = if recent { "%b %e %H:%M" } else { "%b %e  %Y" };
    Offset::UTC.to_datetime(time).strftime(shape).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_read_like_those_of_ls() {
        assert_eq!(mode(0o100_644), "-rw-r--r--");
        assert_eq!(mode(0o041_777), "drwxrwxrwt");
        assert_eq!(mode(0o104_750), "-rwsr-x---");
        assert_eq!(mode(0o120_777), "lrwxrwxrwx");
        assert_eq!(mode(0o102_600), "-rw---S---");
    }

    #[test]
    fn old_times_show_their_year() {
        assert_eq!(time(1_000_000_000, 1_000_000_100), "Sep  9 01:46");
        assert_eq!(time(1_000_000_000, 1_100_000_000), "Sep  9  2001");
        assert_eq!(time(i64::MAX, 0), "Jan  1  1970");
    }
}
