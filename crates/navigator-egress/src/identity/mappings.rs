//! Foreign code in an allowed program, seen by what it has mapped: a variable can be erased after the library that it
//! named was loaded, and a configuration can name one as well.
//!
//! Only files count: programs that translate code at run time map memory of no file.

use super::error::IdentityError;
use super::preload::is_below;

/// Refuses a program that has mapped executable code from another file than its own outside the `read_only` paths. `maps` is the text of
/// `/proc/PID/maps` (`proc_pid_maps(5)`).
pub(super) fn check(program: &str, maps: &[u8], read_only: &[String]) -> Result<(), IdentityError> {
    for line in maps.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        if let Some(file) = executable_file(line)
            && file != program.as_bytes()
            && !std::str::from_utf8(file).is_ok_and(|file| is_below(file, read_only))
        {
            let library = String::from_utf8_lossy(file).into_owned();
            return Err(IdentityError::ForeignCode { program: program.to_owned(), library });
        }
    }
    Ok(())
}

/// The file of an executable mapping: `addresses permissions offset device inode   path`. A line of another form
/// counts as a file without a name, which is no trusted one.
fn executable_file(line: &[u8]) -> Option<&[u8]> {
    let mut fields = line.splitn(6, |byte| *byte == b' ');
    let permissions = fields.nth(1);
    if permissions.is_some_and(|permissions| permissions.get(2) == Some(&b'-')) {
        return None;
    }
    let (inode, path) = (fields.nth(2), fields.next().unwrap_or_default().trim_ascii_start());
    // Memory of no file: anonymous, or the kernel's own, such as `[vdso]`.
    let is_anonymous = inode == Some(b"0") && (path.is_empty() || path.starts_with(b"["));
    (!is_anonymous).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(maps: &str) -> bool {
        check("/usr/bin/a", maps.as_bytes(), &["/usr".to_owned(), "/lib".to_owned()]).is_ok()
    }

    #[test]
    fn trusts_system_libraries_data_and_memory_of_no_file() {
        assert!(judged(
            "1000-2000 r-xp 00000000 08:01 12      /usr/bin/a\n\
             2000-3000 r-xp 00000000 08:01 13      /usr/lib/liba.so.1 (deleted)\n\
             3000-4000 r--p 00000000 08:01 14      /sandbox/data\n\
             4000-5000 rw-s 00000000 08:01 15      /sandbox/shared\n\
             5000-6000 rwxp 00000000 00:00 0 \n\
             6000-7000 r-xp 00000000 00:00 0       [vdso]\n\
             7000-8000 --xp 00000000 00:00 0       [vsyscall]\n\
             8000-9000 r-xp 00000000 00:00 0       [anon:code]\n"
        ));
        assert!(judged(""));
        let own = b"1000-2000 r-xp 00000000 08:01 12      /sandbox/mounted/tool\n";
        assert!(check("/sandbox/mounted/tool", own, &[]).is_ok());
        assert!(check("/sandbox/mounted/other", own, &[]).is_err());
    }

    #[test]
    fn refuses_code_from_a_file_that_the_sandbox_can_write() {
        for line in [
            "1000-2000 r-xp 00000000 08:01 12      /sandbox/evil.so\n",
            "1000-2000 --xs 00000000 08:01 12      /sandbox/evil.so (deleted)\n",
            "1000-2000 rwxp 00000000 00:01 12      /memfd:evil (deleted)\n",
            "1000-2000 r-xp 00000000 00:01 12      /usr/../sandbox/evil.so\n",
            "1000-2000 r-xp 00000000 00:01 12      /usr\\012/../evil.so\n",
            "1000-2000 r-xs 00000000 00:01 12      /dev/zero (deleted)\n",
            "1000-2000 r-xp 00000000 00:01 12 \n",
            "1000-2000 r-xp\n",
            "1000-2000\n",
        ] {
            assert!(!judged(line), "{line}");
        }
    }
}
