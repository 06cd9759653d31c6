//! Starts the binary as different users and looks at what is left behind.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use navigator_testkit::{FakeInternet, Seen};
use tempfile::TempDir;

/// The ordinary user that tests become when they start as root.
const ORDINARY_USER: &str = "navigator-test";

/// Who starts the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Root,
    Ordinary,
}

/// Runs a case as everybody who can be had here.
pub(crate) fn as_everyone(case: impl Fn(&Case)) {
    let root = id("-u", None) == Some(0);
    if root {
        let user = id("-u", Some(ORDINARY_USER));
        assert!(
            user.is_some(),
            "the user {ORDINARY_USER} is missing; run the tests by `cargo xtask test`"
        );
        case(&Case::new(Who::Root));
    } else {
        println!("as root: skipped: not root");
    }
    case(&Case::new(Who::Ordinary));
}

/// Runs a case as root, for what needs root to be seen.
pub(crate) fn as_root(case: impl Fn(&Case)) {
    if id("-u", None) == Some(0) {
        case(&Case::new(Who::Root));
    } else {
        println!("skipped: not root");
    }
}

fn id(what: &str, user: Option<&str>) -> Option<u32> {
    let output = Command::new("id").arg(what).args(user).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

/// One case as one user, with a directory of its own.
pub(crate) struct Case {
    pub(crate) who: Who,
    dir: TempDir,
}

impl Case {
    fn new(who: Who) -> Self {
        let dir = tempfile::Builder::new().prefix("navigator-e2e-").tempdir().unwrap();
        let case = Self { who, dir };
        case.give_away(case.dir.path());
        // The target directory may be in a home that others cannot enter.
        let binary = case.path("navigator");
        if std::fs::hard_link(built(), &binary).is_err() {
            std::fs::copy(built(), &binary).unwrap();
        }
        std::fs::set_permissions(&binary, PermissionsExt::from_mode(0o755)).unwrap();
        case
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A file that the user of this case owns.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        self.give_away(&path);
        path
    }

    /// A directory that the user of this case owns and nobody else enters.
    pub(crate) fn directory(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir(&path).unwrap();
        self.give_away(&path);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).unwrap();
        path
    }

    fn give_away(&self, path: &Path) {
        if self.who == Who::Ordinary && id("-u", None) == Some(0) {
            let (uid, gid) = (id("-u", Some(ORDINARY_USER)), id("-g", Some(ORDINARY_USER)));
            std::os::unix::fs::chown(path, uid, gid).unwrap();
        }
    }

    /// `navigator` with arguments, as the user of this case.
    pub(crate) fn navigator(&self, args: &[&str]) -> Command {
        let mut command = self.as_user(&self.path("navigator"));
        command.args(args).stdin(Stdio::null()).current_dir(self.dir.path());
        command.env("HOME", self.dir.path()).env_remove("XDG_STATE_HOME");
        command
    }

    /// A program, as the user of this case.
    pub(crate) fn as_user(&self, program: &Path) -> Command {
        let mut command = if self.who == Who::Ordinary && id("-u", None) == Some(0) {
            let mut command = Command::new("setpriv");
            let number = |what| id(what, Some(ORDINARY_USER)).unwrap().to_string();
            command.args(["--reuid", &number("-u"), "--regid", &number("-g"), "--clear-groups"]);
            command.arg(program);
            command
        } else {
            Command::new(program)
        };
        command.env("HOME", self.dir.path()).env_remove("XDG_STATE_HOME");
        command
    }

    /// `navigator` with arguments, started by another program, as the user of this case.
    pub(crate) fn launched(&self, launcher: &[String], args: &[&str]) -> Output {
        let (program, words) = launcher.split_first().unwrap();
        let mut command = self.as_user(Path::new(program));
        command.args(words).arg(self.path("navigator")).args(args);
        command.stdin(Stdio::null()).current_dir(self.dir.path()).output().unwrap()
    }

    /// `navigator` with arguments inside a fake internet, as the user of this case.
    pub(crate) fn inside(&self, internet: &FakeInternet, dir: &Path, args: &[&str]) -> Output {
        let mut program = Command::new(self.path("navigator"));
        program.args(args);
        self.in_internet(internet, dir, &program)
    }

    /// A program inside a fake internet, as the user of this case.
    pub(crate) fn in_internet(
        &self,
        internet: &FakeInternet,
        dir: &Path,
        program: &Command,
    ) -> Output {
        let mut launcher = internet.launcher(dir, program).unwrap();
        let binary = self.path("fake-internet");
        if !binary.exists() {
            std::fs::copy(launcher.get_program(), &binary).unwrap();
            std::fs::set_permissions(&binary, PermissionsExt::from_mode(0o755)).unwrap();
        }
        let words: Vec<_> = launcher.get_args().map(ToOwned::to_owned).collect();
        launcher = self.as_user(&binary);
        launcher.args(words).stdin(Stdio::null()).output().unwrap()
    }

    /// The virtual environment with the Python clients, where the user of this case can read it.
    fn clients(&self) -> PathBuf {
        let own = std::env::current_exe().unwrap();
        let installed = own.ancestors().nth(3).unwrap().join("clients");
        let wanted = include_str!("../../requirements.txt");
        let found = std::fs::read_to_string(installed.join("requirements.txt")).unwrap_or_default();
        assert_eq!(
            found, wanted,
            "other clients are installed; run the tests by `cargo xtask test`"
        );
        let here = self.path("clients");
        if !here.exists() {
            // The target directory may be in a home that others cannot enter.
            copy(&installed, &here);
        }
        here
    }

    /// Mounts of the Python clients and of the programs of `attacks/`.
    pub(crate) fn client_mounts(&self) -> [String; 2] {
        let programs = self.path("programs");
        if !programs.exists() {
            copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("attacks"), &programs);
        }
        [
            format!("{}:/sandbox/clients:ro", self.clients().display()),
            format!("{}:/sandbox/programs:ro", programs.display()),
        ]
    }

    /// Runs a command in a sandbox with the Python clients at `/sandbox/clients` and the programs of `attacks/` at
    /// `/sandbox/programs`, inside a fake internet whose authority is trusted, and returns what it saw.
    pub(crate) fn client(
        &self,
        internet: &FakeInternet,
        options: &[&str],
        command: &[&str],
    ) -> (Output, Vec<Seen>) {
        let dir = self.path("internet");
        if !dir.exists() {
            self.directory("internet");
        }
        let (audit, authority) = (self.path("audit.jsonl"), dir.join("ca.pem"));
        let mut mounts = self.client_mounts().to_vec();
        mounts.push(format!("{}:/sandbox/internet:ro", dir.display()));
        let mut args = vec!["run", "-q", "--audit", audit.to_str().unwrap()];
        args.extend(["--upstream-ca", authority.to_str().unwrap(), "--workdir", "/sandbox"]);
        args.extend(mounts.iter().flat_map(|mount| ["--mount", mount]));
        args.extend(options);
        args.push("--");
        args.extend(command);
        let output = self.inside(internet, &dir, &args);
        let text = std::fs::read_to_string(dir.join("seen.jsonl")).unwrap_or_default();
        (output, text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    /// `navigator run` with options, then the command.
    pub(crate) fn run(&self, options: &[&str], program: &[&str]) -> Output {
        let audit = self.path("audit.jsonl");
        let mut args = vec!["run"];
        if !options.contains(&"--audit") {
            args.extend(["--audit", audit.to_str().unwrap()]);
        }
        args.extend(options);
        args.push("--");
        args.extend(program);
        self.navigator(&args).output().unwrap()
    }

    /// Runs a script of `attacks/` in a sandbox and returns the JSON that it prints.
    pub(crate) fn attack(
        &self,
        options: &[&str],
        script: &str,
        args: &[&str],
    ) -> serde_json::Value {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("attacks");
        let source = std::fs::read_to_string(scripts.join(script)).unwrap();
        self.file(script, &source);
        let mount = format!("{}:/sandbox/{script}:ro", self.path(script).display());
        let mut all = vec!["--mount", &mount];
        all.extend(options);
        let inside = format!("/sandbox/{script}");
        let mut program = vec!["/usr/bin/python3", "-u", &inside];
        program.extend(args);
        let output = self.run(&all, &program);
        let stdout = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&stdout).unwrap_or_else(|error| {
            let stderr = String::from_utf8_lossy(&output.stderr);
            panic!("{script} as {:?}: {error}: {:?}\n{stdout}\n{stderr}", self.who, output.status)
        })
    }

    /// The decisions that were recorded.
    pub(crate) fn decisions(&self) -> Vec<serde_json::Value> {
        self.events("decision")
    }

    /// The records of one kind. A line that is being written is not there yet.
    pub(crate) fn events(&self, kind: &str) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.path("audit.jsonl")).unwrap_or_default();
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let lines = whole.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.filter(|line| line["event"] == kind).collect()
    }

    /// A policy with the usual files and these network policies, as a file.
    pub(crate) fn policy(&self, network: &str) -> String {
        let text = format!(
            "version: 1\nfilesystem_policy:\n  \
             read_only: [/usr, /bin, /sbin, /lib, /lib64, /etc, /opt, /proc, /dev/urandom]\n  \
             read_write: [/sandbox, /tmp, /dev/null]\n{network}"
        );
        self.file("policy.yaml", &text).to_str().unwrap().to_owned()
    }
}

/// Copies a directory by links where that is possible.
fn copy(from: &Path, to: &Path) {
    let copied = |how| Command::new("cp").arg(how).args([from, to]).output().unwrap();
    if !copied("-alT").status.success() {
        let second = copied("-aT");
        assert!(second.status.success(), "{}", stderr(&second));
    }
}

/// The binary that the workspace built.
fn built() -> PathBuf {
    if let Some(path) = std::env::var_os("NAVIGATOR_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().unwrap();
    let binary = test.ancestors().nth(2).unwrap().join("navigator");
    assert!(binary.exists(), "{} is missing; run `cargo build -p navigator`", binary.display());
    binary
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("{:?}: {}", output.status, stderr(output)))
}

/// Processes whose command line has this text, as the host sees them.
pub(crate) fn processes_with(marker: &str) -> Vec<String> {
    let mut found = vec![];
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let text = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).replace('\0', " ");
        if text.contains(marker) && entry.path() != Path::new("/proc/self") {
            found.push(format!("{}: {text}", entry.path().display()));
        }
    }
    found
}

/// Waits until a condition holds, for at most ten seconds.
pub(crate) fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("not within ten seconds: {what}");
}
