use std::sync::Arc;

use navigator_policy::{HostName, check_address};
use tokio::net::TcpListener;

use super::*;
use crate::resolve::Resolving;

struct Fixed(Vec<IpAddr>);

impl Resolve for Fixed {
    fn resolve<'a>(&'a self, name: &'a HostName) -> Resolving<'a> {
        Box::pin(async move {
            if self.0.is_empty() {
                return Err(ResolveError::Empty { name: name.clone() });
            }
            Ok(Arc::from(self.0.clone()))
        })
    }
}

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn checked(texts: &[&str]) -> Result<CheckedAddresses, AddressError> {
    let host = Host::parse("name.example").unwrap();
    run(checked_addresses(&host, &Fixed(addresses(texts)), &|address| check_address(address, &[])))
}

#[test]
fn families_alternate_starting_with_the_resolvers_choice() {
    let ordered = interleave(addresses(&["2001:db8::1", "2001:db8::2", "192.0.2.1"]));
    assert_eq!(ordered, addresses(&["2001:db8::1", "192.0.2.1", "2001:db8::2"]));
    let ordered = interleave(addresses(&["192.0.2.1", "2001:db8::1", "2001:db8::2"]));
    assert_eq!(ordered, addresses(&["192.0.2.1", "2001:db8::1", "2001:db8::2"]));
}

#[test]
fn public_addresses_pass_and_one_bad_one_denies_them_all() {
    assert_eq!(checked(&["203.0.113.7"]).unwrap().as_slice(), addresses(&["203.0.113.7"]));
    for bad in ["127.0.0.1", "::1"] {
        for answer in [&[bad][..], &["203.0.113.7", bad], &[bad, "203.0.113.7"]] {
            let error = checked(answer).unwrap_err();
            assert!(matches!(error, AddressError::Refused { .. }), "{answer:?}: {error}");
        }
    }
    assert!(matches!(checked(&[]), Err(AddressError::Resolve(_))));
}

#[test]
fn an_address_is_checked_like_a_name() {
    let host = Host::Address(IpAddr::from([127, 0, 0, 1]));
    let found =
        run(checked_addresses(&host, &Fixed(vec![]), &|address| check_address(address, &[])));
    assert!(matches!(found, Err(AddressError::Refused { .. })));
}

#[test]
fn the_next_address_is_tried_when_one_refuses() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        // Nothing listens on the other loopback addresses.
        let several = addresses(&["127.0.0.2", "127.0.0.3", "127.0.0.1"]);
        let stream = race(&several, port, Duration::from_secs(600)).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
        assert!(stream.nodelay().unwrap());
    });
}

#[test]
fn no_address_that_answers_is_an_error_with_its_reason() {
    run(async {
        let several = addresses(&["127.0.0.2", "127.0.0.3"]);
        let error = race(&several, 9, Duration::from_secs(600)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    });
}
