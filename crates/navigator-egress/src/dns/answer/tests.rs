use hickory_proto::rr::Name;
use proptest::prelude::*;

use super::*;

const V4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
const V6: Ipv6Addr = Ipv6Addr::new(0xfd6e, 0, 0, 0, 0, 0, 0, 1);

fn known(name: &HostName) -> NameAddress {
    match name.as_ref() {
        "known.example" => NameAddress::Synthetic(V4, V6),
        "localhost" => NameAddress::Loopback,
        _ => NameAddress::None,
    }
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(9, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

fn answered(question: &Message) -> Message {
    Message::from_vec(&answer(&question.to_vec().unwrap(), &known).unwrap()).unwrap()
}

#[test]
fn known_names_have_one_address_of_each_family_and_nothing_else() {
    for (name, kind, data) in [
        ("known.example.", RecordType::A, Some(RData::A(A(V4)))),
        ("KNOWN.Example.", RecordType::A, Some(RData::A(A(V4)))),
        ("known.example.", RecordType::AAAA, Some(RData::AAAA(AAAA(V6)))),
        ("localhost.", RecordType::A, Some(RData::A(A(Ipv4Addr::LOCALHOST)))),
        ("localhost.", RecordType::AAAA, Some(RData::AAAA(AAAA(Ipv6Addr::LOCALHOST)))),
        ("known.example.", RecordType::MX, None),
        ("known.example.", RecordType::HTTPS, None),
    ] {
        let reply = answered(&question(name, kind));
        assert_eq!(reply.metadata.response_code, ResponseCode::NoError, "{name} {kind}");
        assert_eq!(reply.answers.first().map(|record| record.data.clone()), data, "{name} {kind}");
        assert_eq!(reply.metadata.id, 9);
        assert!(reply.metadata.recursion_desired && reply.metadata.recursion_available);
    }
}

#[test]
fn everything_else_does_not_exist_or_is_refused() {
    for (name, kind, code) in [
        ("other.example.", RecordType::A, ResponseCode::NXDomain),
        ("other.example.", RecordType::MX, ResponseCode::NXDomain),
        ("1.0.18.198.in-addr.arpa.", RecordType::PTR, ResponseCode::NXDomain),
        ("127.0.0.1.", RecordType::A, ResponseCode::NXDomain),
        (".", RecordType::NS, ResponseCode::NXDomain),
        ("known.example.", RecordType::TXT, ResponseCode::Refused),
        ("known.example.", RecordType::ANY, ResponseCode::Refused),
        ("known.example.", RecordType::AXFR, ResponseCode::Refused),
        ("other.example.", RecordType::NULL, ResponseCode::Refused),
    ] {
        let reply = answered(&question(name, kind));
        assert_eq!(reply.metadata.response_code, code, "{name} {kind}");
        assert!(reply.answers.is_empty());
    }
}

#[test]
fn messages_that_are_no_plain_question_are_turned_away() {
    let mut update = question("known.example.", RecordType::A);
    update.metadata.op_code = OpCode::Status;
    assert_eq!(answered(&update).metadata.response_code, ResponseCode::NotImp);

    let mut two = question("known.example.", RecordType::A);
    two.add_query(two.queries[0].clone());
    assert_eq!(answered(&two).metadata.response_code, ResponseCode::FormErr);

    let mut chaos = question("known.example.", RecordType::A);
    chaos.queries[0].set_query_class(DNSClass::CH);
    assert_eq!(answered(&chaos).metadata.response_code, ResponseCode::Refused);

    let mut response = question("known.example.", RecordType::A);
    response.metadata.message_type = MessageType::Response;
    assert_eq!(answer(&response.to_vec().unwrap(), &known), None, "no loops");
    assert_eq!(answer(b"short", &known), None);
    let torn = &question("known.example.", RecordType::A).to_vec().unwrap()[..20];
    let reply = Message::from_vec(&answer(torn, &known).unwrap()).unwrap();
    assert_eq!(reply.metadata.response_code, ResponseCode::FormErr);
}

#[test]
fn extended_dns_is_answered_in_kind() {
    let mut extended = question("known.example.", RecordType::A);
    extended.set_edns(Edns::new());
    assert!(answered(&extended).edns.is_some());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_talk_long(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        if let Some(reply) = answer(&bytes, &known) {
            prop_assert!(reply.len() <= MAX_DNS_MESSAGE);
        }
    }

    #[test]
    fn a_damaged_question_never_panics(at in 0usize..40, byte in any::<u8>()) {
        let mut bytes = question("known.example.", RecordType::A).to_vec().unwrap();
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
        let _ = answer(&bytes, &known);
    }

    #[test]
    fn an_unknown_name_never_has_an_address(label in "[a-z0-9_-]{1,63}", kind in any::<u16>()) {
        let name = format!("{label}.example.");
        prop_assume!(label != "known");
        if let Ok(parsed) = Name::from_ascii(&name) {
            let mut message = Message::new(1, MessageType::Query, OpCode::Query);
            message.add_query(Query::query(parsed, RecordType::from(kind)));
            if let Ok(bytes) = message.to_vec()
                && let Some(reply) = answer(&bytes, &known)
            {
                prop_assert!(Message::from_vec(&reply).unwrap().answers.is_empty());
            }
        }
    }
}
