use proptest::prelude::*;

use super::*;

fn request(bytes: &[u8]) -> Result<String, Reply> {
    match parse(bytes) {
        Parsed::Request(request) => request.map(|to| format!("{} {}", to.host, to.port)),
        Parsed::Needs(more) => panic!("{more} bytes are missing"),
    }
}

fn named(name: &[u8]) -> Vec<u8> {
    let mut bytes = vec![5, 1, 0, 3, u8::try_from(name.len()).unwrap()];
    bytes.extend_from_slice(name);
    bytes.extend_from_slice(&[1, 187]);
    bytes
}

#[test]
fn names_and_addresses_are_targets() {
    assert_eq!(request(&named(b"PyPI.org")).unwrap(), "pypi.org 443");
    assert_eq!(request(&[5, 1, 0, 1, 192, 0, 2, 1, 0, 80]).unwrap(), "192.0.2.1 80");
    let mut v6 = vec![5, 1, 0, 4, 0x20, 1, 0xd, 0xb8];
    v6.extend_from_slice(&[0; 11]);
    v6.extend_from_slice(&[1, 0, 80]);
    assert_eq!(request(&v6).unwrap(), "[2001:db8::1] 80");
}

#[test]
fn an_address_in_disguise_is_that_address() {
    assert_eq!(request(&named(b"127.0.0.1")).unwrap(), "127.0.0.1 443");
    let mut mapped = vec![5, 1, 0, 4];
    mapped.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1, 0, 80]);
    assert_eq!(request(&mapped).unwrap(), "127.0.0.1 80");
}

#[test]
fn what_is_not_understood_has_its_own_reply() {
    assert_eq!(request(&[4, 1, 0, 1, 0]), Err(Reply::Failed));
    assert_eq!(request(&[5, 1, 0, 9]), Err(Reply::AddressUnknown));
    assert_eq!(request(&[5, 2, 0, 1, 192, 0, 2, 1, 0, 80]), Err(Reply::CommandUnknown));
    assert_eq!(request(&[5, 1, 0, 1, 192, 0, 2, 1, 0, 0]), Err(Reply::AddressUnknown));
    for name in [&b""[..], b"a\0.example", b"a\r\n", b"a b", b"\xff", b"a:443", b"user@a"] {
        assert_eq!(request(&named(name)), Err(Reply::AddressUnknown), "{name:?}");
    }
}

proptest! {
    /// Never more is read than belongs to the request: what follows it is the client's first data.
    #[test]
    fn a_request_is_read_to_its_last_byte(bytes in proptest::collection::vec(any::<u8>(), LONGEST..LONGEST + 8)) {
        let mut known = 0;
        loop {
            match parse(&bytes[..known]) {
                Parsed::Request(_) => break,
                Parsed::Needs(more) => {
                    prop_assert!(more > 0);
                    known += more;
                    prop_assert!(known <= LONGEST);
                }
            }
        }
    }
}
