//! `navigator sandbox open`: an editor of this machine, on the files of a sandbox.

use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use navigator_client::HOST_SUFFIX;

use crate::output::{line, say};
use crate::sandbox::error::SandboxError;
use crate::sandbox::names;
use crate::sandbox::session::Session;

/// Arguments of `navigator sandbox open`.
#[derive(clap::Args, Debug)]
pub struct OpenArgs {
    /// Open this sandbox [default: the one that was used last]
    #[arg(add = names::completer())]
    name: Option<String>,
    /// Start this editor [default: the first that is installed]
    #[arg(long, short = 'e')]
    editor: Option<Editor>,
    /// Open this directory of the sandbox
    #[arg(long, value_name = "DIR", default_value = "/sandbox")]
    path: String,
}

/// An editor that works over SSH.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Editor {
    /// Visual Studio Code
    Code,
    /// Cursor
    Cursor,
    /// Zed
    Zed,
}

impl Editor {
    const ALL: [Self; 3] = [Self::Code, Self::Cursor, Self::Zed];

    fn program(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Cursor => "cursor",
            Self::Zed => "zed",
        }
    }

    fn arguments(self, host: &str, path: &str) -> Vec<String> {
        match self {
            Self::Code | Self::Cursor => {
                vec!["--remote".into(), format!("ssh-remote+{host}"), path.to_owned()]
            }
            Self::Zed => vec![format!("ssh://{host}{path}")],
        }
    }

    fn installed(self) -> bool {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).map(|dir| dir.join(self.program())).any(|file| file.is_file())
    }
}

/// Starts the editor.
pub async fn run(session: &mut Session, args: &OpenArgs) -> Result<u8, SandboxError> {
    if !args.path.starts_with('/') {
        return Err(SandboxError::Usage("the directory of a sandbox begins with /"));
    }
    let installed = || Editor::ALL.into_iter().find(|editor| editor.installed());
    let editor = args.editor.or_else(installed).ok_or(SandboxError::NoEditor)?;
    let sandbox = session.meant(args.name.as_ref()).await?;
    let host = format!("{}{HOST_SUFFIX}", sandbox.name);
    if !is_configured(&host)? {
        return Err(SandboxError::NoSshConfiguration);
    }
    let program = PathBuf::from(editor.program());
    let status = Command::new(&program).args(editor.arguments(&host, &args.path)).status();
    let failed = |source| SandboxError::File { path: program.display().to_string(), source };
    let status = status.map_err(failed)?;
    if !status.success() {
        say(&line(&format!("navigator: {} ended with {status}", editor.program())));
    }
    Ok(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1))
}

/// Whether ssh knows the way to the sandbox.
fn is_configured(host: &str) -> Result<bool, SandboxError> {
    let asked = Command::new("ssh").args(["-G", host]).stderr(Stdio::null()).output();
    match asked {
        Ok(asked) => Ok(String::from_utf8_lossy(&asked.stdout)
            .lines()
            .any(|line| line.starts_with("proxycommand ") && line.contains(" ssh-proxy "))),
        // The editor has its own then.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(source) => {
            Err(SandboxError::System { action: "ask ssh for its configuration", source })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_editor_is_told_in_its_own_words() {
        let code = Editor::Code.arguments("demo.navigator", "/sandbox");
        assert_eq!(code, ["--remote", "ssh-remote+demo.navigator", "/sandbox"]);
        let zed = Editor::Zed.arguments("demo.navigator", "/sandbox");
        assert_eq!(zed, ["ssh://demo.navigator/sandbox"]);
    }
}
