//! The local gateway, started by whoever needs it first.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use navigator_client::{Gateway, LaunchError, Launcher, Places, Reach, ensure_running};
use navigator_testkit::gateway::serve_accepted;

use crate::block_on;

/// Names the directory in which [`becomes_a_gateway`] serves.
const DIRECTORY: &str = "NAVIGATOR_TEST_GATEWAY";

fn places(dir: &Path) -> Places {
    Places { config: dir.join("config"), state: dir.join("state"), runtime: dir.to_owned() }
}

fn local(places: &Places) -> Gateway {
    Gateway { name: "local".into(), reach: Reach::Local(places.socket()) }
}

fn shell(script: &str) -> Launcher {
    Launcher { program: "/bin/sh".into(), arguments: ["-c", script].map(OsString::from).into() }
}

/// Not a test by itself: the process that is started as gateway. It serves until the directory's `alive` is removed.
#[test]
fn becomes_a_gateway() {
    let Some(dir) = std::env::var_os(DIRECTORY) else { return };
    let dir = Path::new(&dir);
    std::fs::write(dir.join(format!("started.{}", std::process::id())), "").unwrap();
    block_on(async {
        let (accepted, incoming) = tokio::sync::mpsc::channel(1);
        let listener = tokio::net::UnixListener::bind(dir.join("gateway.sock")).unwrap();
        let server = tokio::spawn(serve_accepted(incoming));
        while dir.join("alive").exists() {
            let next = tokio::time::timeout(Duration::from_millis(20), listener.accept()).await;
            if let Ok(Ok((stream, _))) = next {
                accepted.send(Ok(stream)).await.unwrap();
            }
        }
        server.abort();
    });
}

/// This program, run as gateway.
fn launcher(dir: &Path) -> Launcher {
    let program = std::env::current_exe().unwrap();
    shell(&format!(
        "{DIRECTORY}={} exec {} --exact launch::becomes_a_gateway --nocapture",
        dir.display(),
        program.display()
    ))
}

/// Ends the gateway of a directory and waits until it has.
fn end(dir: &Path) {
    std::fs::remove_file(dir.join("alive")).unwrap();
    while std::os::unix::net::UnixStream::connect(dir.join("gateway.sock")).is_ok() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn twenty_clients_at_once_start_exactly_one() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("alive"), "").unwrap();
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let dir = dir.path().to_owned();
            std::thread::spawn(move || {
                let places = places(&dir);
                block_on(ensure_running(&local(&places), &places, &launcher(&dir))).map(drop)
            })
        })
        .collect();
    let results: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    let files = std::fs::read_dir(dir.path()).unwrap().flatten();
    let names = files.map(|file| file.file_name().to_string_lossy().into_owned());
    let started = names.filter(|name| name.starts_with("started.")).count();
    end(dir.path());
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(started, 1);
}

#[test]
fn one_that_ends_at_once_is_told_with_its_last_words_only() {
    let dir = tempfile::tempdir().unwrap();
    let places = places(dir.path());
    for script in ["echo before; exit 1", "echo no room >&2; exit 7"] {
        let result = block_on(ensure_running(&local(&places), &places, &shell(script))).map(drop);
        let Err(LaunchError::Ended { status, log, last_words }) = result else {
            panic!("{result:?}")
        };
        assert_eq!(log, places.log());
        assert!(matches!(
            (status.code(), last_words.as_str()),
            (Some(1), "before") | (Some(7), "no room")
        ));
    }
    let mut text = String::new();
    std::fs::File::open(places.log()).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "before\nno room\n");
    let mode = std::fs::metadata(places.log()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn one_that_writes_without_end_is_quoted_with_a_bound() {
    let dir = tempfile::tempdir().unwrap();
    let places = places(dir.path());
    let script = "head -c 100000 /dev/zero | tr '\\0' x; exit 1";
    let result = block_on(ensure_running(&local(&places), &places, &shell(script))).map(drop);
    let Err(LaunchError::Ended { last_words, .. }) = result else { panic!("{result:?}") };
    assert_eq!(last_words.len(), 2048);
}

#[test]
fn a_program_or_a_directory_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let none = Launcher { program: "/no/such/program".into(), arguments: vec![] };
    let good = places(dir.path());
    let result = block_on(ensure_running(&local(&good), &good, &none)).map(drop).unwrap_err();
    assert!(result.to_string().contains("run /no/such/program"), "{result}");
    let bad = places(Path::new("/proc/navigator-test"));
    let result = block_on(ensure_running(&local(&bad), &bad, &none)).map(drop).unwrap_err();
    assert!(result.to_string().contains("lock /proc/navigator-test/state"), "{result}");
}

#[test]
fn a_socket_that_somebody_left_behind_is_no_gateway() {
    let dir = tempfile::tempdir().unwrap();
    let places = places(dir.path());
    drop(std::os::unix::net::UnixListener::bind(places.socket()).unwrap());
    let result = block_on(ensure_running(&local(&places), &places, &shell("exit 3"))).map(drop);
    assert!(matches!(result, Err(LaunchError::Ended { .. })), "{result:?}");
}
