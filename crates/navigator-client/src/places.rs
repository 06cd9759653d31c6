//! Where this user's configuration, state and sockets are.

use std::ffi::OsString;
use std::path::PathBuf;

/// Directories of one user on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// What the user chose: gateways and their credentials.
    pub config: PathBuf,
    /// What is kept: the local gateway's log, what was used last.
    pub state: PathBuf,
    /// Sockets.
    pub runtime: PathBuf,
}

impl Places {
    /// The places of the user who runs this process.
    #[must_use]
    pub fn of_this_user() -> Self {
        let root = rustix::process::geteuid().is_root();
        Self::from_environment(root, |name| std::env::var_os(name))
    }

    /// `NAVIGATOR_CONFIG_DIR`, `NAVIGATOR_STATE_DIR` and `NAVIGATOR_RUNTIME_DIR` win; then root has the system's
    /// directories and everybody else those of the XDG base directory specification, which ignores relative paths.
    fn from_environment(root: bool, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let absolute =
            |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = |xdg: &str, below_home: &str| {
            let home = || absolute("HOME").map(|home| home.join(below_home));
            absolute(xdg).or_else(home).unwrap_or_else(std::env::temp_dir).join("navigator")
        };
        let state = absolute("NAVIGATOR_STATE_DIR").unwrap_or_else(|| match root {
            true => "/var/lib/navigator".into(),
            false => base("XDG_STATE_HOME", ".local/state"),
        });
        let config = absolute("NAVIGATOR_CONFIG_DIR").unwrap_or_else(|| match root {
            true => "/etc/navigator".into(),
            false => base("XDG_CONFIG_HOME", ".config"),
        });
        let runtime = absolute("NAVIGATOR_RUNTIME_DIR").unwrap_or_else(|| match root {
            true => "/run/navigator".into(),
            false => absolute("XDG_RUNTIME_DIR")
                .map_or_else(|| state.join("run"), |runtime| runtime.join("navigator")),
        });
        Self { config, state, runtime }
    }

    /// Socket of the local gateway.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.runtime.join("gateway.sock")
    }

    /// What the local gateway writes when a client has started it.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.state.join("gateway.log")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(root: bool, variables: &[(&str, &str)]) -> Places {
        Places::from_environment(root, |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        })
    }

    #[test]
    fn root_has_the_directories_of_the_system() {
        let root = places(true, &[("HOME", "/root"), ("XDG_RUNTIME_DIR", "/run/user/0")]);
        assert_eq!(root.config, PathBuf::from("/etc/navigator"));
        assert_eq!(root.socket(), PathBuf::from("/run/navigator/gateway.sock"));
        assert_eq!(root.log(), PathBuf::from("/var/lib/navigator/gateway.log"));
    }

    #[test]
    fn a_user_has_the_directories_of_the_base_directory_specification() {
        let home = ("HOME", "/home/a");
        let user = places(false, &[home, ("XDG_RUNTIME_DIR", "/run/user/7")]);
        assert_eq!(user.config, PathBuf::from("/home/a/.config/navigator"));
        assert_eq!(user.socket(), PathBuf::from("/run/user/7/navigator/gateway.sock"));
        let bare = places(false, &[home, ("XDG_STATE_HOME", "relative")]);
        let run = "/home/a/.local/state/navigator/run/gateway.sock";
        assert_eq!(bare.socket(), PathBuf::from(run));
    }

    #[test]
    fn what_is_named_wins_for_everybody() {
        for root in [true, false] {
            let named = places(root, &[("NAVIGATOR_STATE_DIR", "/s"), ("HOME", "/h")]);
            assert_eq!(named.log(), PathBuf::from("/s/gateway.log"));
        }
    }
}
