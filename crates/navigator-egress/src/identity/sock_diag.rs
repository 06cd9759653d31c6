//! Which socket inode is the client's: one exact `sock_diag` question, one answer.
//!
//! The kernel's hash table answers in microseconds, whatever the number of sockets
//! (`sock_diag(7)`, `linux/inet_diag.h`).

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use thiserror::Error;

use crate::intent::ClientSocket;

const HEADER_LEN: usize = 16;
const REQUEST_LEN: usize = HEADER_LEN + 56;
const ANSWER_LEN: usize = HEADER_LEN + 72;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const IPPROTO_TCP: u8 = 6;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// Answers to earlier questions that may have to be skipped before ours.
const MAX_STALE_ANSWERS: usize = 16;

/// Why a client socket could not be looked up.
#[derive(Debug, Error)]
pub enum SockDiagError {
    /// The two addresses belong to different families.
    #[error("failed to look up the client socket: its addresses are of different families")]
    MixedFamilies,
    /// The question could not be sent or the answer not read.
    #[error("failed to ask the kernel for the client socket")]
    Netlink(#[source] Errno),
    /// The kernel knows no such socket (any more).
    #[error("failed to find the client socket: it is gone")]
    Gone,
    /// What came back is not an answer to the question.
    #[error("failed to read the kernel's answer about the client socket")]
    Malformed,
}

/// Asks for the inode of the socket that connects `client` to `wanted`.
///
/// # Errors
/// [`SockDiagError`] when there is no such connected socket or the kernel cannot be asked.
pub fn inode_of(
    netlink: BorrowedFd<'_>,
    socket: &ClientSocket,
    sequence: u32,
) -> Result<u64, SockDiagError> {
    let request = request(socket, sequence)?;
    send(netlink, &request, SendFlags::DONTWAIT).map_err(SockDiagError::Netlink)?;
    let mut buffer = [0u8; 1024];
    for _ in 0..MAX_STALE_ANSWERS {
        let (read, _) =
            recv(netlink, &mut buffer[..], RecvFlags::DONTWAIT).map_err(SockDiagError::Netlink)?;
        let answer = buffer.get(..read).ok_or(SockDiagError::Malformed)?;
        if number32(answer, 8)? == sequence {
            return inode_in(answer, socket);
        }
    }
    Err(SockDiagError::Malformed)
}

fn request(socket: &ClientSocket, sequence: u32) -> Result<[u8; REQUEST_LEN], SockDiagError> {
    let family = match (socket.client.ip(), socket.wanted.ip()) {
        (IpAddr::V4(_), IpAddr::V4(_)) => AF_INET,
        (IpAddr::V6(_), IpAddr::V6(_)) => AF_INET6,
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
            return Err(SockDiagError::MixedFamilies);
        }
    };
    let mut message = [0u8; REQUEST_LEN];
    message[0..4].copy_from_slice(&(REQUEST_LEN as u32).to_ne_bytes());
    message[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message[6..8].copy_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    message[8..12].copy_from_slice(&sequence.to_ne_bytes());
    let body = &mut message[HEADER_LEN..];
    body[0] = family;
    body[1] = IPPROTO_TCP;
    body[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
    body[8..10].copy_from_slice(&socket.client.port().to_be_bytes());
    body[10..12].copy_from_slice(&socket.wanted.port().to_be_bytes());
    write_address(&mut body[12..28], socket.client.ip());
    write_address(&mut body[28..44], socket.wanted.ip());
    // No interface (44..48); both halves of the cookie all ones: any socket.
    body[48..56].fill(0xff);
    Ok(message)
}

fn write_address(to: &mut [u8], address: IpAddr) {
    match address {
        IpAddr::V4(v4) => to[..4].copy_from_slice(&v4.octets()),
        IpAddr::V6(v6) => to.copy_from_slice(&v6.octets()),
    }
}

/// The kernel falls back to a listening socket when it finds no connection, so the addresses of
/// the answer are compared with those of the question.
fn inode_in(answer: &[u8], socket: &ClientSocket) -> Result<u64, SockDiagError> {
    let kind = u16::from_ne_bytes(bytes(answer, 4)?);
    if kind == NLMSG_ERROR {
        let code = i32::from_ne_bytes(bytes(answer, HEADER_LEN)?);
        return Err(match code {
            0 => SockDiagError::Malformed,
            code if code == -Errno::NOENT.raw_os_error() => SockDiagError::Gone,
            code => SockDiagError::Netlink(Errno::from_raw_os_error(code.saturating_neg())),
        });
    }
    if kind != SOCK_DIAG_BY_FAMILY || answer.len() < ANSWER_LEN {
        return Err(SockDiagError::Malformed);
    }
    let body = &answer[HEADER_LEN..];
    let client = read_socket(body, 4, 8)?;
    let wanted = read_socket(body, 6, 24)?;
    if !same(client, socket.client) || !same(wanted, socket.wanted) {
        return Err(SockDiagError::Gone);
    }
    match number32(body, 68)? {
        0 => Err(SockDiagError::Gone),
        inode => Ok(u64::from(inode)),
    }
}

fn read_socket(body: &[u8], port: usize, address: usize) -> Result<SocketAddr, SockDiagError> {
    let port = u16::from_be_bytes(bytes(body, port)?);
    let address = match body.first() {
        Some(&AF_INET) => IpAddr::from(bytes::<4>(body, address)?),
        Some(&AF_INET6) => Ipv6Addr::from(bytes::<16>(body, address)?).to_canonical(),
        Some(_) | None => return Err(SockDiagError::Malformed),
    };
    Ok(SocketAddr::new(address, port))
}

fn same(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port() && a.ip().to_canonical() == b.ip().to_canonical()
}

fn number32(from: &[u8], at: usize) -> Result<u32, SockDiagError> {
    Ok(u32::from_ne_bytes(bytes(from, at)?))
}

fn bytes<const N: usize>(from: &[u8], at: usize) -> Result<[u8; N], SockDiagError> {
    from.get(at..at + N).and_then(|part| part.try_into().ok()).ok_or(SockDiagError::Malformed)
}

#[cfg(test)]
mod tests;
