//! What coming into a sandbox costs, next to OpenSSH's server on this machine and to a copy on its disk.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::gateway::Running;
use super::row::{Check, Kind, Row, Summary};

/// Connections and commands that are measured.
const TIMES: usize = 60;
/// Copies of the large file; the fastest counts, because the disk is everybody's.
const COPIES: usize = 5;
/// Bytes of the large file.
const BYTES: usize = 1 << 30;
/// Where OpenSSH's file server is.
const SFTP_SERVER: &str = "/usr/lib/openssh/sftp-server";
/// Where OpenSSH's server is.
const SSHD: &str = "/usr/sbin/sshd";

/// Every row about access.
pub fn rows(release: &Path) -> Result<Vec<Row>> {
    let bench = Bench::start(release)?;
    let mut rows = bench.connections()?;
    rows.extend(bench.commands()?);
    rows.extend(bench.copies()?);
    Ok(rows)
}

impl Drop for Bench {
    fn drop(&mut self) {
        // A sandbox outlives its gateway, which ends next.
        if let Err(error) = self.run(self.navigator(&["sandbox", "delete", "bench", "-y"])) {
            eprintln!("the sandbox is left: {error:#}");
        }
    }
}

/// A sandbox and a server of OpenSSH, and the way to both.
struct Bench {
    navigator: PathBuf,
    /// Where everything is.
    dir: PathBuf,
    /// By which `ssh` reaches `bench.navigator` and `sshd`.
    config: PathBuf,
    _sshd: Server,
    _gateway: Running,
}

/// A process that ends with the measurement.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already, or gone now.
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

impl Bench {
    fn start(release: &Path) -> Result<Self> {
        let gateway = Running::start(release, tempfile::tempdir()?)?;
        let dir = gateway.dir().to_owned();
        let (sshd, port) = sshd(&dir)?;
        let config = dir.join("ssh_config");
        let bench = Self {
            navigator: release.join("navigator"),
            config,
            dir,
            _sshd: sshd,
            _gateway: gateway,
        };
        bench.run(bench.navigator(&["sandbox", "create", "bench", "-T"]))?;
        let mut text = bench.output(bench.navigator(&["sandbox", "ssh-config", "bench"]))?;
        let key = bench.dir.join("key");
        text.push_str(&format!(
            "Host sshd\n  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {}\n  \
             StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n",
            key.display()
        ));
        std::fs::write(&bench.config, text)?;
        Ok(bench)
    }

