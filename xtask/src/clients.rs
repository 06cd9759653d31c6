//! The Python programs that the tests run in sandboxes as clients.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::shell;

/// The file that says which, in the clone and, once they are installed, beside them.
const REQUIREMENTS: &str = "e2e/requirements.txt";

/// Makes a virtual environment beside the build's profiles, installs what is missing in it, and returns its Python.
pub fn install() -> Result<PathBuf> {
    let environment = target()?.join("clients");
    let python = environment.join("bin/python");
    let wanted = std::fs::read(REQUIREMENTS)?;
    let stamp = environment.join("requirements.txt");
    if std::fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    // Not the first `python3` in PATH: sandboxes have the system's one.
    let mut make = Command::new("/usr/bin/python3");
    shell::run(make.args(["-m", "venv", "--clear"]).arg(&environment))?;
    let mut pip = Command::new(&python);
    shell::run(pip.args(["-m", "pip", "install", "--quiet", "-r", REQUIREMENTS]))?;
    std::fs::write(stamp, wanted).context("failed to note what was installed")?;
    Ok(python)
}

/// The directory that holds the build's profiles.
pub fn target() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    own.ancestors().nth(2).map(Path::to_owned).context("failed to find the target directory")
}
