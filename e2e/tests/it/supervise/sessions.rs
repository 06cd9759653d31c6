//! The session: hello, reconnecting, and what ends it.

use navigator_proto::datamodel::v1::{SandboxTemplate, SkippedPath};
use navigator_proto::session::v1::hello::State;

use super::execs::ready;
use super::peer::{Peer, command, shell};
use super::supervisor::{Supervisor, launch, socket};
use crate::harness::{as_everyone, eventually, processes_with};

#[test]
fn the_hello_says_what_is_in_force() {
    as_everyone(|case| {
        let (_peer, supervisor, joined) = ready(case);
        assert!(!joined.hello.version.is_empty());
        let Some(State::Running(running)) = &joined.hello.state else {
            panic!("{:?}", joined.hello)
        };
        for wanted in ["namespaces", "mounts", "landlock", "seccomp", "privileges"] {
            assert!(running.layers.iter().any(|layer| layer.name == wanted), "{wanted}");
        }
        let skipped = |path: &SkippedPath| path.path == "/libx32" && !path.reason.is_empty();
        assert!(running.skipped_paths.iter().any(skipped), "{:?}", running.skipped_paths);
        assert_eq!(supervisor.lock(), format!("{{\"pid\":{}}}\n", supervisor.pid()));
        assert!(supervisor.is_locked());
    });
}

#[test]
fn a_discovered_policy_is_told_until_it_has_a_number() {
    as_everyone(|case| {
        let (peer, _supervisor, joined) = ready(case);
        assert_eq!(joined.hello.policy_version, 0);
        let files = joined.hello.discovered_policy.clone().unwrap().filesystem.unwrap();
        assert!(files.read_write.contains(&"/sandbox".to_owned()));
        // An answer of a process comes after the welcome was heard.
        assert_eq!(peer.block_on("it ends", joined.run(command(&["true"]))).code, 0);
        drop((peer, joined));
        let again = Peer::start(&socket(case)).joined();
        assert_eq!((again.hello.policy_version, again.hello.discovered_policy), (1, None));
    });
}

#[test]
fn a_root_filesystem_may_bring_its_policy() {
    as_everyone(|case| {
        let peer = Peer::start(&socket(case));
        let mut launch = launch(case);
        let root = case.directory("root");
        std::fs::create_dir_all(root.join("etc/navigator")).unwrap();
        let text = "version: 1\nfilesystem_policy: { read_only: [/usr], read_write: [/sandbox] }\n";
        std::fs::write(root.join("etc/navigator/policy.yaml"), text).unwrap();
        for directory in ["usr/bin", "etc"] {
            std::fs::create_dir_all(root.join(directory)).unwrap();
        }
        let image = root.to_str().unwrap().to_owned();
        launch.spec.as_mut().unwrap().template =
            Some(SandboxTemplate { image, ..SandboxTemplate::default() });
        let (_supervisor, joined) = Supervisor::joined(case, &peer, &launch);
        let found = joined.hello.discovered_policy.unwrap().filesystem.unwrap();
        assert_eq!(found.read_only, ["/usr"]);
    });
}

#[test]
fn the_sandbox_goes_on_while_the_gateway_is_away_and_joins_it_again() {
    as_everyone(|case| {
        let (peer, supervisor, joined) = ready(case);
        let (mine, background) =
            (format!("71{}", std::process::id()), format!("72{}", std::process::id()));
        let script = format!("sleep {background} >/dev/null 2>&1 &");
        peer.block_on("it ends", joined.run(shell(&script)));
        let mut call =
            peer.block_on("it starts", joined.exec(shell(&format!("echo on; sleep {mine}"))));
        peer.block_on("it runs", call.until("on"));
        drop((peer, joined));
        // Its client is gone; what the sandbox does by itself is not.
        eventually("what was asked for is gone", || processes_with(&mine).is_empty());
        assert_eq!(processes_with(&background).len(), 1);
        let peer = Peer::start(&socket(case));
        let joined = peer.joined();
        assert_eq!(peer.block_on("it ends", joined.run(shell("exit 9"))).code, 9);
        assert!(supervisor.is_locked());
    });
}

#[test]
fn a_gateway_that_does_not_know_the_sandbox_ends_it() {
    as_everyone(|case| {
        for code in
            [tonic::Code::Unauthenticated, tonic::Code::NotFound, tonic::Code::PermissionDenied]
        {
            let (peer, supervisor, joined) = ready(case);
            let marker = format!("73{}", std::process::id());
            let script = format!("setsid sleep {marker} >/dev/null 2>&1 &");
            peer.block_on("it ends", joined.run(shell(&script)));
            drop((peer, joined));
            let _peer = Peer::refusing(&socket(case), code);
            let status = supervisor.ended();
            assert_eq!(status.code(), Some(125), "{code:?}");
            assert!(processes_with(&marker).is_empty());
        }
    });
}

#[test]
fn a_sandbox_that_cannot_start_says_why() {
    as_everyone(|case| {
        let mut launch = launch(case);
        let image = "/no/such/root".to_owned();
        launch.spec.as_mut().unwrap().template =
            Some(SandboxTemplate { image, ..SandboxTemplate::default() });
        let supervisor = Supervisor::start(case, &launch);
        // The gateway comes later, and is told all the same.
        eventually("it said so on standard error or waits", || supervisor.lock().ends_with('\n'));
        let peer = Peer::start(&socket(case));
        let joined = peer.joined();
        let Some(State::Failure(failure)) = &joined.hello.state else {
            panic!("{:?}", joined.hello)
        };
        assert_eq!(failure.reason, "InvalidLaunch");
        assert!(failure.message.contains("/no/such/root"), "{}", failure.message);
        let log = case.path("supervisor.log");
        assert_eq!(supervisor.ended().code(), Some(125));
        assert!(std::fs::read_to_string(log).unwrap().contains("/no/such/root"));
    });
}
