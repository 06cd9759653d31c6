//! DNS over UDP: each answer leaves from the address that was asked, or the client drops it.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::libc::{in_pktinfo, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrStorage,
    recvmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::NameServer;
use crate::limits::{ACCEPT_PAUSE, MAX_DNS_MESSAGE};

/// The address a datagram was sent to.
#[derive(Debug, Clone, Copy)]
enum Asked {
    V4(in_pktinfo),
    V6(in6_pktinfo),
}

/// Answers datagrams for as long as the socket lives.
pub(crate) async fn serve_udp(socket: OwnedFd, server: &NameServer) -> io::Result<()> {
    let socket = std::net::UdpSocket::from(socket);
    socket.set_nonblocking(true)?;
    let socket = UdpSocket::from_std(socket)?;
    let mut buffer = [0u8; MAX_DNS_MESSAGE];
    loop {
        let received = socket.async_io(Interest::READABLE, || receive(&socket, &mut buffer)).await;
        match received {
            Ok(Some((length, client, asked))) => {
                let answer = buffer.get(..length).and_then(|m| server.answer(m, client));
                if let Some(answer) = answer
                    && let Err(error) = send(&socket, &answer, client, &asked)
                {
                    tracing::debug!(%client, %error, "DNS answer was not sent");
                }
            }
            // A datagram that is too long or without its address: nothing to answer.
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(%error, "DNS question was not received");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn receive(
    socket: &UdpSocket,
    buffer: &mut [u8],
) -> io::Result<Option<(usize, SocketAddr, Asked)>> {
    let mut control = nix::cmsg_space!(in6_pktinfo, in_pktinfo);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = recvmsg::<SockaddrStorage>(
        socket.as_raw_fd(),
        &mut parts,
        Some(&mut control),
        MsgFlags::MSG_DONTWAIT,
    )?;
    if message.flags.intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC) {
        return Ok(None);
    }
    let Some(client) = message.address.as_ref().and_then(socket_address) else { return Ok(None) };
    let asked = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(Asked::V4(info)),
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(Asked::V6(info)),
        _ => None,
    });
    Ok(asked.map(|asked| (message.bytes, client, asked)))
}

fn send(socket: &UdpSocket, answer: &[u8], client: SocketAddr, asked: &Asked) -> io::Result<()> {
    let parts = [IoSlice::new(answer)];
    let to = SockaddrStorage::from(client);
    let (v4, v6);
    let control = match asked {
        Asked::V4(info) => {
            // Answer from the address that was asked, by whichever interface leads back.
            v4 =
                in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: info.ipi_addr, ipi_addr: info.ipi_addr };
            [ControlMessage::Ipv4PacketInfo(&v4)]
        }
        Asked::V6(info) => {
            v6 = *info;
            [ControlMessage::Ipv6PacketInfo(&v6)]
        }
    };
    sendmsg(socket.as_raw_fd(), &parts, &control, MsgFlags::MSG_DONTWAIT, Some(&to))?;
    Ok(())
}

fn socket_address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage.as_sockaddr_in().map(|a: &SockaddrIn| (IpAddr::V4(a.ip()), a.port()));
    let v6 = || storage.as_sockaddr_in6().map(|a: &SockaddrIn6| (IpAddr::V6(a.ip()), a.port()));
    v4.or_else(v6).map(SocketAddr::from)
}
