use std::fs::File;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::net::netlink::SOCK_DIAG;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::*;

/// Looking a socket up among the processes of a whole machine needs root; in a sandbox's own pid namespace, where the
/// integration tests do it, an ordinary user's supervisor sees everything.
fn sees_every_process() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("skipped: not root, so other users' processes cannot be examined");
    }
    root
}

/// The system's directories and those that cargo puts into `LD_LIBRARY_PATH` of a test.
fn trusted() -> Vec<String> {
    let own = std::env::var("LD_LIBRARY_PATH").unwrap_or_default();
    let own = own.split(':').filter(|directory| !directory.is_empty());
    ["/usr", "/lib"].into_iter().chain(own).map(str::to_owned).collect()
}

fn identifier() -> Identifier {
    let open = |path: &str| -> OwnedFd {
        openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .unwrap()
    };
    let examination = Examination {
        sock_diag: socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(SOCK_DIAG),
        )
        .unwrap(),
        proc_dir: open("/proc"),
        root_dir: open("/"),
        sees_connects: false,
    };
    Identifier::new(examination, Arc::default(), trusted()).unwrap()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn connection() -> (TcpStream, TcpStream, ClientSocket) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, from) = listener.accept().unwrap();
    let wanted = server.local_addr().unwrap();
    (client, server, ClientSocket { client: from, wanted })
}

/// A program that lives until its input ends.
struct Waiting(Child);

impl Waiting {
    fn start(program: &Path, set: impl FnOnce(&mut Command) -> &mut Command) -> Waiting {
        let mut command = Command::new(program);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        Waiting(set(&mut command).spawn().unwrap())
    }

    fn examine(&self, identifier: &Identifier) -> Result<Program, IdentityError> {
        run(async {
            loop {
                match identifier.program(self.0.id())? {
                    Step::Done(program) => return Ok(program),
                    Step::Hash(unhashed) => identifier.hash(unhashed).await?,
                }
            }
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A copy of `cat`, at a path of its own.
fn copied_cat(to: &Path) {
    std::fs::write(to, std::fs::read("/bin/cat").unwrap()).unwrap();
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// The file may still be open for writing in a child that another test is forking just now.
fn start_copy(path: &Path) -> Waiting {
    loop {
        let child = Command::new(path).stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        match child {
            Ok(child) => return Waiting(child),
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn the_owner_of_a_connection_is_this_program() {
    if !sees_every_process() {
        return;
    }
    let (_client, _server, socket) = connection();
    let identifier = identifier();
    let programs = run(identifier.identify(&socket)).unwrap();
    assert_eq!(programs.len(), 1);
    let program = &programs[0];
    assert_eq!(program.pid, std::process::id());
    assert_eq!(*program.executable, *std::env::current_exe().unwrap().to_str().unwrap());
    assert_eq!(program.sha256.len(), 64);
    assert_eq!(run(identifier.identify(&socket)).unwrap(), programs, "also from the cache");
}

#[test]
fn every_holder_of_a_connection_is_found() {
    if !sees_every_process() {
        return;
    }
    let (client, _server, socket) = connection();
    let inherited = Stdio::from(OwnedFd::from(client.try_clone().unwrap()));
    let child =
        Waiting::start(Path::new("/bin/sleep"), |command| command.arg("1000").stdout(inherited));
    let identifier = identifier();
    let pids: Vec<u32> = loop {
        // Between fork and exec the child is this program once more.
        let programs = match run(identifier.identify(&socket)) {
            Ok(programs) => programs,
            Err(IdentityError::Changed) => continue,
            Err(error) => panic!("{error}"),
        };
        break programs.iter().map(|program| program.pid).collect();
    };
    assert!(pids.contains(&std::process::id()) && pids.contains(&child.0.id()), "{pids:?}");
}

#[test]
fn a_connection_that_is_gone_has_no_owner() {
    if !sees_every_process() {
        return;
    }
    let (client, server, socket) = connection();
    drop((client, server));
    assert!(run(identifier().identify(&socket)).is_err());
}

#[test]
fn a_replaced_executable_is_refused_until_it_is_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tool");
    let identifier = identifier();
    copied_cat(&path);
    let first = start_copy(&path).examine(&identifier).unwrap();
    std::fs::remove_file(&path).unwrap();
    copied_cat(&path);
    let same = start_copy(&path).examine(&identifier).unwrap();
    assert_eq!(same.sha256, first.sha256, "the same content in a new file is the same program");

    std::fs::remove_file(&path).unwrap();
    copied_cat(&path);
    File::options().append(true).open(&path).unwrap().write_all(b"changed").unwrap();
    let replaced = start_copy(&path);
    for _ in 0..2 {
        let refused = replaced.examine(&identifier);
        assert!(matches!(refused, Err(IdentityError::Replaced { .. })), "{refused:?}");
    }
    let pins = identifier.executables.lock().unwrap();
    pins.pins().accept_replacement(path.to_str().unwrap());
    drop(pins);
    assert_ne!(replaced.examine(&identifier).unwrap().sha256, first.sha256);
}

#[test]
fn an_executable_that_is_huge_and_holds_nothing_is_refused_unread() {
    if !sees_every_process() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("huge");
    copied_cat(&path);
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(crate::limits::MAX_EXECUTABLE + 1).unwrap();
    drop(file);
    let refused = start_copy(&path).examine(&identifier());
    assert!(matches!(refused, Err(IdentityError::TooLarge { .. })), "{refused:?}");
}

#[test]
fn a_deleted_executable_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tool");
    copied_cat(&path);
    let running = start_copy(&path);
    let identifier = identifier();
    running.examine(&identifier).unwrap();
    std::fs::remove_file(&path).unwrap();
    let refused = running.examine(&identifier);
    assert!(matches!(refused, Err(IdentityError::Deleted { .. })), "{refused:?}");
}

#[test]
fn a_preloaded_library_from_a_writable_path_is_refused() {
    let running = Waiting::start(Path::new("/bin/cat"), |command| {
        command.env("LD_PRELOAD", "/tmp/evil.so").stderr(Stdio::null())
    });
    let refused = running.examine(&identifier());
    assert!(matches!(refused, Err(IdentityError::Preload { .. })), "{refused:?}");
}

#[test]
fn ancestors_are_followed() {
    let running = Waiting::start(Path::new("/bin/cat"), |command| command);
    let program = running.examine(&identifier()).unwrap();
    let own = std::env::current_exe().unwrap();
    assert_eq!(program.ancestors.first().map(AsRef::as_ref), own.to_str());
}

#[test]
fn a_connection_in_a_threads_own_descriptor_table_is_found() {
    if !sees_every_process() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let hiding = std::thread::spawn(move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_FILES).unwrap();
        let client = TcpStream::connect(to).unwrap();
        let _ = wait.recv();
        drop(client);
    });
    let (server, from) = listener.accept().unwrap();
    let socket = ClientSocket { client: from, wanted: server.local_addr().unwrap() };
    let programs = run(identifier().identify(&socket)).unwrap();
    assert_eq!(programs[0].pid, std::process::id());
    drop(done);
    hiding.join().unwrap();
}
