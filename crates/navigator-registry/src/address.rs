//! How far an address is from the public network: what a registry elsewhere must not make us reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// From where an address can be reached, the widest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// From everywhere.
    Public,
    /// From networks of its owner, as RFC 1918 and RFC 4193 have it.
    Private,
    /// From this machine or its link: loopback, link-local (metadata services live there), and what is no host.
    Local,
}

impl Reach {
    pub(crate) fn of(address: IpAddr) -> Reach {
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }
}

fn of_v4(address: Ipv4Addr) -> Reach {
    let [first, second, ..] = address.octets();
    let shared = first == 100 && (64..128).contains(&second);
    let no_host = first == 0 || first >= 224;
    let benchmark = first == 198 && (second & 0xfe) == 18;
    if address.is_loopback() || address.is_link_local() || no_host {
        Reach::Local
    } else if address.is_private() || shared || benchmark || address.is_documentation() {
        Reach::Private
    } else {
        Reach::Public
    }
}

fn of_v6(address: Ipv6Addr) -> Reach {
    let segments = address.segments();
    if let Some(within) = embedded(segments) {
        return of_v4(within);
    }
    let no_host = address.is_unspecified() || address.is_multicast();
    if address.is_loopback() || no_host || address.is_unicast_link_local() {
        Reach::Local
    } else if segments[0] & 0xe000 == 0x2000 && !matches!(segments, [0x2001, 0xdb8, ..]) {
        Reach::Public
    } else {
        Reach::Private
    }
}

/// The IPv4 address that translators take from this one: mapped and compatible (RFC 4291), NAT64 (RFC 6052), 6to4
/// (RFC 3056).
fn embedded(segments: [u16; 8]) -> Option<Ipv4Addr> {
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match segments {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(join(high, low))
        }
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(join(high, low)),
        [0x2002, high, low, ..] => Some(join(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart() {
        for (reach, addresses) in [
            (Reach::Public, ["1.1.1.1", "172.32.0.1", "2606:4700::1", "64:ff9b::101:101"]),
            (Reach::Private, ["10.1.2.3", "192.168.0.1", "100.64.0.1", "fd00::1"]),
            (Reach::Local, ["127.9.9.9", "169.254.169.254", "0.0.0.0", "::1"]),
            (Reach::Local, ["::ffff:127.0.0.1", "64:ff9b::7f00:1", "fe80::1", "2002:7f00:1::"]),
        ] {
            for address in addresses {
                assert_eq!(Reach::of(address.parse().unwrap()), reach, "{address}");
            }
        }
    }
}
