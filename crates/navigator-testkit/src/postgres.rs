//! A PostgreSQL server for tests: on a unix socket in a directory of its own, gone when its owner is.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};

/// Where Debian puts the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// The server refuses to be root's; Debian's package makes this user.
const USER: &str = "postgres";
/// The administrator of the server.
const ADMINISTRATOR: &str = "navigator";
/// Starts a server, says where, and stops and removes it when the standard input ends. That happens however the
/// owner ends, and the script, in a process group of its own, outlives it for that.
const SCRIPT: &str = r#"
set -eu
bin=$1
dir=$(mktemp -d /tmp/navigator-postgres.XXXXXX)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT PIPE TERM
"$bin/initdb" -D "$dir/data" -U "$2" --auth=trust --encoding=UTF8 --locale=C --no-sync >"$dir/log" 2>&1 ||
    { cat "$dir/log" >&2; exit 1; }
"$bin/postgres" -D "$dir/data" -k "$dir" -c listen_addresses= -c fsync=off -c shared_buffers=16MB \
    -c dynamic_shared_memory_type=mmap </dev/null >"$dir/log" 2>&1 &
server=$!
trap 'kill -QUIT "$server" 2>/dev/null || :; wait "$server" || :; rm -rf "$dir"' EXIT
until "$bin/pg_isready" -q -h "$dir"; do
    kill -0 "$server" 2>/dev/null || { cat "$dir/log" >&2; exit 1; }
    sleep 0.05
done
echo "$dir"
cat >/dev/null
"#;

/// A server; it is stopped and its files are removed when this is dropped, and also when its process is killed.
pub struct Postgres {
    keeper: Child,
    programs: PathBuf,
    socket: PathBuf,
    databases: AtomicU32,
}

impl Postgres {
    /// Starts a server.
    ///
    /// # Errors
    /// When its programs are missing, or do not work; the message says what to install or what they said.
    pub fn start() -> Result<Self> {
        let programs = programs()?;
        let mut shell = ordinary_shell()?;
        shell.args(["-c", SCRIPT, "sh"]).arg(&programs).arg(ADMINISTRATOR).process_group(0);
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).current_dir("/");
        let mut keeper = shell.spawn().context("failed to start a shell for PostgreSQL")?;
        let mut line = String::new();
        if let Some(output) = keeper.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        if line.is_empty() {
            let mut said = String::new();
            if let Some(mut errors) = keeper.stderr.take() {
                errors.read_to_string(&mut said)?;
            }
            keeper.wait()?;
            bail!("failed to start PostgreSQL: {said}");
        }
        let socket = line.trim_end().into();
        Ok(Self { keeper, programs, socket, databases: AtomicU32::new(0) })
    }

    /// Makes an empty database and returns its URL.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn database(&self) -> Result<String> {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut create = Command::new(self.programs.join("createdb"));
        create.arg("-h").arg(&self.socket).args(["-U", ADMINISTRATOR, &name]);
        let output = create.current_dir("/").output().context("failed to run createdb")?;
        if !output.status.success() {
            bail!("failed to make a database: {}", String::from_utf8_lossy(&output.stderr));
        }
        let host = self.socket.display().to_string().replace('/', "%2F");
        Ok(format!("postgres://{ADMINISTRATOR}@{host}/{name}"))
    }

    /// The directory of the server's socket and files.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // It is there until it is waited for; nothing else can be wrong with it.
        let _ = self.keeper.wait();
    }
}

/// A shell that is not root's.
fn ordinary_shell() -> Result<Command> {
    if !rustix::process::geteuid().is_root() {
        return Ok(Command::new("sh"));
    }
    let known = Command::new("id").arg(USER).output()?.status.success();
    if !known {
        bail!("there is no user `{USER}`; run `apt-get install postgresql`");
    }
    let mut shell = Command::new("setpriv");
    shell.arg(format!("--reuid={USER}")).arg(format!("--regid={USER}"));
    shell.args(["--clear-groups", "--", "sh"]);
    Ok(shell)
}

/// The directory of the newest version's programs.
fn programs() -> Result<PathBuf> {
    let versions = std::fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let version = |entry: &std::fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
    let versions = versions.filter_map(|entry| Some((version(&entry)?, entry.path().join("bin"))));
    let complete = versions.filter(|(_, bin)| bin.join("initdb").exists());
    let newest = complete.max().map(|(_, bin)| bin);
    newest.context("PostgreSQL's programs are missing; run `apt-get install postgresql`")
}
