//! Ports, forwarded both ways.

use std::process::Stdio;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use crate::client::{Server, run, until};

/// Says back everything, and ends when the other side does.
async fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reads, mut writes) = stream.split();
                tokio::io::copy(&mut reads, &mut writes).await.unwrap();
            });
        }
    });
    port
}

/// A port that nobody has just now.
async fn free() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

async fn talk(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) -> String {
    stream.write_all(b"hello").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_socket_reaches_a_port_of_the_sandbox() {
    let server = Server::new();
    let (port, socket) = (echo().await, server.path("local"));
    let forward = format!("{}:localhost:{port}", socket.display());
    let _client = server.program("ssh").args(["-N", "-L", &forward, "host"]).spawn().unwrap();
    until("it listens", async || UnixStream::connect(&socket).await.is_ok()).await;
    let mut talks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        talks.spawn(talk(UnixStream::connect(&socket).await.unwrap()));
    }
    for answer in talks.join_all().await {
        assert_eq!(answer, "hello");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_beyond_the_loopback_is_reached() {
    let server = Server::new();
    for target in ["10.0.0.1:80", "169.254.169.254:80", "example.com:80", "0.0.0.0:80", "[::]:80"] {
        let mut command = server.program("ssh");
        command.args(["-W", target, "host"]);
        let output = run(command).await;
        assert_eq!(output.code, Some(255));
        assert!(output.stderr.contains("administratively prohibited"), "{target}: {output:?}");
    }
    let mut command = server.program("ssh");
    command.args(["-W", &format!("127.0.0.1:{}", free().await), "host"]);
    let output = run(command).await;
    assert!(
        output.stderr.contains("Connection refused") || output.stderr.contains("connect failed")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dynamic_forward_reaches_the_loopback_only() {
    let server = Server::new();
    let (target, port) = (echo().await, free().await);
    let listen = format!("127.0.0.1:{port}");
    let mut command = server.program("ssh");
    let _client = command.args(["-N", "-D", &listen, "host"]).spawn().unwrap();
    until("it listens", async || TcpStream::connect(&listen).await.is_ok()).await;
    for (address, reply) in [([127, 0, 0, 1], 0), ([10, 0, 0, 1], 2)] {
        let mut stream = TcpStream::connect(&listen).await.unwrap();
        stream.write_all(&[5, 1, 0]).await.unwrap();
        stream.read_exact(&mut [0; 2]).await.unwrap();
        let mut request = vec![5, 1, 0, 1];
        request.extend(address);
        request.extend(target.to_be_bytes());
        stream.write_all(&request).await.unwrap();
        let mut answer = [0xff; 10];
        // OpenSSH closes without an answer what is refused.
        if stream.read_exact(&mut answer).await.is_ok() && answer[1] == 0 {
            assert_eq!(reply, 0);
            assert_eq!(talk(stream).await, "hello");
        } else {
            assert_eq!(reply, 2);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_of_the_sandbox_reaches_the_client() {
    let mut server = Server::new();
    let (target, port) = (echo().await, free().await);
    let forward = format!("{port}:127.0.0.1:{target}");
    let line = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; echo hello >&3; head -n 1 <&3");
    let options = ["-o", "ExitOnForwardFailure=yes", "-R", &forward];
    let output = server.ssh(&options, &line).await;
    assert_eq!(output.stdout, "hello\n", "{output:?}");
    server.ended.recv().await.unwrap().unwrap();
    TcpStream::connect(("127.0.0.1", port)).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_is_chosen_and_given_back() {
    let server = Server::new();
    let socket = server.path("master").display().to_string();
    let mut master = server.program("ssh");
    let _master = master.args(["-M", "-N", "-S", &socket, "host"]).spawn().unwrap();
    let order = async |order: &str, forward: &str| {
        let mut command = server.program("ssh");
        command.args(["-S", &socket, "-O", order, "-R", forward, "host"]);
        run(command).await
    };
    let target = echo().await;
    let forward = format!("0:127.0.0.1:{target}");
    until("the master is up", async || order("check", &forward).await.code == Some(0)).await;
    let port: u16 = order("forward", &forward).await.stdout.trim().parse().unwrap();
    assert_eq!(talk(TcpStream::connect(("127.0.0.1", port)).await.unwrap()).await, "hello");
    let cancelled = order("cancel", &forward).await;
    assert_eq!(cancelled.code, Some(0));
    until("it is free again", async || TcpStream::connect(("127.0.0.1", port)).await.is_err())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_listens_beyond_the_loopback_or_at_sockets() {
    let server = Server::new();
    let port = free().await;
    let socket = server.local.path("listening").display().to_string();
    for forward in [
        format!("*:{port}:127.0.0.1:1"),
        format!(":{port}:127.0.0.1:1"),
        format!("0.0.0.0:{port}:127.0.0.1:1"),
        format!("[::]:{port}:127.0.0.1:1"),
        "localhost:80:127.0.0.1:1".into(),
        format!("{socket}:127.0.0.1:1"),
    ] {
        let options = ["-o", "ExitOnForwardFailure=yes", "-R", &forward];
        let output = server.ssh(&options, "true").await;
        assert_eq!(output.code, Some(255), "{forward}");
        assert!(output.stderr.contains("forwarding failed"), "{forward}: {output:?}");
    }
    // A socket of the sandbox is not reached either.
    let local = server.path("local").display().to_string();
    let mut command = server.program("ssh");
    command.args(["-v", "-N", "-L", &format!("{local}:{socket}"), "host"]).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    until("it listens", async || UnixStream::connect(&local).await.is_ok()).await;
    let mut stream = UnixStream::connect(&local).await.unwrap();
    let mut nothing = vec![];
    stream.read_to_end(&mut nothing).await.unwrap();
    assert!(nothing.is_empty());
    drop(child);
}
