//! All tests, and what they need.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::{clients, shell};

/// Programs that the tests run, and the Debian packages that have them.
const PROGRAMS: [(&str, &str); 19] = [
    ("setpriv", "util-linux"),
    ("python3", "python3"),
    ("pip3", "python3-pip"),
    ("curl", "curl"),
    ("ip", "iproute2"),
    ("wget", "wget"),
    ("git", "git"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("openssl", "openssl"),
    ("ssh", "openssh-client"),
    ("rsync", "rsync"),
    ("tmux", "tmux"),
    ("vi", "vim-tiny"),
    ("less", "less"),
    ("ps", "procps"),
    ("skopeo", "skopeo"),
    ("docker-registry", "docker-registry"),
    ("buildah", "buildah"),
];
/// What is in few people's `PATH`, and the packages: the server of the tests with `ssh`, what the base image is made of,
/// and PostgreSQL's programs. The tests start servers of their own.
const PLACES: [(&str, &str); 3] = [
    ("/usr/sbin/sshd", "openssh-server"),
    ("/usr/sbin/debootstrap", "debootstrap"),
    ("/usr/lib/postgresql", "postgresql"),
];
/// The ordinary user that tests run as when they start as root.
pub const ORDINARY_USER: &str = "navigator-test";

/// Installs what is missing, builds, and runs every test.
pub fn run() -> Result<()> {
    install()?;
    if is_root()? {
        ordinary_user()?;
    }
    let python = clients::install()?;
    shell::cargo("build --workspace --bins")?;
    let mut tests = Command::new(env!("CARGO"));
    tests.args(["nextest", "run", "--workspace"]);
    shell::run(tests.env("INSTA_UPDATE", "no").env("NAVIGATOR_TEST_PYTHON", &python))?;
    api(&python)
}

/// The API, from Python, with each store and over each kind of connection; the ways into sandboxes, by real clients; and the
/// Python SDK.
fn api(python: &Path) -> Result<()> {
    pytest(python, &["e2e", "--ignore=e2e/sdk"])?;
    // By itself: its package has the name of what the others make of the definitions.
    pytest(python, &["e2e/sdk", "-n", "auto"])
}

fn pytest(python: &Path, what: &[&str]) -> Result<()> {
    let mut tests = Command::new(python);
    tests.args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]).args(what);
    let target = clients::target()?;
    tests.env("NAVIGATOR_TEST_IMAGES", target.join("images"));
    shell::run(tests.env("NAVIGATOR_BIN", target.join("debug/navigator")))
}

fn install() -> Result<()> {
    let programs = PROGRAMS.iter().filter(|(program, _)| !shell::has(program));
    let mut missing: Vec<&str> = programs.map(|(_, package)| *package).collect();
    let places = PLACES.iter().filter(|(place, _)| !Path::new(place).exists());
    missing.extend(places.map(|(_, package)| *package));
    let mut venv = Command::new("/usr/bin/python3");
    if shell::output(venv.args(["-c", "import ensurepip"])).is_err() {
        missing.push("python3-venv");
    }
    if !missing.is_empty() {
        let packages = missing.join(" ");
        if !(is_root()? && shell::has("apt-get")) {
            bail!("the tests need more programs; run `sudo apt-get install {packages}`");
        }
        shell::run(Command::new("apt-get").arg("update").arg("-qq"))?;
        let mut install = Command::new("apt-get");
        install.args(["install", "-y", "-qq", "--no-install-recommends"]).args(missing);
        shell::run(install.env("DEBIAN_FRONTEND", "noninteractive"))?;
    }
    if !shell::has("cargo-nextest") {
        shell::cargo("install --locked cargo-nextest")?;
    }
    Ok(())
}

fn ordinary_user() -> Result<()> {
    let known = Command::new("id").args(["-u", ORDINARY_USER]).output()?.status.success();
    if known {
        return Ok(());
    }
    shell::run(Command::new("useradd").args(["--create-home", "--shell", "/bin/sh", ORDINARY_USER]))
}

fn is_root() -> Result<bool> {
    Ok(shell::output(Command::new("id").arg("-u"))?.trim() == "0")
}
