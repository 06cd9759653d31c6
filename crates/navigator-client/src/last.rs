//! The sandbox that was used last, for each gateway.

use std::io;
use std::path::PathBuf;

use crate::atomic;
use crate::gateways::{Gateway, check_name};
use crate::places::Places;

/// Remembers the name of the sandbox that was used last on one gateway.
#[derive(Debug)]
pub struct LastUsed {
    file: PathBuf,
}

impl LastUsed {
    /// What is remembered of a gateway.
    #[must_use]
    pub fn of(places: &Places, gateway: &Gateway) -> Self {
        Self { file: places.state.join("last").join(file_name(&gateway.name)) }
    }

    /// The name; `None` when none is remembered, or what is there is no name.
    #[must_use]
    pub fn get(&self) -> Option<String> {
        let text = atomic::read(&self.file).ok()?;
        check_name(text.trim()).ok().map(|()| text.trim().to_owned())
    }

    /// Remembers a name.
    ///
    /// # Errors
    /// The system's reason when it cannot be written.
    pub fn set(&self, name: &str) -> io::Result<()> {
        atomic::write(&self.file, name)
    }

    /// Forgets a name, if it is the one that is remembered.
    ///
    /// # Errors
    /// The system's reason when the file cannot be removed.
    pub fn forget(&self, name: &str) -> io::Result<()> {
        if self.get().is_some_and(|last| last == name) {
            return std::fs::remove_file(&self.file);
        }
        Ok(())
    }
}

/// A gateway may be known by its address only, which may hold `/`.
fn file_name(gateway: &str) -> String {
    let mut name = String::new();
    for byte in gateway.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' => name.push(char::from(byte)),
            other => name.push_str(&format!("%{other:02x}")),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateways::Reach;

    fn last(dir: &tempfile::TempDir, gateway: &str) -> LastUsed {
        let at = dir.path().to_owned();
        let places = Places { config: at.clone(), state: at.clone(), runtime: at.clone() };
        let gateway = Gateway { name: gateway.into(), reach: Reach::Unix(at) };
        LastUsed::of(&places, &gateway)
    }

    #[test]
    fn each_gateway_has_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let (local, path) = (last(&dir, "local"), last(&dir, "unix:/../x"));
        local.set("one").unwrap();
        path.set("two").unwrap();
        assert_eq!((local.get().as_deref(), path.get().as_deref()), (Some("one"), Some("two")));
        local.forget("two").unwrap();
        assert_eq!(local.get().as_deref(), Some("one"));
        local.forget("one").unwrap();
        assert_eq!(local.get(), None);
    }

    #[test]
    fn what_is_no_name_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let local = last(&dir, "local");
        for text in ["", "\x1b[31mx", "../../etc", "a b"] {
            local.set(text).unwrap();
            assert_eq!(local.get(), None, "{text:?}");
        }
    }
}
