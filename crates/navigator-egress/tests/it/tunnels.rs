//! `CONNECT`, transparent capture and DNS.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use navigator_egress::{Adapter, AuditDecision};

use crate::sandbox::{Sandbox, allowing, compile, echo, in_namespaces, origin};

const PROXY: &str = "10.200.0.1:3128";

#[test]
fn connect_carries_bytes_both_ways_and_is_recorded_once() {
    in_namespaces("tunnels::connect_carries_bytes_both_ways_and_is_recorded_once", || {
        origin("203.0.113.7:443", echo);
        let sandbox = Sandbox::start(&allowing(&[("origin.example", 443)]));
        let head = "CONNECT origin.example:443 HTTP/1.1\r\nHost: origin.example:443\r\n\r\n";
        // `early` arrives with the head: it must come first, and once.
        let answer = sandbox.exchange(PROXY, &format!("{head}early")).unwrap();
        assert_eq!(answer, "HTTP/1.1 200 OK\r\n\r\nearly");
        let records = sandbox.records.take();
        assert_eq!(records.len(), 1, "{records:?}");
        let record = &records[0];
        assert_eq!((record.decision, record.adapter), (AuditDecision::Allow, Adapter::Connect));
        assert_eq!((record.host.as_str(), record.port), ("origin.example", 443));
        let program = record.program.as_ref().unwrap();
        assert_eq!(program.executable, std::env::current_exe().unwrap().to_str().unwrap());
        assert_eq!(program.sha256.len(), 64);
    });
}