    fn navigator(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.navigator);
        command.args(words).current_dir(&self.dir);
        for (name, below) in [("STATE", "s"), ("RUNTIME", "r"), ("CONFIG", "c")] {
            command.env(format!("NAVIGATOR_{name}_DIR"), self.dir.join(below));
        }
        command
    }

    fn ssh(&self, words: &[&str]) -> Command {
        let mut command = Command::new("ssh");
        command.arg("-F").arg(&self.config).args(words).current_dir(&self.dir);
        command
    }

    fn run(&self, mut command: Command) -> Result<Duration> {
        let begun = Instant::now();
        let done = command.stdin(Stdio::null()).output()?;
        let took = begun.elapsed();
        let words = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "{command:?} ended with {}: {words}", done.status);
        Ok(took)
    }

    fn output(&self, mut command: Command) -> Result<String> {
        let done = command.stdin(Stdio::null()).output()?;
        ensure!(done.status.success(), "{command:?} ended with {}", done.status);
        Ok(String::from_utf8(done.stdout)?)
    }

    /// From nothing to the end of a command that does nothing.
    fn connections(&self) -> Result<Vec<Row>> {
        let (mut theirs, mut ours) = (vec![], vec![]);
        for _ in 0..TIMES {
            theirs.push(self.run(self.ssh(&["sshd", "true"]))?);
            ours.push(self.run(self.ssh(&["bench.navigator", "true"]))?);
        }
        let (theirs, ours) = (Summary::of(&theirs), Summary::of(&ours));
        let checks = vec![Check::at_most("p50", ours.p50, Duration::from_millis(60))];
        Ok(vec![
            Row::times("ssh: connect → `true` over, sshd of this machine", theirs, Kind::Peer),
            Row::times("ssh: connect → `true` over, sandbox", ours, Kind::Ours(checks)),
        ])
    }

    /// One more command on a connection that is there; its floor is the program itself and ssh's own client.
    fn commands(&self) -> Result<Vec<Row>> {
        let (mut own, mut theirs, mut ours) = (vec![], vec![], vec![]);
        let hosts = ["sshd", "bench.navigator"];
        let path = format!("ControlPath={}", self.dir.join("control-%n").display());
        for host in hosts {
            let options =
                ["-o", &path, "-o", "ControlMaster=yes", "-o", "ControlPersist=yes", host, "true"];
            self.run(self.ssh(&options))?;
        }
        for _ in 0..TIMES {
            let mut shell = Command::new("/bin/bash");
            // Without this user's own start files, which the sandbox's user does not have.
            shell.args(["-lc", "true"]).env_clear().env("HOME", &self.dir).current_dir(&self.dir);
            let client = self.run(self.ssh(&["-o", &path, "-O", "check", hosts[0]]))?;
            own.push(self.run(shell)? + client);
            theirs.push(self.run(self.ssh(&["-o", &path, hosts[0], "true"]))?);
            ours.push(self.run(self.ssh(&["-o", &path, hosts[1], "true"]))?);
        }
        for host in hosts {
            self.run(self.ssh(&["-o", &path, "-O", "exit", host]))?;
        }
        let [own, theirs, ours] = [own, theirs, ours].map(|times| Summary::of(&times));
        let checks = vec![Check::at_most("p50", ours.p50, own.p50 + Duration::from_millis(5))];
        Ok(vec![
            Row::times("ssh: a login shell and ssh's client alone", own, Kind::Floor),
            Row::times("ssh: one more command, sshd of this machine", theirs, Kind::Peer),
            Row::times("ssh: one more command, sandbox", ours, Kind::Ours(checks)),
        ])
    }

    fn copies(&self) -> Result<Vec<Row>> {
        let (big, back) = (self.dir.join("big"), self.dir.join("back"));
        write_random(&big)?;
        let (here, there) = (path(&big)?, path(&back)?);
        let copy = || {
            let mut cp = Command::new("cp");
            cp.args([here, there]);
            cp
        };
        let floor = self.fastest(&back, copy)?;
        let mut rows =
            vec![Row::one("1 GiB: cp on this machine's disk", floor, "GB/s", Kind::Floor)];
        let mut ours = |name: &str, found: f64| {
            let checks = vec![Check::at_least(found, floor * 0.6, "GB/s")];
            rows.push(Row::one(name, found, "GB/s", Kind::Ours(checks)));
        };
        let inside = self.dir.join("none");
        let up = || self.navigator(&["sandbox", "cp", "-q", here, "bench:big"]);
        let down = || self.navigator(&["sandbox", "cp", "-q", "bench:big", there]);
        let clear =
            || self.run(self.navigator(&["sandbox", "exec", "bench", "--", "rm", "-f", "big"]));
        ours("1 GiB: sandbox cp up", self.fastest_after(clear, &inside, up)?);
        ours("1 GiB: sandbox cp down", self.fastest(&back, down)?);
        let batch = |host: &str, line: String| {
            let file = self.dir.join("batch");
            std::fs::write(&file, line)?;
            let mut sftp = Command::new("sftp");
            sftp.arg("-q").arg("-F").arg(&self.config).arg("-b").arg(file).arg(host);
            anyhow::Ok(sftp)
        };
        // What OpenSSH's client takes by itself, whatever serves it and whatever is between.
        let alone = |line: String| {
            let file = self.dir.join("batch");
            std::fs::write(&file, line)?;
            let mut sftp = Command::new("sftp");
            sftp.args(["-q", "-D", SFTP_SERVER, "-b"]).arg(file);
            anyhow::Ok(sftp)
        };
        let put_alone = rate(self.run(alone(format!("put {here} {there}"))?)?);
        let get_alone = rate(self.run(alone(format!("get {here} {there}"))?)?);
        let put = batch("bench.navigator", format!("put {here} big2"))?;
        ours("1 GiB: sftp put, sandbox", rate(self.run(put)?));
        let get = batch("bench.navigator", format!("get big2 {there}"))?;
        ours("1 GiB: sftp get, sandbox", rate(self.run(get)?));
        let put = batch("sshd", format!("put {here} {}", path(&self.dir.join("big3"))?))?;
        let put = rate(self.run(put)?);
        let get = batch("sshd", format!("get {here} {there}"))?;
        let get = rate(self.run(get)?);
        for (what, found) in [("put", put_alone), ("get", get_alone)] {
            let name = format!("1 GiB: sftp {what}, no ssh between");
            rows.push(Row::one(&name, found, "GB/s", Kind::Floor));
        }
        rows.push(Row::one("1 GiB: sftp put, sshd of this machine", put, "GB/s", Kind::Peer));
        rows.push(Row::one("1 GiB: sftp get, sshd of this machine", get, "GB/s", Kind::Peer));
        Ok(rows)
    }

    fn fastest(&self, made: &Path, command: impl Fn() -> Command) -> Result<f64> {
        self.fastest_after(|| Ok(Duration::ZERO), made, command)
    }

    fn fastest_after(
        &self,
        before: impl Fn() -> Result<Duration>,
        made: &Path,
        command: impl Fn() -> Command,
    ) -> Result<f64> {
        let mut best = Duration::MAX;
        for _ in 0..COPIES {
            before()?;
            match std::fs::remove_file(made) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error.into());
                }
                Ok(()) | Err(_) => {}
            }
            best = best.min(self.run(command())?);
        }
        Ok(rate(best))
    }
}

