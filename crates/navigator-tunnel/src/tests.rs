use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::*;

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (near, far) =
        tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

struct Relay {
    client: TcpStream,
    server: TcpStream,
    ended: CancellationToken,
    relay: tokio::task::JoinHandle<Result<u64, TunnelError>>,
}

/// client ⇄ relay ⇄ server.
async fn relay(early: &'static [u8], idle: Duration) -> Relay {
    let (client, inner_client) = pair().await;
    let (inner_server, server) = pair().await;
    let ended = CancellationToken::new();
    let token = ended.clone();
    let relay = tokio::spawn(async move {
        let pipes = PipePool::default();
        let carriage = Carriage { pipes: &pipes, idle: Some(idle), ended: &token };
        let client = End { socket: &inner_client, early };
        carry(client, End { socket: &inner_server, early: b"" }, &carriage).await
    });
    Relay { client, server, ended, relay }
}

fn run(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}

const LONG: Duration = Duration::from_secs(600);

fn pattern(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let step = |state: &mut u32| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (*state >> 24) as u8
    };
    (0..length).map(|_| step(&mut state)).collect()
}

#[test]
fn fifty_megabytes_arrive_unchanged_in_both_directions_at_once() {
    run(async {
        let Relay { client, server, relay, .. } = relay(b"", LONG).await;
        let sent = Arc::new(pattern(50_000_000));
        let both = [client, server].map(|socket| {
            let (mut read, mut write) = socket.into_split();
            let (outgoing, expected) = (sent.clone(), sent.clone());
            let writer = tokio::spawn(async move {
                write.write_all(&outgoing).await.unwrap();
                write.shutdown().await.unwrap();
            });
            let reader = tokio::spawn(async move {
                let mut received = Vec::new();
                read.read_to_end(&mut received).await.unwrap();
                assert!(received == *expected);
            });
            (writer, reader)
        });
        for (writer, reader) in both {
            writer.await.unwrap();
            reader.await.unwrap();
        }
        assert_eq!(relay.await.unwrap().unwrap(), 100_000_000);
    });
}

#[test]
fn a_half_closed_tunnel_still_carries_the_other_direction() {
    run(async {
        let Relay { mut client, mut server, relay, .. } = relay(b"", LONG).await;
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut question = Vec::new();
        server.read_to_end(&mut question).await.unwrap();
        assert_eq!(question, b"question");
        server.write_all(b"answer").await.unwrap();
        drop(server);
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"answer");
        assert_eq!(relay.await.unwrap().unwrap(), 14);
    });
}

#[test]
fn what_the_parser_had_read_comes_first() {
    run(async {
        let Relay { mut client, mut server, .. } = relay(b"early ", LONG).await;
        client.write_all(b"late").await.unwrap();
        client.shutdown().await.unwrap();
        let mut all = Vec::new();
        server.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"early late");
    });
}

#[test]
fn a_silent_tunnel_ends() {
    run(async {
        let Relay { mut client, relay, server: _server, .. } =
            relay(b"", Duration::from_millis(20)).await;
        assert!(matches!(relay.await.unwrap(), Err(TunnelError::Idle(_))));
        assert_eq!(client.read(&mut [0u8; 1]).await.unwrap_or(0), 0);
    });
}

#[test]
fn a_revoked_tunnel_ends_at_once() {
    run(async {
        let Relay { ended, relay, client: _client, server: _server } = relay(b"", LONG).await;
        ended.cancel();
        assert!(matches!(relay.await.unwrap(), Err(TunnelError::Revoked)));
    });
}

#[test]
fn copying_carries_what_splice_cannot() {
    run(async {
        let (mut client, from) = pair().await;
        let (to, mut server) = pair().await;
        let copying = tokio::spawn(async move { copy(&from, &to, &AtomicU64::new(0)).await });
        let sent = pattern(3_000_000);
        let expected = sent.clone();
        let writer = tokio::spawn(async move {
            client.write_all(&sent).await.unwrap();
        });
        let mut received = Vec::new();
        server.read_to_end(&mut received).await.unwrap();
        assert!(received == expected);
        writer.await.unwrap();
        copying.await.unwrap().unwrap();
    });
}

#[test]
fn sockets_of_this_machine_are_joined_and_what_both_sides_sent_before_comes_first() {
    run(async {
        let (mut client, near) = UnixStream::pair().unwrap();
        let (far, mut server) = UnixStream::pair().unwrap();
        let sent = pattern(5_000_000);
        let expected = [b"early ".as_slice(), &sent].concat();
        let joined = tokio::spawn(async move {
            let (pipes, ended) = (PipePool::default(), CancellationToken::new());
            let carriage = Carriage { pipes: &pipes, idle: None, ended: &ended };
            let near = End { socket: &near, early: b"early " };
            carry(near, End { socket: &far, early: b"hello " }, &carriage).await
        });
        let asking = tokio::spawn(async move {
            client.write_all(&sent).await.unwrap();
            client.shutdown().await.unwrap();
            let mut answer = vec![];
            client.read_to_end(&mut answer).await.unwrap();
            answer
        });
        let mut asked = vec![];
        server.read_to_end(&mut asked).await.unwrap();
        assert!(asked == expected);
        server.write_all(b"there").await.unwrap();
        drop(server);
        assert_eq!(asking.await.unwrap(), b"hello there");
        assert_eq!(joined.await.unwrap().unwrap(), 5_000_017);
    });
}
