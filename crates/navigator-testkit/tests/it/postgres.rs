//! The PostgreSQL server for tests comes and goes.

use std::process::{Command, Stdio};

use navigator_testkit::Postgres;

#[test]
fn a_server_is_gone_with_its_owner() {
    let server = Postgres::start().unwrap();
    let dir = server.directory().to_owned();
    let url = server.database().unwrap();
    assert_ne!(url, server.database().unwrap());
    assert!(dir.join("data/postmaster.pid").exists());
    drop(server);
    assert!(!dir.exists());
}

#[test]
fn a_server_is_gone_when_its_owner_is_killed() {
    let mut owner = Command::new(std::env::current_exe().unwrap());
    owner.args(["--exact", "--ignored", "--nocapture", "postgres::owns_a_server"]);
    let mut owner = owner.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(owner.stdout.take().unwrap()));
    let dir = lines.find_map(|line| line.unwrap().strip_prefix("server ").map(str::to_owned));
    let dir = std::path::PathBuf::from(dir.expect("the owner says where its server is"));
    let server = std::fs::read_to_string(dir.join("data/postmaster.pid")).unwrap();
    let server = server.lines().next().unwrap().parse().unwrap();
    let server = rustix::process::Pid::from_raw(server).unwrap();
    let handle = rustix::process::pidfd_open(server, rustix::process::PidfdFlags::empty()).unwrap();
    owner.kill().unwrap();
    owner.wait().unwrap();
    // The handle can be read when the process is gone.
    let mut ends = [rustix::event::PollFd::new(&handle, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut ends, None).unwrap();
    while dir.exists() {
        std::thread::yield_now();
    }
}

#[test]
#[ignore = "another test runs and kills it"]
fn owns_a_server() {
    let server = Postgres::start().unwrap();
    println!("\nserver {}", server.directory().display());
    std::io::Read::read(&mut std::io::stdin(), &mut [0]).unwrap();
}
