//! Absolute-form HTTP, and what the proxy does not take.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use navigator_egress::{Adapter, AuditDecision};

use crate::sandbox::{Sandbox, allowing, in_namespaces, origin};

const PROXY: &str = "10.200.0.1:3128";

/// Answers each request with its own head and body as plain text.
fn mirror(stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    while let Some((head, length)) = read_head(&mut reader) {
        let mut body = vec![0u8; length];
        reader.read_exact(&mut body).unwrap();
        let text = format!("{head}|{}", String::from_utf8_lossy(&body));
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nKeep-Alive: 5\r\n\r\n{text}",
            text.len()
        );
        writer.write_all(answer.as_bytes()).unwrap();
    }
}

fn read_head(reader: &mut impl BufRead) -> Option<(String, usize)> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            return Some((head, length));
        }
        let lower = line.trim().to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&lower);
        head.push(';');
    }
}

#[test]
fn absolute_requests_are_written_anew_and_decided_one_by_one() {
    in_namespaces("http::absolute_requests_are_written_anew_and_decided_one_by_one", || {
        origin("203.0.113.7:80", mirror);
        let sandbox = Sandbox::start(&allowing(&[("origin.example", 80)]));
        let answer = sandbox
            .exchange(
                PROXY,
                "GET http://Origin.Example/a?b=c HTTP/1.1\r\nHost: origin.example\r\n\
                 Proxy-Authorization: secret\r\nConnection: x-hop\r\nX-Hop: 1\r\nX-End: 2\r\n\r\n\
                 POST http://origin.example/post HTTP/1.1\r\nHost: origin.example:80\r\n\
                 Content-Length: 4\r\n\r\nbody\
                 GET http://other.example/ HTTP/1.1\r\nHost: other.example\r\n\r\n",
            )
            .unwrap();
        assert!(answer.contains("get /a?b=c http/1.1;"), "{answer}");
        assert!(answer.contains("host: origin.example;"), "{answer}");
        assert!(answer.contains("x-end: 2;"), "{answer}");
        assert!(!answer.contains("x-hop") && !answer.contains("secret"), "{answer}");
        assert!(answer.contains("|body"), "{answer}");
        assert!(answer.contains("HTTP/1.1 403 Forbidden by policy: other.example:80"), "{answer}");
        let records = sandbox.records.take();
        let decisions: Vec<_> = records.iter().map(|record| record.decision).collect();
        assert_eq!(decisions, [AuditDecision::Allow, AuditDecision::Allow, AuditDecision::Deny]);
        assert!(records.iter().all(|record| record.adapter == Adapter::HttpProxy));
    });
}

#[test]
fn what_the_proxy_cannot_act_on_is_a_bad_request_and_no_decision() {
    in_namespaces("http::what_the_proxy_cannot_act_on_is_a_bad_request_and_no_decision", || {
        let sandbox = Sandbox::start(&allowing(&[("origin.example", 80)]));
        for request in [
            "GET / HTTP/1.1\r\nHost: origin.example\r\n\r\n",
            "GET https://origin.example/ HTTP/1.1\r\nHost: origin.example\r\n\r\n",
            "GET http://origin.example/ HTTP/1.1\r\nHost: other.example\r\n\r\n",
            "GET http://user@origin.example/ HTTP/1.1\r\nHost: origin.example\r\n\r\n",
            "CONNECT origin.example HTTP/1.1\r\n\r\n",
            "CONNECT origin.example:443 HTTP/1.1\r\nHost: other.example:443\r\n\r\n",
            "CONNECT origin.example:443 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "\0\x01\x02garbage\r\n\r\n",
        ] {
            let answer = sandbox.exchange(PROXY, request).unwrap_or_default();
            assert!(answer.starts_with("HTTP/1.1 400 "), "{request:?}: {answer:?}");
        }
        assert!(sandbox.records.take().is_empty());
        let flood = format!(
            "GET http://origin.example/ HTTP/1.1\r\n{}\r\n",
            "X-Flood: 0123456789012345678901234567890123456789\r\n".repeat(2000)
        );
        let answer = sandbox.exchange(PROXY, &flood).unwrap_or_default();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer:?}");
    });
}
