//! Processes in a sandbox that lives: streams, exit codes, time limits, back-pressure.

use navigator_proto::session::v1::{from_process, to_process};
use navigator_proto::v1::{ExecStart, ExecStdinEnd};

use super::peer::{End, Peer, command, shell};
use super::supervisor::{Supervisor, launch, socket};
use crate::harness::{Case, as_everyone, eventually, processes_with};

/// A gateway and a sandbox that is ready.
pub(super) fn ready(case: &Case) -> (Peer, Supervisor, super::peer::Joined) {
    let peer = Peer::start(&socket(case));
    let (supervisor, joined) = Supervisor::joined(case, &peer, &launch(case));
    (peer, supervisor, joined)
}

#[test]
fn exit_codes_and_streams_arrive_as_they_are() {
    as_everyone(|case| {
        let (peer, _supervisor, joined) = ready(case);
        let run = |start: ExecStart| peer.block_on("a process ends", joined.run(start));
        let end = run(shell("echo out; echo err >&2; exit 7"));
        let expected =
            End { code: 7, stdout: "out\n".into(), stderr: "err\n".into(), failure: String::new() };
        assert_eq!(end, expected);
        assert_eq!(run(shell("kill -TERM $$")).code, 143);
        assert_eq!(run(command(&["no-such-program"])).code, 127);
        assert_eq!(run(command(&["/etc/passwd"])).code, 126);
        let refused = run(command(&[]));
        assert_eq!((refused.code, refused.failure.as_str()), (125, "the command is empty"));
        let lost = run(ExecStart { workdir: "/no/such".into(), ..command(&["true"]) });
        assert_eq!(lost.code, 126, "{}", lost.failure);
    });
}

