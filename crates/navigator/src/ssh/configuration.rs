//! `navigator sandbox ssh-config`: how OpenSSH reaches sandboxes by their names.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use navigator_client::{HOST_SUFFIX, Places, known_hosts};

use crate::output::{self, say};
use crate::sandbox::error::SandboxError;
use crate::sandbox::names;
use crate::sandbox::session::{Session, this_program};

/// Shown below the long help.
pub const EXAMPLES: &str = "\
Examples:
  navigator sandbox ssh-config --install
  ssh demo.navigator
  navigator sandbox ssh-config demo > demo.conf && rsync -e 'ssh -F demo.conf' src/ demo.navigator:src/";

/// Variables that choose the gateway and where things are kept.
const VARIABLES: [&str; 4] =
    ["NAVIGATOR_GATEWAY", "NAVIGATOR_CONFIG_DIR", "NAVIGATOR_STATE_DIR", "NAVIGATOR_RUNTIME_DIR"];

/// Arguments of `navigator sandbox ssh-config`.
#[derive(clap::Args, Debug)]
pub struct ConfigArgs {
    /// Name this sandbox only [default: the one that was used last]
    #[arg(conflicts_with_all = ["all", "install"], add = names::completer())]
    name: Option<String>,
    /// Name all sandboxes, also those to come
    #[arg(long)]
    all: bool,
    /// Have ~/.ssh/config include it for all sandboxes
    #[arg(long)]
    install: bool,
}

/// Prints or installs it.
pub async fn run(session: &mut Session, args: &ConfigArgs) -> Result<u8, SandboxError> {
    let failed = |source| SandboxError::System { action: "install the configuration", source };
    if args.install {
        let text = text("*")?;
        let home = std::env::home_dir().ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        let (file, changed) =
            install(&Places::of_this_user(), &home.join(".ssh"), &text).map_err(failed)?;
        let how = if changed { "now includes" } else { "includes" };
        say(&format!("navigator: {} {how} it; try `ssh NAME{HOST_SUFFIX}`", file.display()));
        return Ok(0);
    }
    let name = match args.all {
        true => "*".to_owned(),
        false => session.meant(args.name.as_ref()).await?.name,
    };
    output::print(&text(&name)?)?;
    Ok(0)
}

/// The configuration for one name, or for `*`.
fn text(name: &str) -> Result<String, SandboxError> {
    let mut proxy = String::new();
    let set = VARIABLES.iter().filter_map(|name| Some((name, std::env::var(name).ok()?)));
    for (number, (name, value)) in set.enumerate() {
        let env = if number == 0 { "env " } else { "" };
        proxy.push_str(&format!("{env}{name}={} ", shell(&value)));
    }
    let program = this_program()?;
    let known = known_hosts(&Places::of_this_user());
    Ok(format!(
        "# Sandboxes of navigator: ssh NAME{HOST_SUFFIX}\n\
         Host {name}{HOST_SUFFIX}\n    \
             User sandbox\n    \
             ProxyCommand {proxy}{program} ssh-proxy %n\n    \
             UserKnownHostsFile \"{known}/%n\"\n    \
             GlobalKnownHostsFile /dev/null\n    \
             StrictHostKeyChecking yes\n    \
             UpdateHostKeys no\n    \
             PubkeyAuthentication no\n    \
             ForwardAgent no\n    \
             ForwardX11 no\n    \
             ServerAliveInterval 30\n",
        program = shell(&program.to_string_lossy()),
        known = known.to_string_lossy().replace('%', "%%"),
    ))
}

/// A word as the shell takes it that ssh starts the command with, and without ssh's own signs.
fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:@+,".contains(c);
    let word = word.replace('%', "%%");
    match word.chars().all(plain) && !word.is_empty() {
        true => word,
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

/// Writes the configuration, and has the user's own include it before everything else; whether that was news.
fn install(places: &Places, ssh: &Path, text: &str) -> io::Result<(PathBuf, bool)> {
    let ours = places.config.join("ssh_config");
    navigator_client::write_own(&ours, text)?;
    let config = ssh.join("config");
    // A link stays one: what it leads to is changed.
    let config = config.canonicalize().unwrap_or(config);
    let include = format!("Include \"{}\"", ours.display());
    let (before, mode) = match std::fs::read_to_string(&config) {
        Ok(text) => (text, std::fs::metadata(&config)?.permissions()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            (String::new(), Permissions::from_mode(0o600))
        }
        Err(error) => return Err(error),
    };
    if before.lines().any(|line| line.trim() == include) {
        return Ok((config, false));
    }
    navigator_client::make_own_directory(ssh)?;
    navigator_client::write_own(&config, &format!("{include}\n{before}"))?;
    std::fs::set_permissions(&config, mode)?;
    Ok((config, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(base: &Path) -> Places {
        Places { config: base.join("c d"), state: base.join("s"), runtime: base.join("r") }
    }

    #[test]
    fn it_is_included_once_and_what_was_there_stays() {
        let base = tempfile::tempdir().unwrap();
        let (places, ssh) = (places(base.path()), base.path().join(".ssh"));
        let (file, news) = install(&places, &ssh, "one").unwrap();
        assert!(news);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + "Host x\n").unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        assert!(!install(&places, &ssh, "two").unwrap().1);
        let text = std::fs::read_to_string(&file).unwrap();
        let ours = places.config.join("ssh_config");
        assert_eq!(text, format!("Include \"{}\"\nHost x\n", ours.display()));
        assert_eq!(std::fs::read_to_string(ours).unwrap(), "two");
        std::fs::write(&file, "Host x\n").unwrap();
        assert!(install(&places, &ssh, "two").unwrap().1);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn words_are_safe_for_the_shell() {
        assert_eq!(shell("/usr/bin/navigator"), "/usr/bin/navigator");
        assert_eq!(shell("/a b/$(x)'%h"), "'/a b/$(x)'\\''%%h'");
    }
}