fn rate(took: Duration) -> f64 {
    BYTES as f64 / took.as_secs_f64() / 1e9
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}

/// Nothing that could be left out or packed.
fn write_random(path: &Path) -> Result<()> {
    let mut chunk = vec![0; 1 << 20];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut chunk)?;
    let mut file = std::fs::File::create(path)?;
    for number in 0..BYTES / chunk.len() {
        chunk[..8].copy_from_slice(&number.to_ne_bytes());
        file.write_all(&chunk)?;
    }
    file.sync_all()?;
    Ok(())
}

/// A server of OpenSSH for this user, and its port.
fn sshd(dir: &Path) -> Result<(Server, u16)> {
    for name in ["host", "key"] {
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(dir.join(name));
        ensure!(keygen.status()?.success(), "no key was made");
    }
    let keys = dir.join("authorized_keys");
    std::fs::copy(dir.join("key.pub"), &keys)?;
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o600))?;
    std::fs::create_dir_all("/run/sshd")?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut server = Command::new(SSHD);
    server
        .args(["-D", "-q", "-f", "/dev/null", "-p", &port.to_string(), "-h"])
        .arg(dir.join("host"));
    for option in [
        "ListenAddress=127.0.0.1",
        "StrictModes=no",
        "PidFile=none",
        "UsePAM=no",
        "MaxStartups=100",
        "Subsystem=sftp internal-sftp",
        &format!("AuthorizedKeysFile={}", keys.display()),
    ] {
        server.args(["-o", option]);
    }
    let server = Server(server.spawn().context("failed to start sshd")?);
    let deadline = Instant::now() + Duration::from_secs(10);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        ensure!(Instant::now() < deadline, "sshd does not answer");
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok((server, port))
}
