//! Many processes at once: each has its own streams, and everything is freed afterwards.

use navigator_proto::session::v1::to_process;
use navigator_proto::v1::ExecStdinEnd;

use super::execs::ready;
use super::peer::{Joined, command};
use crate::harness::{as_everyone, eventually};

/// Runs so many at once, each of which gets its own number back.
async fn echo(joined: &Joined, number: usize) {
    let mut calls = vec![];
    for _ in 0..number {
        calls.push(joined.exec(command(&["cat"])).await);
    }
    for (number, call) in calls.iter().enumerate() {
        call.stdin(format!("I am {number}").as_bytes()).await;
    }
    // The last ends first: the end of its input reaches it whatever the others hold open.
    for (number, call) in calls.into_iter().enumerate().rev() {
        call.send(to_process::Message::StdinEnd(ExecStdinEnd {})).await;
        let end = call.end().await;
        assert_eq!((end.code, end.stdout), (0, format!("I am {number}")));
    }
}

#[test]
fn fifty_at_once_do_not_disturb_each_other() {
    as_everyone(|case| {
        let (peer, _supervisor, joined) = ready(case);
        peer.block_on("all end", echo(&joined, 50));
        assert_eq!(peer.waiting(), 0);
    });
}

#[test]
fn after_two_hundred_at_once_everything_is_freed() {
    as_everyone(|case| {
        let (peer, supervisor, joined) = ready(case);
        peer.block_on("one ends", echo(&joined, 1));
        let before = supervisor.descriptors();
        peer.block_on("all end", echo(&joined, 200));
        if before.is_none() && !rustix::process::geteuid().is_root() {
            println!("skipped: only root may look at a supervisor's descriptors");
            return;
        }
        eventually("all descriptors are closed", || {
            supervisor.descriptors() == before && before.is_some()
        });
    });
}
