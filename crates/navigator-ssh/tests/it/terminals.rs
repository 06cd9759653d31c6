//! Sessions with a terminal.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::ExitStatus;

use rustix::termios::{Winsize, tcsetwinsize};
use tokio::process::{Child, Command};

use crate::client::Server;
use crate::local;

/// A client on a terminal of ours.
struct OnTerminal {
    controlling: OwnedFd,
    child: Child,
}

fn size(ws_row: u16, ws_col: u16) -> Winsize {
    Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 }
}

impl OnTerminal {
    fn start(server: &Server, rest: &[&str]) -> Self {
        let (controlling, side) = local::terminal();
        tcsetwinsize(&controlling, size(33, 101)).unwrap();
        let mut command = Command::new("setsid");
        command.args(["--ctty", "ssh", "-t"]).args(server.options()).arg("host").args(rest);
        command.env("TERM", "vt220").kill_on_drop(true);
        command.stdin(side.try_clone().unwrap()).stdout(side.try_clone().unwrap()).stderr(side);
        let child = command.spawn().unwrap();
        Self { controlling, child }
    }

    /// Reads on until the text has been printed.
    async fn expect(&self, text: &'static str) -> String {
        let mut file = std::fs::File::from(self.controlling.try_clone().unwrap());
        let reading = tokio::task::spawn_blocking(move || {
            let (mut seen, mut byte) = (String::new(), [0]);
            while !seen.contains(text) {
                match file.read(&mut byte) {
                    Ok(1) => seen.push(char::from(byte[0])),
                    _ => panic!("the client ended with {seen:?}"),
                }
            }
            seen
        });
        let late = std::time::Duration::from_secs(60);
        tokio::time::timeout(late, reading).await.expect("nothing is printed").unwrap()
    }

    fn type_in(&self, text: &str) {
        let mut file = std::fs::File::from(self.controlling.try_clone().unwrap());
        file.write_all(text.as_bytes()).unwrap();
    }

    async fn end(mut self) -> ExitStatus {
        let late = std::time::Duration::from_secs(60);
        tokio::time::timeout(late, self.child.wait()).await.expect("the client hangs").unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_has_a_kind_a_size_and_is_resized() {
    let server = Server::new();
    let line =
        "trap 'stty size; exit 7' WINCH; echo $TERM; stty size; while :; do sleep 0.02; done";
    let client = OnTerminal::start(&server, &[line]);
    let seen = client.expect("33 101").await;
    assert!(seen.contains("vt220"), "{seen}");
    tcsetwinsize(&client.controlling, size(44, 55)).unwrap();
    client.expect("44 55").await;
    assert_eq!(client.end().await.code(), Some(7));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_interrupt_and_suspend() {
    let server = Server::new();
    let client = OnTerminal::start(&server, &[]);
    client.type_in("PS1=pro''mpt:\n");
    client.expect("prompt:").await;
    // The program in front says so itself.
    client.type_in("sh -c 'echo go-$((2+2)); exec sleep 1000'\n");
    client.expect("go-4").await;
    client.type_in("\x03");
    client.expect("prompt:").await;
    client.type_in("echo status-$?\n");
    client.expect("status-130").await;
    client.type_in("sh -c 'echo go-$((3+3)); exec sleep 1000'\n");
    client.expect("go-6").await;
    client.type_in("\x1a");
    client.expect("Stopped").await;
    client.expect("prompt:").await;
    // A shell with a stopped job wants to be told twice.
    client.type_in("kill -9 %1; exit 9\n");
    client.expect("exit 9").await;
    client.type_in("exit 9\n");
    assert_eq!(client.end().await.code(), Some(9));
}

#[tokio::test(flavor = "multi_thread")]
async fn modes_of_the_client_reach_the_terminal() {
    let server = Server::new();
    let (controlling, side) = local::terminal();
    let mut modes = rustix::termios::tcgetattr(&side).unwrap();
    modes.special_codes[rustix::termios::SpecialCodeIndex::VINTR] = 24;
    rustix::termios::tcsetattr(&side, rustix::termios::OptionalActions::Now, &modes).unwrap();
    let mut command = server.program("ssh");
    command.args(["-t", "host", "stty -a"]).stdin(side);
    let output = crate::client::run(command).await;
    drop(controlling);
    assert!(output.stdout.contains("intr = ^X;"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_output_of_a_terminal_arrives() {
    let server = Server::new();
    let output = server.ssh(&["-tt"], "stty -opost; seq 300000; exit 5").await;
    assert_eq!(output.code, Some(5));
    let expected: String = (1..=300_000).map(|number| format!("{number}\n")).collect();
    assert!(output.stdout == expected, "{} bytes", output.stdout.len());
}
