//! Which resolved addresses may be dialled (SSRF rules): pure arithmetic on the address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// An address that must not be dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressRefusal {
    /// Refused whatever a policy says.
    #[error("{address} is {kind}, which is never reachable from a sandbox")]
    Never {
        /// The address.
        address: IpAddr,
        /// What kind of address it is.
        kind: &'static str,
    },
    /// Refused unless `allowed_ips` covers it.
    #[error("{address} is {kind}; list it in the endpoint's allowed_ips to allow it")]
    Private {
        /// The address.
        address: IpAddr,
        /// What kind of address it is.
        kind: &'static str,
    },
    /// The endpoint lists addresses and this is none of them.
    #[error("{address} is not among the endpoint's allowed_ips")]
    NotListed {
        /// The address.
        address: IpAddr,
    },
}

/// Checks one address against the rules and an endpoint's `allowed_ips` (empty: none were listed).
pub fn check_address(address: IpAddr, allowed_ips: &[IpNet]) -> Result<(), AddressRefusal> {
    let address = address.to_canonical();
    if let Some(kind) = never(address) {
        return Err(AddressRefusal::Never { address, kind });
    }
    if allowed_ips.iter().any(|net| net.contains(&address)) {
        return Ok(());
    }
    if let Some(kind) = private(address) {
        return Err(AddressRefusal::Private { address, kind });
    }
    if allowed_ips.is_empty() { Ok(()) } else { Err(AddressRefusal::NotListed { address }) }
}

/// The kind of an address that no policy can allow.
pub(crate) fn never(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(address) => never_v4(address),
        IpAddr::V6(address) => never_v6(address),
    }
}

fn never_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [first, ..] = address.octets();
    match first {
        0 => Some("an unspecified address"),
        127 => Some("a loopback address"),
        224..=239 => Some("a multicast address"),
        240..=255 => Some("a reserved or broadcast address"),
        _ if address.is_link_local() => Some("a link-local address"),
        _ => None,
    }
}

fn never_v6(address: Ipv6Addr) -> Option<&'static str> {
    let segments = address.segments();
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("an unspecified address"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("a loopback address"),
        // ::/96, IPv4-compatible (RFC 4291 section 2.5.5.1).
        [0, 0, 0, 0, 0, 0, _, _] => Some("an IPv4 address inside IPv6"),
        // 64:ff9b::/96 and 64:ff9b:1::/48, NAT64 (RFC 6052, RFC 8215).
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0x64, 0xff9b, 1, ..] => {
            Some("an IPv4 address inside IPv6 (NAT64)")
        }
        // 2002::/16, 6to4 (RFC 3056).
        [0x2002, ..] => Some("an IPv4 address inside IPv6 (6to4)"),
        // 2001::/32, Teredo (RFC 4380).
        [0x2001, 0, ..] => Some("an IPv4 address inside IPv6 (Teredo)"),
        // 0:0:0:0:ffff:0::/96, IPv4-translated (RFC 2765).
        [0, 0, 0, 0, 0xffff, 0, ..] => Some("an IPv4 address inside IPv6"),
        [0xfe80..=0xfebf, ..] => Some("a link-local address"),
        [0xfec0..=0xfeff, ..] => Some("a site-local address"),
        [0xff00..=0xffff, ..] => Some("a multicast address"),
        _ => None,
    }
}

fn private(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => match address.octets() {
            [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Some("a private address"),
            [100, 64..=127, ..] => Some("a shared address (100.64.0.0/10)"),
            [192, 0, 0, _] => Some("a protocol assignment (192.0.0.0/24)"),
            [198, 18..=19, ..] => Some("a benchmarking address (198.18.0.0/15)"),
            _ => None,
        },
        IpAddr::V6(address) => {
            matches!(address.segments(), [0xfc00..=0xfdff, ..]).then_some("a private address")
        }
    }
}