#[test]
fn connect_that_is_denied_names_host_port_and_program() {
    in_namespaces("tunnels::connect_that_is_denied_names_host_port_and_program", || {
        let sandbox = Sandbox::start(&allowing(&[("origin.example", 443)]));
        let head = "CONNECT other.example:443 HTTP/1.1\r\nHost: other.example:443\r\n\r\n";
        let answer = sandbox.exchange(PROXY, head).unwrap();
        let own = std::env::current_exe().unwrap();
        let line = format!(
            "HTTP/1.1 403 Forbidden by policy: other.example:443 is not allowed for {}\r\n",
            own.display()
        );
        assert!(answer.starts_with(&line), "{answer}");
        assert!(answer.to_ascii_lowercase().contains("x-navigator-policy: "), "{answer}");
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        assert!(body.contains(r#""error":"policy_denied""#), "{answer}");
        let records = sandbox.records.take();
        assert_eq!(records.len(), 1, "{records:?}");
        assert_eq!(records[0].decision, AuditDecision::Deny);
    });
}

#[test]
fn one_bad_address_denies_the_connection() {
    in_namespaces("tunnels::one_bad_address_denies_the_connection", || {
        origin("203.0.113.7:443", echo);
        let sandbox =
            Sandbox::start(&allowing(&[("mixed.example", 443), ("private.example", 443)]));
        for host in ["mixed.example", "private.example"] {
            let head = format!("CONNECT {host}:443 HTTP/1.1\r\n\r\n");
            let answer = sandbox.exchange(PROXY, &head).unwrap();
            assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
            let records = sandbox.records.take();
            assert_eq!(records.len(), 1, "{records:?}");
            assert_eq!(records[0].reason.as_deref(), Some("address"));
        }
    });
}

#[test]
fn upstream_failures_have_their_own_status() {
    in_namespaces("tunnels::upstream_failures_have_their_own_status", || {
        let sandbox =
            Sandbox::start(&allowing(&[("closed.example", 443), ("missing.example", 443)]));
        for host in ["closed.example", "missing.example"] {
            let head = format!("CONNECT {host}:443 HTTP/1.1\r\n\r\n");
            let answer = sandbox.exchange(PROXY, &head).unwrap();
            assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
            assert!(answer.contains(r#""error":"upstream_failed""#), "{answer}");
        }
    });
}

#[test]
fn a_program_that_ignores_the_proxy_is_captured_by_name() {
    in_namespaces("tunnels::a_program_that_ignores_the_proxy_is_captured_by_name", || {
        origin("203.0.113.7:443", echo);
        let sandbox = Sandbox::start(&allowing(&[("origin.example", 443)]));
        for kind in [RecordType::A, RecordType::AAAA] {
            let address = match ask(&sandbox, "origin.example.", kind).1 {
                Some(RData::A(a)) => SocketAddr::from((a.0, 443)),
                Some(RData::AAAA(aaaa)) => SocketAddr::from((aaaa.0, 443)),
                other => panic!("{other:?}"),
            };
            assert_eq!(sandbox.exchange(&address.to_string(), "hello").unwrap(), "hello");
        }
        let records = sandbox.records.take();
        assert_eq!(records.len(), 2, "{records:?}");
        assert!(records.iter().all(|record| record.adapter == Adapter::Transparent));
        assert!(records.iter().all(|record| record.host == "origin.example"));
    });
}

#[test]
fn captured_connections_that_are_denied_are_reset() {
    in_namespaces("tunnels::captured_connections_that_are_denied_are_reset", || {
        origin("203.0.113.7:443", echo);
        let sandbox = Sandbox::start(&allowing(&[("origin.example", 443)]));
        for to in ["203.0.113.7:443", "127.0.0.1:443", "10.200.0.1:443", "198.18.9.9:443"] {
            let error = sandbox.exchange(to, "hello").unwrap_err();
            let reset = [
                std::io::ErrorKind::ConnectionReset,
                std::io::ErrorKind::BrokenPipe,
                std::io::ErrorKind::NotConnected,
            ];
            assert!(reset.contains(&error.kind()), "{to}: {error}");
            assert_eq!(sandbox.records.take().len(), 1, "{to}");
        }
    });
}

#[test]
fn names_without_a_policy_do_not_exist() {
    in_namespaces("tunnels::names_without_a_policy_do_not_exist", || {
        let sandbox = Sandbox::start(&allowing(&[("origin.example", 443)]));
        let (code, data) = ask(&sandbox, "secret.attacker.example.", RecordType::A);
        assert_eq!((code, data), (ResponseCode::NXDomain, None));
        let (code, _) = ask(&sandbox, "secret.attacker.example.", RecordType::AAAA);
        assert_eq!(code, ResponseCode::NXDomain);
        assert_eq!(sandbox.records.take().len(), 1, "asked twice, recorded once");
        let (code, _) = ask(&sandbox, "origin.example.", RecordType::TXT);
        assert_eq!(code, ResponseCode::Refused);
    });
}

#[test]
fn dns_answers_over_tcp_too() {
    in_namespaces("tunnels::dns_answers_over_tcp_too", || {
        let sandbox = Sandbox::start(&allowing(&[("origin.example", 443)]));
        let question = question("origin.example.", RecordType::A);
        let answer = sandbox.inside(move || {
            let mut stream = TcpStream::connect("10.200.0.1:53").unwrap();
            stream.write_all(&(question.len() as u16).to_be_bytes()).unwrap();
            stream.write_all(&question).unwrap();
            let mut length = [0u8; 2];
            stream.read_exact(&mut length).unwrap();
            let mut answer = vec![0u8; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut answer).unwrap();
            answer
        });
        assert_eq!(Message::from_vec(&answer).unwrap().answers.len(), 1);
    });
}

#[test]
fn a_policy_that_takes_the_right_away_closes_the_open_tunnel() {
    in_namespaces("tunnels::a_policy_that_takes_the_right_away_closes_the_open_tunnel", || {
        origin("203.0.113.7:443", echo);
        let sandbox = Sandbox::start(&allowing(&[("origin.example", 443)]));
        let mut stream = sandbox.inside(|| {
            let mut stream = TcpStream::connect(PROXY).unwrap();
            stream.write_all(b"CONNECT origin.example:443 HTTP/1.1\r\n\r\n").unwrap();
            stream
        });
        let mut answer = [0u8; 19];
        stream.read_exact(&mut answer).unwrap();
        stream.write_all(b"ping").unwrap();
        let mut echoed = [0u8; 4];
        stream.read_exact(&mut echoed).unwrap();
        assert_eq!(sandbox.context.open_tunnels(), 1);

        sandbox.context.replace_policy(compile(&allowing(&[("origin.example", 443)])));
        stream.write_all(b"pong").unwrap();
        stream.read_exact(&mut echoed).unwrap();
        assert_eq!(&echoed, b"pong", "a policy that still allows it changes nothing");

        sandbox.context.replace_policy(compile(&allowing(&[("other.example", 443)])));
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        assert_eq!(stream.read(&mut echoed).unwrap_or(0), 0);
        let records = sandbox.records.take();
        assert_eq!(records.last().unwrap().decision, AuditDecision::Revoke);
    });
}

fn question(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message.to_vec().unwrap()
}

pub(crate) fn ask(
    sandbox: &Sandbox,
    name: &str,
    kind: RecordType,
) -> (ResponseCode, Option<RData>) {
    let question = question(name, kind);
    let answer = sandbox.inside(move || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        // A connected socket drops an answer that comes from another address.
        socket.connect("10.200.0.1:53").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket.send(&question).unwrap();
        let mut answer = vec![0u8; 4096];
        let length = socket.recv(&mut answer).unwrap();
        answer.truncate(length);
        answer
    });
    let message = Message::from_vec(&answer).unwrap();
    let data = message.answers.first().map(|record| record.data.clone());
    (message.metadata.response_code, data)
}
