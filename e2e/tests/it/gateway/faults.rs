//! A gateway whose state is damaged, taken, or has no room: it refuses clearly and changes nothing.

use std::process::{Child, Command, Stdio};

use navigator_proto::datamodel::v1::{SandboxPhase, SandboxSpec};
use tonic::Code;

use super::machine::kill;
use super::running::{Running, command};
use crate::harness::{Case, as_everyone, as_root, code, eventually, stderr};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn a_second_gateway_is_refused() {
    as_everyone(|case| {
        let running = Running::start(case);
        let same = running.output(&["gateway", "run"]);
        assert_eq!(code(&same), 125);
        let words = format!("another gateway runs on it (process {})", running.pid());
        assert!(stderr(&same).contains(&words), "{}", stderr(&same));
        // Another state, but the same socket.
        let other = case.directory("other").display().to_string();
        let socket = running.output(&["gateway", "run", "--state-dir", &other]);
        assert_eq!(code(&socket), 125);
        assert!(stderr(&socket).contains("a gateway answers there already"), "{}", stderr(&socket));
        running.succeeds(&["sandbox", "list"]);
    });
}

#[test]
fn what_is_no_sandbox_stays_and_what_has_no_record_goes() {
    as_root(|case| {
        let running = Running::start(case);
        running.succeeds(&["sandbox", "create", "one"]);
        running.kill();
        let state = case.path("state");
        let sandboxes = state.join("sandboxes");
        let unknown = sandboxes.join("019b7c1e-0000-7000-8000-000000000001");
        std::fs::create_dir_all(unknown.join("home/deep")).unwrap();
        std::fs::write(unknown.join("supervisor"), b"\xff\0garbage").unwrap();
        std::fs::create_dir(sandboxes.join("notes")).unwrap();
        std::fs::write(sandboxes.join("note"), "mine").unwrap();
        std::fs::write(state.join("gateway.lock"), b"\xff\xfe garbage").unwrap();
        running.start_again();
        eventually("what has no record is gone", || !unknown.exists());
        eventually("it is connected again", || {
            running.output(&["sandbox", "exec", "one", "--", "true"]).status.success()
        });
        assert!(sandboxes.join("notes").exists() && sandboxes.join("note").exists());
        running.succeeds(&["sandbox", "delete", "one"]);
        std::fs::remove_dir(sandboxes.join("notes")).unwrap();
        std::fs::remove_file(sandboxes.join("note")).unwrap();
        running.nothing_is_left();
    });
}

#[test]
fn a_store_that_cannot_be_written_is_read() {
    use std::os::unix::fs::PermissionsExt;
    as_everyone(|case| {
        if case.who == crate::harness::Who::Root {
            println!("skipped: root may write every file");
            return;
        }
        let running = Running::start(case);
        running.succeeds(&["sandbox", "create", "one"]);
        running.kill();
        let database = case.path("state/gateway.db");
        let allow = |mode| {
            std::fs::set_permissions(&database, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        allow(0o400);
        running.start_again();
        assert!(running.succeeds(&["sandbox", "list"]).contains("one"));
        running.succeeds(&["sandbox", "get", "one"]);
        for args in [&["sandbox", "create", "two"][..], &["sandbox", "delete", "one"]] {
            let output = running.output(args);
            assert_ne!(code(&output), 0);
            assert!(stderr(&output).contains("read-only"), "{args:?}: {}", stderr(&output));
        }
        running.kill();
        allow(0o600);
        running.start_again();
        assert!(!running.succeeds(&["sandbox", "list"]).contains("two"));
        running.succeeds(&["sandbox", "delete", "one"]);
        running.nothing_is_left();
    });
}

/// A disk of four megabytes for the state of a case, in a mount namespace that a process holds.
struct SmallDisk(Child);

impl SmallDisk {
    fn of(case: &Case) -> Self {
        let state = case.directory("state");
        let script = "mount -t tmpfs -o size=4m,mode=700 none \"$0\" && echo && exec cat";
        let mut holder = Command::new("unshare");
        holder.args(["--mount", "sh", "-c", script]).arg(&state);
        let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        Self(holder)
    }

    fn launcher(&self) -> Vec<String> {
        let namespace = format!("--mount=/proc/{}/ns/mnt", self.0.id());
        ["nsenter", &namespace, "--"].map(str::to_owned).to_vec()
    }

    fn path(&self, case: &Case, name: &str) -> std::path::PathBuf {
        let path = case.path("state").join(name);
        format!("/proc/{}/root{}", self.0.id(), path.display()).into()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ended = self.0.wait();
    }
}

#[test]
fn on_a_full_disk_reads_go_on_and_everything_is_mended_when_there_is_room() {
    as_root(|case| {
        let disk = SmallDisk::of(case);
        let running = Running::start_in(case, disk.launcher());
        let filler = disk.path(case, "filler");
        block_on(async {
            let mut api = running.api();
            let sandbox = api.create("one", SandboxSpec::default()).await.unwrap();
            api.is("one", SandboxPhase::Ready).await;
            let error = std::fs::write(&filler, vec![1; 8 << 20]).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
            let refused = loop {
                match api.create("", SandboxSpec::default()).await {
                    Ok(made) => println!("there was room for {}", made.name),
                    Err(refused) => break refused,
                }
            };
            assert_eq!(refused.code(), Code::Unavailable, "{refused}");
            assert!(!refused.message().contains("already"), "{refused}");
            let shown = api.page(100, 0).await.unwrap();
            assert!(shown.iter().any(|one| one.name == "one"));
            assert_eq!(api.exec(&sandbox.id, &["true"]).await.unwrap().code, Some(0));
            // What ends now cannot be noted.
            let first = running.machine.supervisors()[&sandbox.id].pid;
            kill(first);
            eventually("it has ended", || !running.machine.is_ours(first));
            // More tries than ends would be allowed.
            for _ in 0..7 {
                assert!(api.stop("none").await.is_err());
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
            std::fs::remove_file(&filler).unwrap();
            loop {
                let shown = api.is("one", SandboxPhase::Ready).await;
                if running.machine.supervisors().contains_key(&shown.id) {
                    break;
                }
            }
            loop {
                match api.exec(&sandbox.id, &["true"]).await {
                    Ok(ended) => break assert_eq!(ended.code, Some(0)),
                    Err(status) => assert!(
                        [Code::Unavailable, Code::FailedPrecondition].contains(&status.code()),
                        "{status}"
                    ),
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            for sandbox in api.page(100, 0).await.unwrap() {
                assert!(api.delete(&sandbox.name).await.unwrap());
            }
        });
        running.nothing_is_left();
        drop(running);
        drop(disk);
        assert_eq!(command(case, &["--version"]).output().unwrap().status.code(), Some(0));
    });
}
