//! One DNS message in, one out: A and AAAA of known names, and a refusal for everything else.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{DNSClass, RData, Record, RecordType};
use navigator_policy::{Host, HostName};

use crate::limits::MAX_DNS_MESSAGE;

/// Seconds an answer may be kept. A synthetic address stays with its name far longer.
const TTL: u32 = 60;

/// What a name resolves to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameAddress {
    /// The sandbox itself.
    Loopback,
    /// Addresses that stand for the name.
    Synthetic(Ipv4Addr, Ipv6Addr),
    /// None: the name does not exist here.
    None,
}

/// Answers a message. What does not parse but has a header gets `FORMERR`; what is no query gets
/// nothing, so that two servers cannot be made to talk to each other.
pub(crate) fn answer(
    message: &[u8],
    address_of: &dyn Fn(&HostName) -> NameAddress,
) -> Option<Vec<u8>> {
    let header: [u8; 12] = message.get(..12)?.try_into().ok()?;
    let id = u16::from_be_bytes([header[0], header[1]]);
    if header[2] & 0x80 != 0 {
        return None;
    }
    let Ok(question) = Message::from_vec(message) else {
        return encode(&Message::error_msg(id, OpCode::Query, ResponseCode::FormErr));
    };
    encode(&reply(&question, address_of))
}

fn reply(question: &Message, address_of: &dyn Fn(&HostName) -> NameAddress) -> Message {
    let metadata = &question.metadata;
    let mut reply = Message::response(metadata.id, metadata.op_code);
    reply.metadata.recursion_desired = metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    if question.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(MAX_DNS_MESSAGE as u16);
        reply.set_edns(edns);
    }
    if metadata.message_type != MessageType::Query || metadata.op_code != OpCode::Query {
        reply.metadata.response_code = ResponseCode::NotImp;
        return reply;
    }
    let [query] = question.queries.as_slice() else {
        reply.metadata.response_code = ResponseCode::FormErr;
        return reply;
    };
    reply.add_query(query.clone());
    let (code, record) = look_up(query, address_of);
    reply.metadata.response_code = code;
    reply.answers.extend(record);
    reply
}

fn look_up(
    query: &Query,
    address_of: &dyn Fn(&HostName) -> NameAddress,
) -> (ResponseCode, Option<Record>) {
    if query.query_class() != DNSClass::IN || is_refused(query.query_type()) {
        return (ResponseCode::Refused, None);
    }
    let Ok(Host::Name(name)) = Host::parse(&query.name().to_ascii()) else {
        return (ResponseCode::NXDomain, None);
    };
    let (v4, v6) = match address_of(&name) {
        NameAddress::Loopback => (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST),
        NameAddress::Synthetic(v4, v6) => (v4, v6),
        NameAddress::None => return (ResponseCode::NXDomain, None),
    };
    let data = match query.query_type() {
        RecordType::A => RData::A(A(v4)),
        RecordType::AAAA => RData::AAAA(AAAA(v6)),
        // The name exists and has nothing of this type.
        _ => return (ResponseCode::NoError, None),
    };
    (ResponseCode::NoError, Some(Record::from_rdata(query.name().clone(), TTL, data)))
}

/// Types that carry arbitrary data or whole zones.
fn is_refused(kind: RecordType) -> bool {
    matches!(
        kind,
        RecordType::TXT
            | RecordType::ANY
            | RecordType::AXFR
            | RecordType::IXFR
            | RecordType::NULL
            | RecordType::OPT
    )
}

fn encode(message: &Message) -> Option<Vec<u8>> {
    message.to_vec().ok().filter(|bytes| bytes.len() <= MAX_DNS_MESSAGE)
}

#[cfg(test)]
mod tests;
