//! Whom the processes of a sandbox run as.

use std::io;
use std::path::{Path, PathBuf};

use navigator_isolation::{RootView, User};
use navigator_policy::Process;

/// The user and group that every root filesystem has, whether it names them or not.
const DEFAULT: &str = "sandbox";
/// Their id unless the root filesystem gives another.
const DEFAULT_ID: u32 = 1000;
/// Largest user database that is read.
const DATABASE_BYTES: u64 = 4 * 1024 * 1024;

/// A user that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// No such user or group in the root filesystem.
    #[error(
        "failed to find {kind} `{name}` in the sandbox's root filesystem; use `sandbox`, which always exists"
    )]
    Unknown {
        /// `user` or `group`.
        kind: &'static str,
        /// The name in the policy.
        name: String,
    },
    /// Another name for root.
    #[error("failed to run as {kind} `{name}`: it is root by another name (id 0); use `sandbox`")]
    Root {
        /// `user` or `group`.
        kind: &'static str,
        /// The name in the policy.
        name: String,
    },
    /// The user database cannot be read.
    #[error("failed to read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Finds the policy's user in a root filesystem.
pub(crate) fn resolve(process: &Process, root: &RootView) -> Result<User, UserError> {
    let uid = id("user", &process.run_as_user, root, "/etc/passwd")?;
    let gid = id("group", &process.run_as_group, root, "/etc/group")?;
    Ok(User {
        name: process.run_as_user.clone(),
        uid,
        group: process.run_as_group.clone(),
        gid,
        home: PathBuf::from("/sandbox"),
        shell: shell(root),
    })
}

fn id(kind: &'static str, name: &str, root: &RootView, database: &str) -> Result<u32, UserError> {
    let known = match root {
        // The host's users are not the sandbox's: nobody there has a life inside.
        RootView::Host => None,
        RootView::Directory(_) | RootView::Layers(_) => look_up(root, Path::new(database), name)?,
    };
    let id = match known {
        Some(id) => id,
        None if name == DEFAULT => DEFAULT_ID,
        None => return Err(UserError::Unknown { kind, name: name.to_owned() }),
    };
    if id == 0 {
        return Err(UserError::Root { kind, name: name.to_owned() });
    }
    Ok(id)
}

/// Reads the third field of the line that starts with `name`. Sources: passwd(5), group(5).
fn look_up(root: &RootView, path: &Path, name: &str) -> Result<Option<u32>, UserError> {
    let read = || -> io::Result<Option<String>> {
        let Some(file) = root.open(path)? else { return Ok(None) };
        let mut text = String::new();
        io::Read::read_to_string(&mut io::Read::take(file, DATABASE_BYTES), &mut text)?;
        Ok(Some(text))
    };
    let Some(text) = read().map_err(|source| UserError::Read { path: path.to_owned(), source })?
    else {
        return Ok(None);
    };
    let field = |line: &str| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok())?
    };
    Ok(text.lines().find_map(field))
}

fn shell(root: &RootView) -> PathBuf {
    let bash = Path::new("/bin/bash");
    match root.open(bash) {
        Ok(Some(_)) => bash.to_owned(),
        Ok(None) | Err(_) => PathBuf::from("/bin/sh"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(user: &str, group: &str) -> Process {
        Process { run_as_user: user.into(), run_as_group: group.into() }
    }

    fn root(passwd: &str, group: &str) -> (tempfile::TempDir, RootView) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        std::fs::write(dir.path().join("etc/passwd"), passwd).unwrap();
        std::fs::write(dir.path().join("etc/group"), group).unwrap();
        let view = RootView::Directory(dir.path().to_owned());
        (dir, view)
    }

    #[test]
    fn sandbox_exists_in_every_root() {
        let user = resolve(&process("sandbox", "sandbox"), &RootView::Host).unwrap();
        assert_eq!((user.uid, user.gid), (1000, 1000));
    }

    #[test]
    fn a_root_directory_may_give_the_sandbox_user_another_id() {
        let (_dir, view) = root("sandbox:x:1234:99::/:/bin/sh\n", "sandbox:x:99:\n");
        let user = resolve(&process("sandbox", "sandbox"), &view).unwrap();
        assert_eq!((user.uid, user.gid), (1234, 99));
    }

    #[test]
    fn an_unknown_user_is_refused() {
        let error = resolve(&process("nobody-such", "sandbox"), &RootView::Host).unwrap_err();
        assert!(matches!(error, UserError::Unknown { kind: "user", .. }), "{error}");
    }

    #[test]
    fn a_user_of_the_host_is_unknown_in_the_sandbox() {
        assert!(resolve(&process("daemon", "sandbox"), &RootView::Host).is_err());
    }

    #[test]
    fn root_by_another_name_is_refused() {
        let (_dir, view) = root("toor:x:0:0::/:/bin/sh\n", "wheel:x:0:\n");
        let error = resolve(&process("toor", "sandbox"), &view).unwrap_err();
        assert!(matches!(error, UserError::Root { kind: "user", .. }), "{error}");
        let error = resolve(&process("sandbox", "wheel"), &view).unwrap_err();
        assert!(matches!(error, UserError::Root { kind: "group", .. }), "{error}");
    }
}
