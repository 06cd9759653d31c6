//! Addresses that stand for names, and the way back from an address to its name.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use navigator_policy::HostName;

use crate::limits::SYNTHETIC_NAMES;

/// 198.18.0.0/15 (RFC 2544): routed nowhere.
const V4_BASE: u32 = 0xc612_0000;
/// Addresses of that block.
const V4_SIZE: u32 = 1 << 17;
/// A locally assigned ULA prefix (RFC 4193); the low 32 bits are those of the IPv4 twin.
const V6_PREFIX: [u16; 6] = [0xfd6e, 0x6176, 0x6967, 0, 0, 0];

/// Which name has which address. An address is used again only after every other one was, and a
/// name gives way only when the table is full, oldest first.
#[derive(Debug, Default)]
pub struct SyntheticNames {
    numbers: HashMap<HostName, u32>,
    names: HashMap<u32, HostName>,
    order: VecDeque<u32>,
    next: u32,
}

impl SyntheticNames {
    /// The two addresses that stand for a name.
    pub fn addresses_of(&mut self, name: &HostName) -> (Ipv4Addr, Ipv6Addr) {
        let number = match self.numbers.get(name) {
            Some(number) => *number,
            None => self.assign(name),
        };
        addresses(number)
    }

    /// The name that an address stands for.
    pub fn name_of(&self, address: IpAddr) -> Option<HostName> {
        self.names.get(&number(address)?).cloned()
    }

    fn assign(&mut self, name: &HostName) -> u32 {
        if self.order.len() >= SYNTHETIC_NAMES
            && let Some(oldest) = self.order.pop_front()
            && let Some(forgotten) = self.names.remove(&oldest)
        {
            self.numbers.remove(&forgotten);
        }
        // The first and last address of the block look like a network and a broadcast address.
        // The table holds far fewer names than the block has addresses, so this one is free.
        let number = 1 + self.next;
        self.next = (self.next + 1) % (V4_SIZE - 2);
        self.numbers.insert(name.clone(), number);
        self.names.insert(number, name.clone());
        self.order.push_back(number);
        number
    }
}

/// Whether an address is one of those that stand for names.
pub fn is_synthetic(address: IpAddr) -> bool {
    number(address).is_some()
}

fn addresses(number: u32) -> (Ipv4Addr, Ipv6Addr) {
    let v4 = Ipv4Addr::from(V4_BASE + number);
    let [a, b, c, d, e, f] = V6_PREFIX;
    let low = u32::from(v4);
    let v6 = Ipv6Addr::new(a, b, c, d, e, f, (low >> 16) as u16, low as u16);
    (v4, v6)
}

fn number(address: IpAddr) -> Option<u32> {
    let v4 = match address {
        IpAddr::V4(v4) => u32::from(v4),
        IpAddr::V6(v6) => {
            let segments = v6.segments();
            if segments[..6] != V6_PREFIX {
                return None;
            }
            u32::from(segments[6]) << 16 | u32::from(segments[7])
        }
    };
    v4.checked_sub(V4_BASE).filter(|number| *number < V4_SIZE)
}

#[cfg(test)]
mod tests {
    use navigator_policy::Host;

    use super::*;

    fn name(text: &str) -> HostName {
        match Host::parse(text).unwrap() {
            Host::Name(name) => name,
            Host::Address(address) => panic!("{address} is no name"),
        }
    }

    #[test]
    fn both_addresses_of_a_name_lead_back_to_it() {
        let mut table = SyntheticNames::default();
        let (v4, v6) = table.addresses_of(&name("pypi.org"));
        assert_eq!(v4, Ipv4Addr::new(198, 18, 0, 1));
        assert_eq!(table.name_of(v4.into()), Some(name("pypi.org")));
        assert_eq!(table.name_of(v6.into()), Some(name("pypi.org")));
        assert!(is_synthetic(v6.into()));
    }

    #[test]
    fn a_name_keeps_its_address() {
        let mut table = SyntheticNames::default();
        let first = table.addresses_of(&name("a.example"));
        table.addresses_of(&name("b.example"));
        assert_eq!(table.addresses_of(&name("a.example")), first);
    }

    #[test]
    fn other_addresses_stand_for_nothing() {
        let table = SyntheticNames::default();
        for address in ["198.17.255.255", "198.20.0.0", "::1", "fd6e:6176:6968::c612:1"] {
            let address: IpAddr = address.parse().unwrap();
            assert!(!is_synthetic(address), "{address}");
            assert_eq!(table.name_of(address), None);
        }
    }

    #[test]
    fn a_flood_of_names_forgets_the_oldest_and_stays_bounded() {
        let mut table = SyntheticNames::default();
        let (first, _) = table.addresses_of(&name("first.example"));
        for number in 0..V4_SIZE {
            table.addresses_of(&name(&format!("n{number}.example")));
        }
        assert_eq!(table.names.len(), SYNTHETIC_NAMES);
        assert_eq!(table.numbers.len(), SYNTHETIC_NAMES);
        assert_eq!(table.order.len(), SYNTHETIC_NAMES);
        assert_ne!(table.name_of(first.into()), Some(name("first.example")));
    }
}
