//! The descriptors through which a sandbox can be heard and examined.
//!
//! Init makes them inside the sandbox's namespaces and passes them out; this crate never enters a
//! namespace itself, so it needs no privilege beyond reading the sandbox's `/proc`.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::gate::ConnectGate;

/// The port of the explicit proxy; every other listening port is transparent.
pub const PROXY_PORT: u16 = 3128;

/// The in-sandbox address that proxy variables and `resolv.conf` name.
pub const SUPERVISOR_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 200, 0, 1));

/// Every way a sandbox's traffic reaches the supervisor, and how its processes are looked up.
#[derive(Debug)]
pub struct Ways {
    /// Listening TCP sockets, non-blocking and close-on-exec.
    pub tcp: Vec<TcpWay>,
    /// Bound UDP sockets of port 53 with packet information enabled, IPv4 and IPv6.
    pub dns_udp: Vec<OwnedFd>,
    /// Listening TCP sockets of port 53.
    pub dns_tcp: Vec<OwnedFd>,
    /// A `NETLINK_SOCK_DIAG` socket of the sandbox's network namespace.
    pub sock_diag: OwnedFd,
    /// The sandbox's own `/proc`, opened `O_PATH|O_DIRECTORY`.
    pub proc_dir: OwnedFd,
    /// The sandbox's root directory, opened `O_PATH`.
    pub root_dir: OwnedFd,
    /// Where the sandbox's threads wait while they connect. Without it a program that becomes another one between its
    /// connect and its look-up is taken for the other: only for networks in which nobody attacks.
    pub connects: Option<Arc<dyn ConnectGate>>,
}

/// One listening socket and the port that programs connect to.
#[derive(Debug)]
pub struct TcpWay {
    /// The listening socket; the accepted socket's local address is what the program wanted.
    pub listener: OwnedFd,
    /// The port it listens on.
    pub port: u16,
}
