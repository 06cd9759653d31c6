//! The name server of a fake internet.

use std::collections::BTreeMap;
use std::net::{IpAddr, UdpSocket};

use anyhow::{Context, Result};
use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::{RData, Record, RecordType};

use crate::world::Log;

/// Answers on 127.0.0.1:53 until the process ends.
pub(crate) fn serve(names: BTreeMap<String, Vec<IpAddr>>, log: Log) -> Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:53").context("failed to listen for DNS")?;
    std::thread::Builder::new().name("dns".into()).spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, asker)) = socket.recv_from(&mut buffer) {
            let answer = Message::from_vec(&buffer[..length])
                .ok()
                .and_then(|question| answer(&question, &names, &log));
            if let Some(answer) = answer {
                // An asker that is gone needs no answer.
                let _unheard = socket.send_to(&answer, asker);
            }
        }
    })?;
    Ok(())
}

fn answer(question: &Message, names: &BTreeMap<String, Vec<IpAddr>>, log: &Log) -> Option<Vec<u8>> {
    let query = question.queries.first()?;
    let name = query.name().to_ascii().trim_end_matches('.').to_ascii_lowercase();
    log.note("dns", &name, &query.query_type().to_string());
    let mut answer = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
    answer.add_query(query.clone());
    match names.get(&name) {
        None => answer.metadata.response_code = ResponseCode::NXDomain,
        Some(addresses) => {
            for address in addresses {
                let data = match (address, query.query_type()) {
                    (IpAddr::V4(address), RecordType::A) => RData::A((*address).into()),
                    (IpAddr::V6(address), RecordType::AAAA) => RData::AAAA((*address).into()),
                    _ => continue,
                };
                answer.add_answer(Record::from_rdata(query.name().clone(), 0, data));
            }
        }
    }
    answer.to_vec().ok()
}
