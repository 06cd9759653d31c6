//! The sandbox's network: only `lo`, and every address is local, so that each connection ends at a socket
//! that init opened here for the supervisor. No `ip` or `nft` program, no host routes, no root.
//!
//! Sources: netlink(7), rtnetlink(7), "local" routes in ip-route(8).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::SOCK_DIAG;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt,
};

use crate::channel::WayKind;

/// Index of `lo`, which is the first interface of every network namespace.
const LOOPBACK: u32 = 1;
/// Pending connections per listener; the kernel's default upper bound (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;
/// The address of the supervisor inside the sandbox.
const SUPERVISOR: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 1);
pub(crate) const DNS: u16 = 53;

/// A network step that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetworkError {
    /// The interface or its routes.
    #[error("failed to {action} the sandbox's network")]
    Configure { action: &'static str, source: io::Error },
    /// A socket for the supervisor.
    #[error("failed to listen on {address} in the sandbox")]
    Listen { address: SocketAddr, source: io::Error },
}

/// Brings the network up and opens the supervisor's sockets in it.
pub(crate) fn capture(ports: &[u16]) -> Result<Vec<(WayKind, OwnedFd)>, NetworkError> {
    let configure = |action| move |source: io::Error| NetworkError::Configure { action, source };
    let routes = Netlink::open(None).map_err(configure("reach"))?;
    routes.request(&link_up()).map_err(configure("bring up"))?;
    let anything = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    let mut families = vec![];
    routes.request(&address(SUPERVISOR)).map_err(configure("give an address to"))?;
    for any in anything {
        match routes.request(&local_route(any)) {
            Ok(()) => families.push(any),
            // A host without IPv6 has no IPv6 sockets either, so nothing is left uncaptured.
            Err(error) if any.is_ipv6() && no_such_family(&error) => {}
            Err(error) => return Err(configure("route")(error)),
        }
    }
    let diag = Netlink::open(Some(SOCK_DIAG)).map_err(configure("watch"))?;
    let mut ways = vec![(WayKind::SockDiag, diag.0)];
    for any in families {
        for &port in ports.iter().filter(|port| **port != DNS) {
            ways.push((WayKind::Tcp(port), listen(SocketAddr::new(any, port))?));
        }
        let dns = SocketAddr::new(any, DNS);
        ways.push((WayKind::DnsTcp, listen(dns)?));
        ways.push((WayKind::DnsUdp, datagrams(dns)?));
    }
    Ok(ways)
}

fn no_such_family(error: &io::Error) -> bool {
    let known = [Errno::AFNOSUPPORT, Errno::OPNOTSUPP, Errno::NODEV];
    known.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

fn socket(address: SocketAddr, kind: SocketType) -> rustix::io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, kind, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    Ok(socket)
}

fn listen(address: SocketAddr) -> Result<OwnedFd, NetworkError> {
    let open = || {
        let socket = socket(address, SocketType::STREAM)?;
        rustix::net::bind(&socket, &address)?;
        rustix::net::listen(&socket, BACKLOG)?;
        Ok(socket)
    };
    open().map_err(|error: Errno| NetworkError::Listen { address, source: error.into() })
}

/// A UDP socket that tells for each datagram which address it was sent to.
fn datagrams(address: SocketAddr) -> Result<OwnedFd, NetworkError> {
    let open = || -> io::Result<OwnedFd> {
        let socket = socket(address, SocketType::DGRAM)?;
        let (level, option) = match address {
            SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_PKTINFO),
            SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
        };
        let on: libc::c_int = 1;
        // SAFETY: the option takes an int, and `on` is one that outlives the call.
        let result = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                level,
                option,
                (&raw const on).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        rustix::net::bind(&socket, &address)?;
        Ok(socket)
    };
    open().map_err(|source| NetworkError::Listen { address, source })
}

/// A netlink socket.
struct Netlink(OwnedFd);

impl Netlink {
    /// Opens one for a netlink protocol; `None` is the first, `NETLINK_ROUTE`.
    fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let family = AddressFamily::NETLINK;
        Ok(Self(rustix::net::socket_with(family, SocketType::RAW, flags, protocol)?))
    }

    /// Sends one request and waits for its acknowledgement.
    fn request(&self, message: &[u8]) -> io::Result<()> {
        rustix::net::send(&self.0, message, SendFlags::empty())?;
        let mut answer = [0; 4096];
        let (length, _) = rustix::net::recv(&self.0, &mut answer, RecvFlags::empty())?;
        let field =
            |at: usize| answer[..length].get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        // struct nlmsghdr, then struct nlmsgerr, whose first field is 0 or a negative error number.
        match field(16).map(i32::from_ne_bytes) {
            Some(0) => Ok(()),
            Some(error) => Err(io::Error::from_raw_os_error(-error)),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// A netlink request: header, fixed part, attributes.
fn message(kind: u16, flags: u16, body: &[u8], attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; 16];
    bytes.extend_from_slice(body);
    for (kind, value) in attributes {
        bytes.extend_from_slice(&(value.len() as u16 + 4).to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    let length = bytes.len() as u32;
    bytes[0..4].copy_from_slice(&length.to_ne_bytes());
    bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
    let flags = flags | (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
    bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    bytes
}

const CREATE: u16 = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;

/// `ip link set lo up`: struct ifinfomsg.
fn link_up() -> Vec<u8> {
    let mut body = vec![libc::AF_UNSPEC as u8, 0, 0, 0];
    body.extend_from_slice(&LOOPBACK.to_ne_bytes());
    body.extend_from_slice(&(libc::IFF_UP as u32).to_ne_bytes());
    body.extend_from_slice(&(libc::IFF_UP as u32).to_ne_bytes());
    message(libc::RTM_NEWLINK, 0, &body, &[])
}

/// `ip address add ADDRESS/32 dev lo`: struct ifaddrmsg.
fn address(address: Ipv4Addr) -> Vec<u8> {
    let mut body = vec![libc::AF_INET as u8, 32, 0, libc::RT_SCOPE_UNIVERSE];
    body.extend_from_slice(&LOOPBACK.to_ne_bytes());
    let octets = address.octets();
    let attributes: [(u16, &[u8]); 2] = [(libc::IFA_LOCAL, &octets), (libc::IFA_ADDRESS, &octets)];
    message(libc::RTM_NEWADDR, CREATE, &body, &attributes)
}

/// `ip route add local 0.0.0.0/0 dev lo` or the same for IPv6: struct rtmsg.
fn local_route(any: IpAddr) -> Vec<u8> {
    let family = if any.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let scope = if any.is_ipv4() { libc::RT_SCOPE_HOST } else { libc::RT_SCOPE_UNIVERSE };
    let body = [
        family as u8,
        0,
        0,
        0,
        libc::RT_TABLE_LOCAL,
        libc::RTPROT_BOOT,
        scope,
        libc::RTN_LOCAL,
        0,
        0,
        0,
        0,
    ];
    let device = LOOPBACK.to_ne_bytes();
    message(libc::RTM_NEWROUTE, CREATE, &body, &[(libc::RTA_OIF, &device)])
}
