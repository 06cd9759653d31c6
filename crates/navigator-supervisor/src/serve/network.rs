//! Connections to the sandbox's own loopback, and listeners there: on sockets that its init made, which lead nowhere else.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use navigator_isolation::Family;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::processes::Processes;

/// How long a program in the sandbox may take to accept a connection.
const ACCEPT: Duration = Duration::from_secs(10);
/// Connections that wait until a client takes them.
const BACKLOG: u32 = 128;

/// Connects to a port of the sandbox's loopback, by whichever protocol somebody listens there.
pub(super) async fn dial(processes: &Processes, port: u16) -> io::Result<TcpStream> {
    match dial_at(processes, (Ipv4Addr::LOCALHOST, port).into()).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            // What is said of the first is what counts: most programs listen there.
            dial_at(processes, (Ipv6Addr::LOCALHOST, port).into()).await.map_err(|_| error)
        }
        dialled => dialled,
    }
}

/// Connects to an address of the sandbox's loopback.
pub(super) async fn dial_at(processes: &Processes, at: SocketAddr) -> io::Result<TcpStream> {
    let connecting = socket(processes, at).await?.connect(at);
    tokio::time::timeout(ACCEPT, connecting).await.map_err(|_| io::ErrorKind::TimedOut)?
}

/// Listens at an address of the sandbox's loopback.
pub(super) async fn listen(processes: &Processes, at: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(processes, at).await?;
    socket.set_reuseaddr(true)?;
    socket.bind(at)?;
    socket.listen(BACKLOG)
}

/// A socket for an address; every address that is not loopback is refused.
async fn socket(processes: &Processes, at: SocketAddr) -> io::Result<TcpSocket> {
    if !at.ip().is_loopback() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let family = match at.ip() {
        IpAddr::V4(_) => Family::V4,
        IpAddr::V6(_) => Family::V6,
    };
    let socket: OwnedFd = processes.socket(family).await?;
    Ok(TcpSocket::from_std_stream(socket.into()))
}
