//! Which addresses a client may name: those of the sandbox's own loopback.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The lowest port that a user of a usual system may listen on.
const UNPRIVILEGED: u16 = 1024;

/// Where to connect to, the first that answers; `None` when it is not the loopback.
pub(crate) fn targets(host: &str, port: u32) -> Option<Vec<SocketAddr>> {
    let port = u16::try_from(port).ok().filter(|port| *port != 0)?;
    Some(addresses(host)?.into_iter().map(|address| SocketAddr::new(address, port)).collect())
}

/// Where to listen; `None` when it is not the loopback, or not for users.
///
/// Without a host (`""`) or with `*`, RFC 4254 (section 7.1) means all addresses, so that is refused; OpenSSH says
/// `localhost` when nothing else is asked for.
pub(crate) fn listening(host: &str, port: u32) -> Option<SocketAddr> {
    let port = u16::try_from(port).ok().filter(|port| *port == 0 || *port >= UNPRIVILEGED)?;
    addresses(host)?.first().map(|address| SocketAddr::new(*address, port))
}

fn addresses(host: &str) -> Option<Vec<IpAddr>> {
    if host.eq_ignore_ascii_case("localhost") {
        return Some(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let address: IpAddr = host.parse().ok()?;
    address.is_loopback().then(|| vec![address])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_loopback_is_reached() {
        assert_eq!(targets("localhost", 80).unwrap().len(), 2);
        assert_eq!(targets("127.8.9.10", 80).unwrap(), ["127.8.9.10:80".parse().unwrap()]);
        assert_eq!(targets("::1", 65535).unwrap(), ["[::1]:65535".parse().unwrap()]);
        for host in [
            "",
            "*",
            "0.0.0.0",
            "::",
            "10.0.0.1",
            "169.254.169.254",
            "::ffff:127.0.0.1",
            "0177.0.0.1",
            "127.1",
            "2130706433",
            "localhost.",
            "localhost.example",
            "example.com",
            "127.0.0.1 ",
            "[::1]",
            "::1%lo",
        ] {
            assert_eq!(targets(host, 80), None, "{host}");
        }
        assert_eq!(targets("localhost", 0), None);
        assert_eq!(targets("localhost", 65536), None);
    }

    #[test]
    fn only_the_loopback_is_listened_at() {
        assert_eq!(listening("localhost", 0), Some("127.0.0.1:0".parse().unwrap()));
        assert_eq!(listening("::1", 1024), Some("[::1]:1024".parse().unwrap()));
        for (host, port) in
            [("", 8080), ("*", 8080), ("0.0.0.0", 8080), ("::", 8080), ("localhost", 1023)]
        {
            assert_eq!(listening(host, port), None, "{host}:{port}");
        }
        assert_eq!(listening("localhost", 65536 + 8080), None);
    }
}
