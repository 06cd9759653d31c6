//! How a sandbox that lives ends, and what is left: its home and nothing else.

use navigator_proto::session::v1::{Stop, from_supervisor, to_supervisor};
use rustix::process::Signal;

use super::execs::ready;
use super::peer::{Joined, Peer, shell};
use super::supervisor::{Supervisor, home, launch, socket};
use crate::harness::{as_everyone, eventually, processes_with};

/// Tells it to stop and waits for its last words.
fn stop(peer: &Peer, mut joined: Joined, grace_ms: u32) {
    peer.block_on("the sandbox ends", async {
        joined.tell(to_supervisor::Message::Stop(Stop { grace_ms })).await;
        assert!(matches!(joined.message().await, from_supervisor::Message::Ended(_)));
        assert!(joined.next().await.is_none(), "something came after the end");
    });
}

#[test]
fn a_stop_gives_processes_time_to_end() {
    as_everyone(|case| {
        let (peer, supervisor, joined) = ready(case);
        let script = "trap 'echo saved; exit 4' TERM; echo on; while :; do sleep 0.05; done";
        let mut call = peer.block_on("it starts", joined.exec(shell(script)));
        peer.block_on("it runs", call.until("on"));
        let stopping = std::thread::scope(|scope| {
            let end = scope.spawn(|| peer.block_on("it ends", call.end()));
            stop(&peer, joined, 60_000);
            end.join().unwrap()
        });
        assert_eq!((stopping.code, stopping.stdout.as_str()), (4, "saved\n"));
        assert_eq!(supervisor.ended().code(), Some(0));
    });
}

#[test]
fn what_does_not_end_by_itself_is_killed_with_all_that_it_left_behind() {
    as_everyone(|case| {
        let (peer, supervisor, joined) = ready(case);
        let marker = format!("81{}", std::process::id());
        let script =
            format!("trap '' TERM; setsid sleep {marker} & sleep {marker} & echo on; wait");
        let mut call = peer.block_on("it starts", joined.exec(shell(&script)));
        peer.block_on("it runs", call.until("on"));
        let end = std::thread::scope(|scope| {
            let end = scope.spawn(|| peer.block_on("it ends", call.end()));
            stop(&peer, joined, 200);
            end.join().unwrap()
        });
        assert_eq!(end.code, 137);
        assert_eq!(supervisor.ended().code(), Some(0));
        assert!(processes_with(&marker).is_empty());
    });
}

#[test]
fn a_termination_signal_ends_the_sandbox_as_a_stop_does() {
    as_everyone(|case| {
        let (peer, supervisor, mut joined) = ready(case);
        let marker = format!("82{}", std::process::id());
        peer.block_on(
            "it ends",
            joined.run(shell(&format!("setsid sleep {marker} >/dev/null 2>&1 &"))),
        );
        supervisor.signal(Signal::TERM);
        let last = peer.block_on("the sandbox ends", joined.message());
        assert!(matches!(last, from_supervisor::Message::Ended(_)));
        assert_eq!(supervisor.ended().code(), Some(0));
        assert!(processes_with(&marker).is_empty());
    });
}

#[test]
fn a_termination_signal_ends_the_sandbox_without_a_gateway_too() {
    as_everyone(|case| {
        let (peer, supervisor, joined) = ready(case);
        drop((peer, joined));
        supervisor.signal(Signal::TERM);
        assert_eq!(supervisor.ended().code(), Some(0));
    });
}

#[test]
fn a_killed_supervisor_leaves_nothing() {
    as_everyone(|case| {
        let (peer, supervisor, joined) = ready(case);
        let marker = format!("83{}", std::process::id());
        let script = format!("setsid sleep {marker} & sleep {marker} & echo on; wait");
        let mut call = peer.block_on("it starts", joined.exec(shell(&script)));
        peer.block_on("it runs", call.until("on"));
        let init = supervisor.init();
        supervisor.signal(Signal::KILL);
        eventually("its processes are gone", || processes_with(&marker).is_empty());
        eventually("its init is gone", || !std::path::Path::new(&format!("/proc/{init}")).exists());
        eventually("its lock is free", || !supervisor.is_locked());
    });
}

#[test]
fn a_killed_init_ends_the_supervisor() {
    as_everyone(|case| {
        let (_peer, supervisor, _joined) = ready(case);
        let init = i32::try_from(supervisor.init()).unwrap();
        let init = rustix::process::Pid::from_raw(init).unwrap();
        rustix::process::kill_process(init, Signal::KILL).unwrap();
        let log = case.path("supervisor.log");
        assert_eq!(supervisor.ended().code(), Some(125));
        assert!(std::fs::read_to_string(log).unwrap().contains("init was killed"));
    });
}

#[test]
fn the_home_directory_outlives_the_sandbox() {
    as_everyone(|case| {
        let (peer, supervisor, joined) = ready(case);
        let script =
            "echo kept >note; mkdir dir; chmod 700 dir; echo x >/tmp/gone; stat -c %u note";
        let end = peer.block_on("it ends", joined.run(shell(script)));
        assert_eq!((end.code, end.stdout.as_str()), (0, "1000\n"), "{}", end.stderr);
        stop(&peer, joined, 1000);
        assert_eq!(supervisor.ended().code(), Some(0));
        assert_eq!(std::fs::read_to_string(home(case).join("note")).unwrap(), "kept\n");
        let (_supervisor, joined) = Supervisor::joined(case, &peer, &launch(case));
        let script = "cat note; echo more >>note; touch dir/x; ls /tmp | wc -l; id -un";
        let end = peer.block_on("it ends", joined.run(shell(script)));
        assert_eq!((end.code, end.stdout.as_str()), (0, "kept\n0\nsandbox\n"), "{}", end.stderr);
    });
}

#[test]
fn what_is_mounted_in_the_home_directory_is_there_again() {
    use navigator_proto::datamodel::v1::Mount;
    as_everyone(|case| {
        let peer = Peer::start(&socket(case));
        let mut launch = launch(case);
        let project = case.directory("project");
        launch.spec.as_mut().unwrap().mounts = vec![Mount {
            source: project.to_str().unwrap().into(),
            destination: "/sandbox/src/project".into(),
            read_only: false,
        }];
        for round in 0..2 {
            let (supervisor, joined) = Supervisor::joined(case, &peer, &launch);
            let script = format!("pwd; echo {round} >made; echo {round} >/sandbox/own");
            let end = peer.block_on("it ends", joined.run(shell(&script)));
            assert_eq!(
                (end.code, end.stdout.as_str()),
                (0, "/sandbox/src/project\n"),
                "{}",
                end.stderr
            );
            assert_eq!(
                std::fs::read_to_string(project.join("made")).unwrap(),
                format!("{round}\n")
            );
            stop(&peer, joined, 1000);
            assert_eq!(supervisor.ended().code(), Some(0));
        }
        let _socket = socket(case);
    });
}
