//! DNS over TCP (RFC 7766): the same answers, each with its length before it.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::NameServer;
use crate::limits::{DNS_TCP_IDLE, MAX_DNS_MESSAGE};

/// Answers one client until it closes, falls silent or sends something too long.
pub(crate) async fn serve_tcp(
    mut client: TcpStream,
    from: SocketAddr,
    server: &NameServer,
) -> io::Result<()> {
    let mut buffer = [0u8; MAX_DNS_MESSAGE];
    loop {
        let length = usize::from(timeout(DNS_TCP_IDLE, client.read_u16()).await??);
        let Some(message) = buffer.get_mut(..length) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        timeout(DNS_TCP_IDLE, client.read_exact(message)).await??;
        let Some(answer) = server.answer(message, from) else { return Ok(()) };
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        let framed = [&length.to_be_bytes()[..], &answer].concat();
        timeout(DNS_TCP_IDLE, client.write_all(&framed)).await??;
    }
}
