//! What a process of a sandbox that lives can reach: the same as one of `navigator run`, and no secret.

use std::path::Path;

use navigator_proto::session::v1::Launch;
use serde_json::Value;

use super::peer::{Peer, TOKEN, command, shell};
use super::supervisor::{Supervisor, home, launch, socket};
use crate::attacks;
use crate::harness::{Case, as_everyone};

/// Runs a script of `attacks/` in a sandbox that lives.
fn attack(case: &Case, launch: &Launch, script: &str) -> Value {
    let peer = Peer::start(&socket(case));
    let (_supervisor, joined) = Supervisor::joined(case, &peer, launch);
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("attacks");
    let source = std::fs::read_to_string(scripts.join(script)).unwrap();
    // By standard input, as an argument: the home directory stays as it is.
    let end = peer.block_on("it ends", joined.run(command(&["/usr/bin/python3", "-c", &source])));
    serde_json::from_str(&end.stdout).unwrap_or_else(|error| panic!("{error}: {end:?}"))
}

#[test]
fn a_process_has_the_restrictions_of_a_run() {
    as_everyone(|case| {
        let launch = launch(case);
        let kernel = attack(case, &launch, "kernel.py");
        attacks::assert_calls_refused(&kernel);
        attacks::assert_no_privilege(&kernel);
        let files = attack(case, &launch, "files.py");
        attacks::assert_only_granted_files(&files);
        attacks::assert_nothing_of_the_outside(&files);
    });
}

#[test]
fn a_home_that_the_policy_does_not_list_cannot_be_written() {
    as_everyone(|case| {
        let peer = Peer::start(&socket(case));
        let mut launch = launch(case);
        let text = "version: 1\nfilesystem_policy:\n  include_workdir: false\n  \
                    read_only: [/usr, /bin, /lib, /lib64, /etc, /sandbox]\n  read_write: [/tmp, /dev/null]\n";
        launch.spec.as_mut().unwrap().policy = Some(super::supervisor::policy(text));
        launch.policy_version = 1;
        let (_supervisor, joined) = Supervisor::joined(case, &peer, &launch);
        let end = peer.block_on("it ends", joined.run(shell("echo x >/sandbox/x; cat /sandbox/*")));
        assert_ne!(end.code, 0);
        assert!(!home(case).join("x").exists());
    });
}

#[test]
fn the_agent_is_told_where_it_is_unless_it_does_not_want_that() {
    as_everyone(|case| {
        let peer = Peer::start(&socket(case));
        let (supervisor, joined) = Supervisor::joined(case, &peer, &launch(case));
        let script = "cat .navigator/README.md; rm -r .navigator; ln -s /etc .navigator";
        let end = peer.block_on("it ends", joined.run(shell(script)));
        assert!(end.stdout.contains("sandbox named `e2e`"), "{end:?}");
        drop(supervisor);
        let (supervisor, joined) = Supervisor::joined(case, &peer, &launch(case));
        assert_eq!(peer.block_on("it ends", joined.run(command(&["true"]))).code, 0);
        assert!(supervisor.log().contains("not told where it is"), "{}", supervisor.log());
    });
}

#[test]
fn neither_the_lock_nor_the_credential_is_inside() {
    as_everyone(|case| {
        let peer = Peer::start(&socket(case));
        let (supervisor, joined) = Supervisor::joined(case, &peer, &launch(case));
        let script = "ls -l /proc/self/fd | grep -c -e lock -e supervisor; cat /proc/*/environ | \
                      tr '\\0' '\\n' | grep -c credential-d41; grep -rl credential-d41 /etc /tmp /sandbox /dev/shm | wc -l";
        let end = peer.block_on("it ends", joined.run(shell(script)));
        assert_eq!(end.stdout, "0\n0\n0\n", "{}", end.stderr);
        if case.who == crate::harness::Who::Root {
            assert!(!memory_holds(supervisor.init(), TOKEN.as_bytes()), "init has the credential");
            assert!(memory_holds(supervisor.pid(), TOKEN.as_bytes()), "the search finds nothing");
        } else {
            println!("the memory of init: skipped: only root can read it");
        }
        assert!(!supervisor.log().contains(TOKEN));
    });
}

/// Whether some text is anywhere in the memory of a process.
fn memory_holds(pid: u32, text: &[u8]) -> bool {
    use std::os::unix::fs::FileExt;
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let range = |line: &str| {
        let (from, to) = line.split_once(' ')?.0.split_once('-')?;
        let hex = |text| u64::from_str_radix(text, 16).ok();
        Some((hex(from)?, hex(to)?))
    };
    maps.lines().filter(|line| line.contains(" rw")).filter_map(range).any(|(from, to)| {
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        let read = memory.read_at(&mut bytes, from).unwrap_or(0);
        bytes[..read].windows(text.len()).any(|part| part == text)
    })
}
