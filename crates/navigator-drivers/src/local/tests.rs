//! The driver with real processes: a small program stands in for the supervisor and keeps its side of the contract.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use zeroize::Zeroizing;

use super::*;

/// Reads what it is told, says who it is, runs until it is ended.
const OBEDIENT: &str = r#"cat > "$XDG_TEST/told.$$"; printf '{"pid":%d}\n' $$; exec sleep 1000"#;

struct Setting {
    dir: tempfile::TempDir,
    driver: LocalDriver,
}

impl Setting {
    fn new(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program = program(dir.path(), script);
        let driver = driver(dir.path(), program);
        Self { dir, driver }
    }

    fn pid(&self, id: Uuid) -> i32 {
        match Place::new(self.driver.directory(id)).said().unwrap() {
            Said::Pid(pid) => pid,
            other => panic!("{other:?}"),
        }
    }

    /// The process, once it has said who it is.
    async fn named(&self, id: Uuid) -> i32 {
        loop {
            if let Said::Pid(pid) = Place::new(self.driver.directory(id)).said().unwrap() {
                return pid;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for Setting {
    /// Whatever a test leaves running is ended by what it wrote of itself.
    fn drop(&mut self) {
        for id in ids(&self.dir.path().join("sandboxes")).unwrap_or_default() {
            let place = Place::new(self.driver.directory(id));
            if let Ok(Look::Process(pidfd)) = look(&place) {
                let _ = rustix::process::pidfd_send_signal(pidfd, Signal::KILL);
            }
        }
    }
}

/// Installed by another process: a program that this one has open for writing cannot be run while a sibling forks.
fn program(dir: &Path, script: &str) -> PathBuf {
    let (text, program) = (dir.join("text"), dir.join("program"));
    std::fs::write(&text, format!("#!/bin/sh\n{script}\n")).unwrap();
    let mut install = Command::new("install");
    assert!(install.args(["-m", "755"]).args([&text, &program]).status().unwrap().success());
    program
}

fn driver(dir: &Path, program: PathBuf) -> LocalDriver {
    let mut environment = vec![("XDG_TEST".into(), dir.into()), ("SECRET".into(), "x".into())];
    environment.push(("PATH".into(), std::env::var_os("PATH").unwrap()));
    LocalDriver::new(LocalSettings {
        directory: dir.join("sandboxes"),
        images: dir.join("images"),
        program,
        environment,
    })
}

fn workload(id: Uuid, launch: &[u8]) -> Workload {
    Workload {
        image: None,
        id,
        name: "quiet-otter".into(),
        launch: Zeroizing::new(launch.to_vec()),
    }
}

fn count(path: &Path) -> usize {
    std::fs::read_dir(path).unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_starts_once_stops_and_is_removed() {
    let setting = Setting::new(OBEDIENT);
    let (driver, id) = (&setting.driver, Uuid::now_v7());
    let mut gone = driver.gone().unwrap();
    assert!(driver.gone().is_none());
    assert!(!driver.runs(id).await.unwrap());
    driver.start(workload(id, b"secret")).await.unwrap();
    assert!(driver.runs(id).await.unwrap());
    let pid = setting.named(id).await;
    driver.start(workload(id, b"again")).await.unwrap();
    assert_eq!(setting.pid(id), pid);
    assert_eq!(std::fs::read(setting.dir.path().join(format!("told.{pid}"))).unwrap(), b"secret");
    driver.stop(id).await.unwrap();
    assert_eq!(gone.recv().await.unwrap(), Gone { id, how: "it was ended by signal 15".into() });
    assert!(!driver.runs(id).await.unwrap());
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "it is reaped");
    driver.stop(id).await.unwrap();
    driver.delete(id).await.unwrap();
    assert!(!driver.directory(id).exists());
    driver.delete(id).await.unwrap();
    driver.removals().await;
    assert_eq!(count(&setting.dir.path().join("sandboxes")), 0);
    assert!(driver.inner.slots.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_gets_its_part_of_the_environment_its_own_group_and_private_files() {
    let setting =
        Setting::new(&format!("env > \"$XDG_TEST/env\"; pwd >> \"$XDG_TEST/env\"; {OBEDIENT}"));
    let (driver, id) = (&setting.driver, Uuid::now_v7());
    driver.start(workload(id, b"x")).await.unwrap();
    let pid = setting.named(id).await;
    let seen = std::fs::read_to_string(setting.dir.path().join("env")).unwrap();
    assert!(seen.contains("XDG_TEST=") && !seen.contains("SECRET"), "{seen}");
    assert!(seen.ends_with("\n/\n"), "{seen}");
    let group = rustix::process::getpgid(rustix::process::Pid::from_raw(pid)).unwrap();
    assert_eq!(group.as_raw_nonzero().get(), pid);
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(driver.directory(id)), 0o700);
    assert_eq!(mode(driver.directory(id).join("supervisor")), 0o600);
    assert_eq!(mode(driver.directory(id).join("supervisor.log")), 0o600);
    driver.delete(id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_is_told_with_how_and_last_words() {
    let setting = Setting::new("cat > /dev/null; printf 'went \\033[31mwrong\\n' >&2; exit 7");
    let (driver, id) = (&setting.driver, Uuid::now_v7());
    let mut gone = driver.gone().unwrap();
    for _ in 0..2 {
        driver.start(workload(id, b"x")).await.unwrap();
        let how = gone.recv().await.unwrap().how;
        assert_eq!(how, "it ended with exit code 7; its last words: went [31mwrong");
    }
    assert_eq!(driver.last_words(id, 1000).await.unwrap(), "went [31mwrong\nwent [31mwrong\n");
    assert_eq!(driver.last_words(Uuid::now_v7(), 1000).await.unwrap(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_that_dies_while_it_is_told_is_an_error_and_leaves_nothing() {
    let setting = Setting::new("echo no such flag >&2; exit 3");
    let (driver, id) = (&setting.driver, Uuid::now_v7());
    let error = driver.start(workload(id, &vec![b'x'; 1024 * 1024])).await.unwrap_err().to_string();
    assert!(error.contains("exit code 3") && error.contains("no such flag"), "{error}");
    assert!(!driver.runs(id).await.unwrap());
    assert!(!error.contains("xxx"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_that_does_not_read_is_ended() {
    let setting = Setting::new("exec sleep 1000");
    let (driver, id) = (&setting.driver, Uuid::now_v7());
    let started = driver.start(workload(id, &vec![b'x'; 1024 * 1024])).await.unwrap_err();
    assert!(started.to_string().contains("signal 9"), "{started}");
    assert!(!driver.runs(id).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_missing_is_an_error_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let driver = driver(dir.path(), dir.path().join("missing"));
    let DriverError::System { source, .. } =
        driver.start(workload(Uuid::now_v7(), b"x")).await.unwrap_err()
    else {
        panic!("the system refuses");
    };
    assert_eq!(source.kind(), io::ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_cannot_be_made_is_an_error_for_every_call_that_needs_it() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("sandboxes"), "a file").unwrap();
    let driver = driver(dir.path(), "/bin/true".into());
    assert!(driver.start(workload(Uuid::now_v7(), b"x")).await.is_err());
    assert!(driver.adopt().await.is_err());
    assert!(driver.delete(Uuid::now_v7()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_ignores_the_polite_way_is_ended_with_force() {
    let script =
        r#"cat > /dev/null; trap '' TERM; printf '{"pid":%d}\n' $$; while :; do sleep 1000; done"#;
    let setting = Setting::new(script);
    let (driver, id) = (&setting.driver, Uuid::now_v7());
    let mut gone = driver.gone().unwrap();
    driver.start(workload(id, b"x")).await.unwrap();
    let pid = setting.named(id).await;
    // Its child holds the lock as an init does that outlives its supervisor.
    let children = format!("/proc/{pid}/task/{pid}/children");
    let child: i32 = loop {
        if let Some(child) = std::fs::read_to_string(&children).unwrap().split(' ').next()
            && let Ok(child) = child.parse()
        {
            break child;
        }
        tokio::time::sleep(LOOK).await;
    };
    let still = driver.stop(id).await.unwrap_err();
    assert!(matches!(still, DriverError::StillThere { .. }), "{still}");
    assert!(driver.delete(id).await.is_err());
    assert!(driver.directory(id).exists());
    assert!(
        gone.recv().await.unwrap().how.contains("signal 9; a part of the sandbox is still there")
    );
    let child = rustix::process::Pid::from_raw(child).unwrap();
    rustix::process::kill_process(child, Signal::KILL).unwrap();
    assert!(watch::free(&Place::new(driver.directory(id)), REST).await.unwrap());
    driver.delete(id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_start_at_once_and_one_runs_per_sandbox() {
    let setting = Setting::new(OBEDIENT);
    let driver = &setting.driver;
    let ids: Vec<Uuid> = (0..50).map(|_| Uuid::now_v7()).collect();
    // All are begun before the first is waited for.
    let mut running = JoinSet::new();
    for id in ids.iter().chain(&ids) {
        let inner = Arc::clone(&driver.inner);
        let workload = workload(*id, b"x");
        running.spawn(async move { inner.start(workload).await });
    }
    for started in running.join_all().await {
        started.unwrap();
    }
    for id in &ids {
        setting.named(*id).await;
    }
    let found = driver.adopt().await.unwrap();
    assert_eq!(found, ids.iter().map(|id| Found { id: *id, running: true }).collect::<Vec<_>>());
    let told = std::fs::read_dir(setting.dir.path()).unwrap();
    let told =
        told.filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with("told"));
    assert_eq!(told.count(), 50);
    for id in ids {
        driver.delete(id).await.unwrap();
    }
    driver.removals().await;
    assert_eq!(count(&setting.dir.path().join("sandboxes")), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_outlives_the_process_of_its_driver_and_is_found_again() {
    const HOLDER: &str = "NAVIGATOR_TEST_HOLDER";
    let test = "local::tests::a_supervisor_outlives_the_process_of_its_driver_and_is_found_again";
    if let Some(dir) = std::env::var_os(HOLDER) {
        let dir = PathBuf::from(dir);
        let driver = driver(&dir, dir.join("program"));
        driver.start(workload(Uuid::max(), b"x")).await.unwrap();
        std::fs::write(dir.join("started"), "").unwrap();
        std::future::pending::<()>().await;
    }
    let setting = Setting::new(OBEDIENT);
    let (driver, id) = (&setting.driver, Uuid::max());
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(HOLDER, setting.dir.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while !setting.dir.path().join("started").exists() {
        assert!(holder.try_wait().unwrap().is_none());
        tokio::time::sleep(LOOK).await;
    }
    holder.kill().unwrap();
    holder.wait().unwrap();
    let mut gone = driver.gone().unwrap();
    assert_eq!(driver.adopt().await.unwrap(), [Found { id, running: true }]);
    assert_eq!(driver.adopt().await.unwrap(), [Found { id, running: true }]);
    let pid = rustix::process::Pid::from_raw(setting.pid(id)).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
    assert_eq!(gone.recv().await.unwrap().id, id);
    assert_eq!(driver.adopt().await.unwrap(), [Found { id, running: false }]);
    driver.start(workload(id, b"x")).await.unwrap();
    driver.delete(id).await.unwrap();
    assert_eq!(gone.recv().await.unwrap().id, id);
    assert!(gone.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_got_an_old_id_is_neither_watched_nor_ended() {
    let setting = Setting::new(OBEDIENT);
    let (driver, id) = (&setting.driver, Uuid::now_v7());
    let place = Place::new(driver.directory(id));
    place.make().unwrap();
    let mut innocent = Command::new("sleep").arg("1000").spawn().unwrap();
    let mut lock = place.take().unwrap().unwrap();
    writeln!(lock, "{{\"pid\":{}}}", innocent.id()).unwrap();
    assert!(matches!(look(&place).unwrap(), Look::Nobody));
    assert!(matches!(driver.stop(id).await, Err(DriverError::StillThere { .. })));
    assert!(innocent.try_wait().unwrap().is_none());
    drop(lock);
    driver.stop(id).await.unwrap();
    assert_eq!(driver.adopt().await.unwrap(), [Found { id, running: false }]);
    assert!(innocent.try_wait().unwrap().is_none());
    innocent.kill().unwrap();
    innocent.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_file_with_garbage_is_an_error_while_it_is_held_and_nothing_otherwise() {
    let setting = Setting::new(OBEDIENT);
    let (driver, id) = (&setting.driver, Uuid::now_v7());
    let place = Place::new(driver.directory(id));
    place.make().unwrap();
    for garbage in ["{\"pid\":1}\n", "{\"pid\":-5}\n", "\u{0}\n", "[1]\n", &"9".repeat(5000)] {
        let mut lock = place.take().unwrap().unwrap();
        lock.write_all(garbage.as_bytes()).unwrap();
        assert_eq!(place.said().unwrap(), Said::Garbage, "{garbage:?}");
        assert_eq!(driver.adopt().await.unwrap(), [Found { id, running: true }]);
        assert!(matches!(driver.stop(id).await, Err(DriverError::System { .. })), "{garbage:?}");
    }
    driver.start(workload(id, b"x")).await.unwrap();
    driver.delete(id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_half_removed_is_no_sandbox_and_goes_when_the_driver_starts() {
    let setting = Setting::new(OBEDIENT);
    let (driver, sandboxes) = (&setting.driver, setting.dir.path().join("sandboxes"));
    std::fs::create_dir_all(sandboxes.join(format!(".removing-{}/1/x", Uuid::now_v7()))).unwrap();
    std::fs::create_dir_all(sandboxes.join("something-else")).unwrap();
    std::fs::write(sandboxes.join(Uuid::now_v7().to_string()), "a file").unwrap();
    assert_eq!(driver.adopt().await.unwrap(), []);
    driver.removals().await;
    assert_eq!(count(&sandboxes), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_descriptors_left_is_an_error_and_leaves_no_process() {
    let setting = Setting::new(OBEDIENT);
    let (driver, id) = (&setting.driver, Uuid::now_v7());
    // Whatever can be opened is opened, then one after the other is given back until a start works.
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = Some(128);
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    let mut taken: Vec<_> = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect();
    let mut refused = 0;
    while let Err(error) = driver.start(workload(id, b"x")).await {
        assert!(matches!(error, DriverError::System { .. }), "{error}");
        assert_eq!(Arc::strong_count(&driver.inner.slot(id).place), 1);
        taken.pop().unwrap();
        refused += 1;
    }
    assert!(refused > 3, "{refused}");
    drop(taken);
    assert!(driver.runs(id).await.unwrap());
    driver.delete(id).await.unwrap();
}
