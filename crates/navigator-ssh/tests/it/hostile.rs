//! Clients that OpenSSH is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use navigator_ssh::{Options, ServeError};
use russh::client::{self, Handle, Msg};
use russh::keys::PublicKeyOrCertificate;
use russh::{Channel, ChannelMsg, ChannelOpenFailure};

use crate::client::{Server, until};

struct Trusting;

impl client::Handler for Trusting {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        _key: &PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

async fn connect(server: &Server) -> Handle<Trusting> {
    let stream = server.connect().await;
    client::connect_stream(Arc::default(), stream, Trusting).await.unwrap()
}

async fn enter(server: &Server) -> Handle<Trusting> {
    let mut client = connect(server).await;
    assert!(client.authenticate_none("sandbox").await.unwrap().success());
    client
}

/// Reads a channel to its end: what was printed and the exit code.
async fn read(channel: &mut Channel<Msg>) -> (String, Option<u32>) {
    let (mut text, mut code) = (String::new(), None);
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::Data { data } => text.push_str(std::str::from_utf8(&data).unwrap()),
            ChannelMsg::ExitStatus { exit_status } => code = Some(exit_status),
            _ => {}
        }
    }
    (text, code)
}

async fn exec(client: &Handle<Trusting>, line: &str) -> (String, Option<u32>) {
    let mut channel = client.channel_open_session().await.unwrap();
    channel.exec(true, line).await.unwrap();
    read(&mut channel).await
}

/// Memory of this process, in kilobytes.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_keys_and_other_users_are_refused() {
    let server = Server::new();
    let mut client = connect(&server).await;
    assert!(!client.authenticate_password("sandbox", "x").await.unwrap().success());
    let mut random = russh::keys::key::safe_rng();
    let key = russh::keys::PrivateKey::random(&mut random, russh::keys::Algorithm::Ed25519);
    let key = russh::keys::PrivateKeyWithHashAlg::new(Arc::new(key.unwrap()), None);
    assert!(!client.authenticate_publickey("sandbox", key).await.unwrap().success());
    assert!(client.authenticate_none("sandbox").await.unwrap().success());
    let mut other = connect(&server).await;
    assert!(!other.authenticate_none("root").await.unwrap().success());
    other.channel_open_session().await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_channels_are_refused_after_the_first() {
    let server = Server::new();
    let client = enter(&server).await;
    let mut open = vec![];
    let before = memory();
    for _ in 0..10_000 {
        match client.channel_open_session().await {
            Ok(channel) => open.push(channel),
            Err(russh::Error::ChannelOpenFailure(reason)) => {
                assert_eq!(reason, ChannelOpenFailure::ResourceShortage);
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(open.len(), 256);
    let grown = memory().saturating_sub(before);
    assert!(grown < 64 << 10, "{grown} KiB more");
    for channel in open.drain(..) {
        channel.close().await.unwrap();
    }
    until("there is room again", async || client.channel_open_session().await.is_ok()).await;
    assert_eq!(exec(&client, "echo ok").await, ("ok\n".into(), Some(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_does_not_read_stops_its_channel_and_no_other() {
    const PARTS: usize = 64;
    let server = Server::new();
    let client = enter(&server).await;
    let slow = client.channel_open_session().await.unwrap();
    slow.exec(true, "until [ -e go ]; do sleep 0.05; done; wc -c").await.unwrap();
    let (mut reads, writes) = slow.split();
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    tokio::spawn(async move {
        for _ in 0..PARTS {
            writes.data_bytes(vec![b'x'; 1 << 20]).await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
        }
        writes.eof().await.unwrap();
    });
    until("much is sent", async || sent.load(Ordering::SeqCst) >= 2).await;
    for _ in 0..10 {
        assert_eq!(exec(&client, "echo ok").await, ("ok\n".into(), Some(0)));
    }
    assert!(sent.load(Ordering::SeqCst) < 16, "{sent:?} MiB are held");
    std::fs::write(server.local.path("go"), "").unwrap();
    let mut count = String::new();
    while let Some(message) = reads.wait().await {
        if let ChannelMsg::Data { data } = message {
            count.push_str(std::str::from_utf8(&data).unwrap());
        }
    }
    assert_eq!(count.trim(), (PARTS << 20).to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_runs_one_command() {
    let server = Server::new();
    let client = enter(&server).await;
    let mut channel = client.channel_open_session().await.unwrap();
    channel.exec(true, "read; echo $REPLY").await.unwrap();
    channel.exec(true, "echo second").await.unwrap();
    channel.set_env(true, "LANG", "late").await.unwrap();
    channel.data_bytes("first\n").await.unwrap();
    assert_eq!(read(&mut channel).await, ("first\n".into(), Some(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_reaches_the_process() {
    let server = Server::new();
    let client = enter(&server).await;
    let mut channel = client.channel_open_session().await.unwrap();
    channel
        .exec(true, "trap 'echo got; exit 6' USR1; echo up; while :; do sleep 0.02; done")
        .await
        .unwrap();
    let mut text = String::new();
    let mut code = None;
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::Data { data } => {
                text.push_str(std::str::from_utf8(&data).unwrap());
                if text == "up\n" {
                    channel.signal(russh::Sig::USR1).await.unwrap();
                }
            }
            ChannelMsg::ExitStatus { exit_status } => code = Some(exit_status),
            _ => {}
        }
    }
    assert_eq!((text.as_str(), code), ("up\ngot\n", Some(6)));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_subsystems_and_bad_lines_are_refused() {
    let server = Server::new();
    let client = enter(&server).await;
    for line in [b"a\0b".to_vec(), vec![0xff], vec![b'x'; 128 << 10]] {
        let mut channel = client.channel_open_session().await.unwrap();
        channel.exec(true, line).await.unwrap();
        assert!(matches!(channel.wait().await, Some(ChannelMsg::Failure)));
    }
    let mut channel = client.channel_open_session().await.unwrap();
    channel.request_subsystem(true, "netconf").await.unwrap();
    assert!(matches!(channel.wait().await, Some(ChannelMsg::Failure)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_vanishes_is_ended() {
    let keep_alive = Duration::from_millis(200);
    let mut server = Server::with(Options { keep_alive, ..Options::default() });
    let mut command = server.program("ssh");
    let mut child = command.args(["host", "touch up; sleep 1000"]).spawn().unwrap();
    until("the process runs", async || server.local.path("up").exists()).await;
    // It answers as long as it runs, and then it is stopped.
    let pid = rustix::process::Pid::from_raw(child.id().unwrap().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let ended = server.ended.recv().await.unwrap();
    assert!(
        matches!(ended, Err(ServeError::Protocol(russh::Error::KeepaliveTimeout))),
        "{ended:?}"
    );
    assert_eq!(server.local.killed.load(Ordering::SeqCst), 1);
    child.kill().await.unwrap();
}
