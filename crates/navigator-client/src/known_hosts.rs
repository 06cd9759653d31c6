//! The keys of sandboxes' SSH servers, where OpenSSH looks for them: a file for each, as the gateway tells it.

use std::io;
use std::path::PathBuf;

use crate::atomic;
use crate::places::Places;

/// What stands behind the name of a sandbox in the name of its SSH host.
pub const HOST_SUFFIX: &str = ".navigator";

/// The directory that holds a file for each host, by its name.
#[must_use]
pub fn known_hosts(places: &Places) -> PathBuf {
    places.state.join("known_hosts")
}

/// Notes a host's key. `key` is its kind and base64, as in known_hosts (sshd(8)).
///
/// # Errors
/// The system's, and when `host` or `key` has anything else in it.
pub fn note_host(places: &Places, host: &str, key: &str) -> io::Result<()> {
    let plain = |text: &str, more: &[char]| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || more.contains(&c);
        !text.is_empty() && text.chars().all(allowed)
    };
    let whole = key
        .split_once(' ')
        .is_some_and(|(kind, base64)| plain(kind, &['-']) && plain(base64, &['+', '/', '=']));
    if !whole || !plain(host, &['-', '.', '_']) || host.starts_with('.') {
        return Err(io::Error::other("the gateway names a key that is none"));
    }
    atomic::write(&known_hosts(places).join(host), &format!("{host} {key}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(base: &std::path::Path) -> Places {
        Places { config: base.join("c"), state: base.join("s"), runtime: base.join("r") }
    }

    #[test]
    fn a_key_is_noted_as_openssh_reads_it() {
        let base = tempfile::tempdir().unwrap();
        let places = places(base.path());
        note_host(&places, "demo.navigator", "ssh-ed25519 AAAA+/==").unwrap();
        note_host(&places, "demo.navigator", "ssh-ed25519 BBBB").unwrap();
        let text = std::fs::read_to_string(known_hosts(&places).join("demo.navigator")).unwrap();
        assert_eq!(text, "demo.navigator ssh-ed25519 BBBB\n");
    }

    #[test]
    fn what_is_no_key_is_not_written() {
        let base = tempfile::tempdir().unwrap();
        let places = places(base.path());
        for key in ["", "ssh-ed25519", "ssh-ed25519 A\n* ssh-rsa B", "a b c", "@cert-authority A"] {
            assert!(note_host(&places, "demo.navigator", key).is_err(), "{key:?}");
        }
        for host in ["", "../x", "a b", "*", "a\n", "..", "-x/y"] {
            assert!(note_host(&places, host, "ssh-ed25519 AAAA").is_err(), "{host:?}");
        }
        assert!(!known_hosts(&places).exists());
    }
}
