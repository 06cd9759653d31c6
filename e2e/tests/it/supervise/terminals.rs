//! Terminals: each process has its own, with its size, its signals and its jobs.

use navigator_proto::session::v1::to_process;
use navigator_proto::v1::{ExecStart, TerminalSize};

use super::execs::ready;
use super::peer::shell;
use crate::harness::{as_everyone, eventually, processes_with};

fn on_terminal(script: &str, rows: u32, columns: u32) -> ExecStart {
    ExecStart {
        terminal: Some(TerminalSize { rows, columns }),
        term: "vt100".into(),
        ..shell(script)
    }
}

#[test]
fn two_at_once_have_their_own_sizes_and_names() {
    as_everyone(|case| {
        let (peer, _supervisor, joined) = ready(case);
        let script = "tty; stty size; echo $TERM; read line; stty size; echo got $line >&2";
        peer.block_on("both end", async {
            let mut one = joined.exec(on_terminal(script, 30, 100)).await;
            let mut other = joined.exec(on_terminal(script, 40, 120)).await;
            let (first, second) = (one.until("vt100").await, other.until("vt100").await);
            assert!(first.contains("30 100") && second.contains("40 120"), "{first} {second}");
            let name = |text: &str| text.lines().next().unwrap().to_owned();
            assert_ne!(name(&first), name(&second));
            let size = TerminalSize { rows: 50, columns: 132 };
            one.send(to_process::Message::Resize(size)).await;
            one.stdin(b"hello\n").await;
            other.stdin(b"bye\n").await;
            let (first, second) = (one.end().await, other.end().await);
            assert!(first.stdout.contains("50 132\r\ngot hello\r\n"), "{first:?}");
            assert!(second.stdout.contains("40 120\r\ngot bye\r\n"), "{second:?}");
            assert_eq!((first.code, second.code), (0, 0));
        });
    });
}

#[test]
fn control_c_reaches_the_foreground_of_its_own_terminal_only() {
    as_everyone(|case| {
        let (peer, _supervisor, joined) = ready(case);
        let script = "trap 'echo caught; exit 3' INT; echo on; while :; do sleep 0.05; done";
        peer.block_on("both end", async {
            let mut one = joined.exec(on_terminal(script, 24, 80)).await;
            let mut other = joined.exec(on_terminal(script, 24, 80)).await;
            one.until("on").await;
            other.until("on").await;
            one.stdin(&[3]).await;
            let end = one.end().await;
            assert_eq!(end.code, 3);
            assert!(end.stdout.contains("caught"), "{end:?}");
            other.send(to_process::Message::Signal(9)).await;
            let end = other.end().await;
            assert_eq!(end.code, 137);
            assert!(!end.stdout.contains("caught"), "{end:?}");
        });
    });
}

#[test]
fn a_shell_has_jobs() {
    as_everyone(|case| {
        let (peer, _supervisor, joined) = ready(case);
        let marker = format!("92{}", std::process::id());
        peer.block_on("it ends", async {
            let start = on_terminal("exec bash --norc --noprofile -i", 24, 80);
            let mut call = joined.exec(start).await;
            // In two parts, so that the echo is not taken for the prompt.
            call.stdin(b"PS1='rea''dy> '\n").await;
            call.until("ready> ").await;
            call.stdin(format!("sleep {marker}\n").as_bytes()).await;
            eventually("it runs", || !processes_with(&marker).is_empty());
            call.stdin(b"\x1a").await;
            call.until("Stopped").await;
            call.stdin(b"kill -9 %1; disown -a; exit 6\n").await;
            let end = call.end().await;
            assert_eq!(end.code, 6, "{end:?}");
        });
    });
}

#[test]
fn a_terminal_that_is_left_kills_what_runs_on_it() {
    as_everyone(|case| {
        let (peer, _supervisor, joined) = ready(case);
        let marker = format!("91{}", std::process::id());
        let script = format!("set -m; sleep {marker} & echo on; sleep {marker}");
        let mut call = peer.block_on("it starts", joined.exec(on_terminal(&script, 24, 80)));
        peer.block_on("it runs", call.until("on"));
        drop(call);
        eventually("its processes are gone", || processes_with(&marker).is_empty());
    });
}
