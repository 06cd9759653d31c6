//! Variables that a client may set.

use std::collections::BTreeMap;

/// Variables of one session; OpenSSH's usual configuration sends `LANG` and a dozen `LC_*`.
const VARIABLES: usize = 64;
/// Bytes of all names and values; what a kernel takes at most for one argument.
const BYTES: usize = 128 << 10;
/// What every client may set: they say how to print, and change no program that is run.
const ALLOWED: [&str; 3] = ["LANG", "TERM", "COLORTERM"];
/// The start of names that say how to print.
const LOCALE: &str = "LC_";

/// What a client has set so far.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// Sets a variable; false when the client may not.
    pub(crate) fn set(&mut self, more: &[String], name: &str, value: &str) -> bool {
        let listed = ALLOWED.contains(&name) || more.iter().any(|allowed| allowed == name);
        let allowed = is_name(name) && (listed || name.starts_with(LOCALE));
        let known = self.variables.contains_key(name);
        let room = known || self.variables.len() < VARIABLES;
        let fits = self.bytes() + name.len() + value.len() <= BYTES;
        let set = allowed && room && fits && !value.contains('\0');
        if set {
            self.variables.insert(name.to_owned(), value.to_owned());
        }
        set
    }

    /// The variables, once the session starts.
    pub(crate) fn into_variables(self) -> BTreeMap<String, String> {
        self.variables
    }

    fn bytes(&self) -> usize {
        self.variables.iter().map(|(name, value)| name.len() + value.len()).sum()
    }
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(plain) && !name.starts_with(|first: char| first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_names_are_set() {
        let mut environment = Environment::default();
        let more = ["MINE".to_owned(), "A-B".to_owned()];
        for name in ["LANG", "LC_ALL", "TERM", "COLORTERM", "MINE"] {
            assert!(environment.set(&more, name, "x"), "{name}");
        }
        for name in ["PATH", "LD_PRELOAD", "BASH_ENV", "LC_A=B", "lang", "A-B", "LC_\0", ""] {
            assert!(!environment.set(&more, name, "x"), "{name}");
        }
        assert!(!environment.set(&more, "LANG", "a\0b"));
        assert_eq!(environment.into_variables().len(), 5);
    }

    #[test]
    fn count_and_size_are_bounded() {
        let mut environment = Environment::default();
        for number in 0..VARIABLES {
            assert!(environment.set(&[], &format!("LC_{number}"), ""));
        }
        assert!(!environment.set(&[], "LC_MORE", ""));
        assert!(environment.set(&[], "LC_0", "again"));
        assert!(!environment.set(&[], "LC_0", &"x".repeat(BYTES)));
    }
}
