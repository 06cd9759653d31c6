//! Foreign code in an allowed program: `LD_PRELOAD`, `LD_AUDIT` and `LD_LIBRARY_PATH` (`ld.so(8)`).
//!
//! A library that the sandbox can write turns any allowed executable into the agent's own
//! program, so such a program is not the one that the policy named.

use super::error::IdentityError;

const VARIABLES: [&str; 3] = ["LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH"];

/// Refuses an environment that loads a library from outside the `read_only` paths.
pub(super) fn check(environment: &[u8], read_only: &[String]) -> Result<(), IdentityError> {
    for variable in VARIABLES {
        for value in values(environment, variable) {
            for library in value.split(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b':' | b';')) {
                if !library.is_empty() && !is_trusted(library, environment, read_only) {
                    let library = String::from_utf8_lossy(library).into_owned();
                    return Err(IdentityError::Preload { variable, library });
                }
            }
        }
    }
    Ok(())
}

/// Every value of a variable: a hostile environment may hold it twice.
pub(super) fn values<'e>(
    environment: &'e [u8],
    variable: &'e str,
) -> impl Iterator<Item = &'e [u8]> {
    environment
        .split(|byte| *byte == 0)
        .filter_map(move |entry| entry.strip_prefix(variable.as_bytes())?.strip_prefix(b"="))
}

/// A bare name is searched in the system's directories, unless the environment adds others.
fn is_trusted(library: &[u8], environment: &[u8], read_only: &[String]) -> bool {
    let Ok(library) = std::str::from_utf8(library) else { return false };
    if library.contains('$') {
        return false;
    }
    if !library.contains('/') {
        return values(environment, "LD_LIBRARY_PATH").all(<[u8]>::is_empty);
    }
    is_below(library, read_only)
}

/// Whether a plain absolute path lies below one of the prefixes, compared by whole components.
pub(super) fn is_below(path: &str, prefixes: &[String]) -> bool {
    is_plain(path)
        && prefixes.iter().any(|prefix| {
            let prefix = prefix.trim_end_matches('/');
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
}

/// Absolute, without empty, `.` or `..` components: the text says where it leads.
pub(super) fn is_plain(path: &str) -> bool {
    path.strip_prefix('/')
        .is_some_and(|rest| rest.split('/').all(|component| !matches!(component, "" | "." | "..")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(environment: &[u8]) -> bool {
        check(environment, &["/usr".to_owned(), "/lib/".to_owned()]).is_ok()
    }

    #[test]
    fn trusts_an_environment_without_preloads() {
        assert!(judged(b"HOME=/sandbox\0PATH=/usr/bin\0"));
        assert!(judged(b""));
        assert!(judged(b"LD_PRELOAD=\0"));
        assert!(judged(b"NOT_LD_PRELOAD=/tmp/evil.so\0"));
    }

    #[test]
    fn trusts_a_library_on_a_read_only_path() {
        assert!(judged(b"LD_PRELOAD=/usr/lib/libjemalloc.so.2\0"));
        assert!(judged(b"LD_AUDIT=/lib/a.so:/usr/lib/b.so\0"));
        assert!(judged(b"LD_PRELOAD=libjemalloc.so.2\0"));
    }

    #[test]
    fn refuses_a_library_that_the_sandbox_can_write() {
        for environment in [
            &b"LD_PRELOAD=/tmp/evil.so\0"[..],
            b"A=1\0LD_AUDIT=/sandbox/evil.so\0",
            b"LD_PRELOAD=/usr/lib/ok.so /tmp/evil.so\0",
            b"LD_PRELOAD=/usr/lib/ok.so:evil/evil.so\0",
            b"LD_PRELOAD=/usr/../tmp/evil.so\0",
            b"LD_PRELOAD=/usrx/evil.so\0",
            b"LD_PRELOAD=$ORIGIN/evil.so\0",
            b"LD_PRELOAD=libevil.so\0LD_LIBRARY_PATH=/tmp\0",
            b"LD_PRELOAD=/usr/lib/ok.so\0LD_PRELOAD=/tmp/evil.so\0",
            b"LD_PRELOAD=/tmp/\xff.so",
            b"LD_LIBRARY_PATH=/tmp/lib\0",
            b"LD_LIBRARY_PATH=/usr/lib:/tmp/lib\0",
            b"LD_LIBRARY_PATH=/usr/lib;lib\0",
        ] {
            assert!(!judged(environment), "{}", String::from_utf8_lossy(environment));
        }
    }
}