#[test]
fn a_process_has_the_environment_and_directory_that_it_was_given() {
    as_everyone(|case| {
        let peer = Peer::start(&socket(case));
        let mut launch = launch(case);
        launch.provider_environment = [("A", "provider"), ("B", "provider"), ("C", "provider")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        launch.spec.as_mut().unwrap().environment = [("A", "spec"), ("B", "spec")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let (_supervisor, joined) = Supervisor::joined(case, &peer, &launch);
        let start = ExecStart {
            environment: [("A".to_owned(), "own".to_owned())].into(),
            workdir: "/tmp".into(),
            ..shell("echo $A $B $C $NAVIGATOR_SANDBOX_NAME $HOME; pwd")
        };
        let end = peer.block_on("it ends", joined.run(start));
        assert_eq!(end.stdout, "own spec provider e2e /sandbox\n/tmp\n");
        let end = peer.block_on("it ends", joined.run(shell("pwd; echo $C; env | grep -c TOKEN")));
        assert_eq!(end.stdout, "/sandbox\nprovider\n0\n");
        let changed = navigator_proto::session::v1::ProviderEnvironment {
            environment: [("C".to_owned(), "changed".to_owned())].into(),
        };
        let message =
            navigator_proto::session::v1::to_supervisor::Message::ProviderEnvironment(changed);
        peer.block_on("it is told", joined.tell(message));
        let end = peer.block_on("it ends", joined.run(shell("echo $C")));
        assert_eq!(end.stdout, "changed\n");
    });
}

#[test]
fn what_is_piped_in_arrives_whole_and_ends() {
    as_everyone(|case| {
        let (peer, _supervisor, joined) = ready(case);
        let end = peer.block_on("it ends", async {
            let call = joined.exec(command(&["sha256sum"])).await;
            for _ in 0..200 {
                call.stdin(&[b'x'; 50_000]).await;
            }
            call.send(to_process::Message::StdinEnd(ExecStdinEnd {})).await;
            call.end().await
        });
        // Of ten million `x`.
        let expected = std::process::Command::new("sh")
            .args(["-c", "head -c 10000000 /dev/zero | tr '\\0' x | sha256sum"])
            .output();
        assert_eq!(end.stdout, String::from_utf8(expected.unwrap().stdout).unwrap());
    });
}

#[test]
fn when_the_time_is_over_the_whole_group_is_killed() {
    as_everyone(|case| {
        let (peer, _supervisor, joined) = ready(case);
        let marker = format!("61{}", std::process::id());
        // The second is in a group of its own, as the jobs of a shell are.
        let script = format!("sleep {marker} & set -m; sleep {marker} & echo on; wait");
        let start = ExecStart { timeout_seconds: 1, ..shell(&script) };
        let end = peer.block_on("it ends", joined.run(start));
        assert_eq!((end.code, end.stdout.as_str()), (124, "on\n"));
        eventually("its processes are gone", || processes_with(&marker).is_empty());
    });
}

#[test]
fn when_the_gateway_breaks_off_the_group_is_killed() {
    as_everyone(|case| {
        let (peer, _supervisor, joined) = ready(case);
        let marker = format!("62{}", std::process::id());
        let script = format!("sleep {marker} & echo on; sleep {marker}");
        let mut call = peer.block_on("it starts", joined.exec(shell(&script)));
        peer.block_on("it runs", call.until("on"));
        drop(call);
        eventually("its processes are gone", || processes_with(&marker).is_empty());
        // The session goes on.
        assert_eq!(peer.block_on("it ends", joined.run(command(&["true"]))).code, 0);
    });
}

#[test]
fn a_signal_goes_to_the_process_that_it_is_for() {
    as_everyone(|case| {
        let (peer, _supervisor, joined) = ready(case);
        let script = "trap 'echo caught; exit 3' INT; echo on; while :; do sleep 0.05; done";
        let (mut one, mut other) = peer.block_on("both start", async {
            (joined.exec(shell(script)).await, joined.exec(shell(script)).await)
        });
        let end = peer.block_on("one ends", async {
            one.until("on").await;
            other.until("on").await;
            one.send(to_process::Message::Signal(2)).await;
            one.end().await
        });
        assert_eq!((end.code, end.stdout.as_str()), (3, "caught\n"));
        let end = peer.block_on("the other ends", async {
            other.send(to_process::Message::Signal(9)).await;
            other.end().await
        });
        assert_eq!((end.code, end.stdout.as_str()), (137, ""));
    });
}

#[test]
fn a_process_in_the_background_does_not_hold_up_the_end() {
    as_everyone(|case| {
        let (peer, _supervisor, joined) = ready(case);
        let marker = format!("63{}", std::process::id());
        let end =
            peer.block_on("it ends", joined.run(shell(&format!("sleep {marker} & echo first"))));
        assert_eq!((end.code, end.stdout.as_str()), (0, "first\n"));
        // It is still there: whoever starts something in the background wants that.
        assert_eq!(processes_with(&marker).len(), 1);
        // One that goes on printing does not either.
        let end = peer.block_on("it ends", joined.run(shell("yes & echo $!")));
        let pid = end.stdout.lines().find(|line| *line != "y").unwrap().to_owned();
        assert_eq!(end.code, 0);
        peer.block_on("it is killed", joined.run(command(&["kill", "-9", &pid])));
    });
}

#[test]
fn a_slow_reader_stops_the_process_and_takes_no_memory() {
    as_everyone(|case| {
        let (peer, supervisor, joined) = ready(case);
        let script = "head -c 100000000 /dev/zero; echo done >/sandbox/done; exit 5";
        let mut call = peer.block_on("it starts", joined.exec(shell(script)));
        peer.block_on("it prints", async {
            // Nobody reads: it stops. What it had printed by then is still there afterwards.
            tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        });
        assert!(!super::supervisor::home(case).join("done").exists(), "it was not stopped");
        let (mut length, mut code, mut most) = (0, None, 0);
        peer.block_on("it ends", async {
            while let Some(message) = call.from.message().await.unwrap() {
                match message.message.unwrap() {
                    from_process::Message::Stdout(bytes) => {
                        assert!(bytes.len() <= 64 * 1024);
                        length += bytes.len();
                        most = most.max(supervisor.memory());
                    }
                    from_process::Message::ExitCode(exit) => code = Some(exit),
                    _ => panic!("it printed something else"),
                }
            }
        });
        assert_eq!((length, code), (100_000_000, Some(5)));
        assert!(most < 24 * 1024, "the supervisor took {most} KiB");
    });
}

#[test]
fn what_is_printed_last_is_not_lost() {
    as_everyone(|case| {
        let (peer, _supervisor, joined) = ready(case);
        for _ in 0..20 {
            let end = peer.block_on("it ends", joined.run(shell("head -c 60000 /dev/zero")));
            assert_eq!((end.code, end.stdout.len()), (0, 60_000));
        }
    });
}

#[test]
fn limits_hold_for_everything_in_the_sandbox() {
    use prost_types::value::Kind;
    let value = |kind| prost_types::Value { kind: Some(kind) };
    let of =
        |name: &str, kind| prost_types::Struct { fields: [(name.to_owned(), value(kind))].into() };
    as_everyone(|case| {
        let peer = Peer::start(&socket(case));
        let mut launch = launch(case);
        let mut limits = of("pids", Kind::NumberValue(20.0));
        limits.fields.extend(of("ephemeral-storage", Kind::StringValue("1Mi".into())).fields);
        launch.spec.as_mut().unwrap().template =
            Some(navigator_proto::datamodel::v1::SandboxTemplate {
                resources: Some(of("limits", Kind::StructValue(limits))),
                ..Default::default()
            });
        let (_supervisor, joined) = Supervisor::joined(case, &peer, &launch);
        let script = "head -c 4000000 /dev/zero >/tmp/x 2>/dev/null; [ $(stat -c %s /tmp/x) -le 1048576 ] || exit 1; \
                      for n in $(seq 40); do sleep 5 & done 2>/dev/null; exit 0";
        let end = peer.block_on("it ends", joined.run(shell(script)));
        assert_ne!(end.code, 1, "{end:?}");
        let end = peer.block_on("it ends", joined.run(shell("ls /proc | grep -c '^[0-9]'")));
        // With the shell of the count itself, or without it when there was no room for that.
        assert!(end.stdout.trim().parse::<u32>().is_ok_and(|count| count <= 20) || end.code != 0);
    });
}
