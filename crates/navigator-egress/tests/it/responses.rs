//! Responses that two readers could read differently: the client gets one with a single meaning, and what is left on a
//! connection never answers the next request.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::corpus::{Case, cases, unescape};
use crate::internet::{By, Dialler, policy};
use crate::sandbox::{Sandbox, in_namespaces, origin};
use crate::wire;

const RESPONSES: &str = include_str!("../corpus/responses.txt");

/// Answers `/open/NUMBER` with the response of that case, and everything else with its own.
fn serve(mut stream: TcpStream, cases: &[Case]) {
    let (mut bytes, mut answered, mut buffer) = (vec![], 0, [0; 4096]);
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..read]);
        let Ok(requests) = wire::requests(&bytes) else { continue };
        for request in &requests[answered..] {
            let number = request.target.strip_prefix("/open/").and_then(|text| text.parse().ok());
            let case = number.and_then(|number: usize| cases.get(number));
            let text = case
                .map_or("HTTP/1.1 200 OK\\r\\nContent-Length: 4\\r\\n\\r\\nnext", |case| {
                    case.bytes.as_str()
                });
            let kept = text.strip_suffix("{close}");
            let _ = stream.write_all(&unescape(kept.unwrap_or(text)));
            if kept.is_some() {
                return;
            }
        }
        answered = requests.len();
    }
}

fn ask(sandbox: &Sandbox, dialler: &Dialler, by: By, method: &str, path: &str) -> Vec<u8> {
    let prefix = if by == By::Absolute { "http://origin.example" } else { "" };
    let request = format!(
        "{method} {prefix}/open/{path} HTTP/1.1\r\nHost: origin.example\r\nConnection: close\r\n\r\n"
    );
    let dialler = dialler.clone();
    sandbox.inside(move || dialler.dial(by).exchange(request.as_bytes()))
}

fn judge(case: &Case, method: &str, answer: &[u8]) -> Result<(), String> {
    if answer.is_empty() && case.expected == "cut" {
        return Ok(());
    }
    let answer = wire::only_response(answer, method)?;
    let body = String::from_utf8_lossy(&answer.body);
    let found = match (answer.status, answer.whole) {
        (502, true) => "502".to_owned(),
        (_, false) => "cut".to_owned(),
        (status, true) => format!("{status} {body}").trim_end().to_owned(),
    };
    if found == case.expected || case.expected == "cut" && found == "502" {
        return Ok(());
    }
    Err(format!("{found:?} instead of {:?}", case.expected))
}

#[test]
fn a_response_has_one_meaning_and_the_next_request_gets_its_own() {
    let name = "responses::a_response_has_one_meaning_and_the_next_request_gets_its_own";
    in_namespaces(name, || {
        let cases = Arc::new(cases(RESPONSES));
        let (served, connections) = (cases.clone(), Arc::new(AtomicUsize::new(0)));
        let counted = connections.clone();
        origin("203.0.113.7:80", move |stream| {
            counted.fetch_add(1, Ordering::SeqCst);
            serve(stream, &served);
        });
        let sandbox = Sandbox::start(&policy());
        let dialler = Dialler::new(&sandbox, "http/1.1");
        let mut wrong = vec![];
        for by in [By::Captured, By::Absolute] {
            for (number, case) in cases.iter().enumerate() {
                let before = connections.load(Ordering::SeqCst);
                let method = if case.name.starts_with("head") { "HEAD" } else { "GET" };
                let answer = ask(&sandbox, &dialler, by, method, &number.to_string());
                if let Err(why) = judge(case, method, &answer) {
                    let text = String::from_utf8_lossy(&answer);
                    let text: String = text.chars().take(300).collect();
                    wrong.push(format!("{} by {by:?}: {why}: {text:?}", case.name));
                }
                let next = ask(&sandbox, &dialler, by, "GET", "next");
                let next = wire::only_response(&next, "GET").unwrap();
                assert_eq!((next.status, &*next.body), (200, &b"next"[..]), "after {}", case.name);
                let dialled = connections.load(Ordering::SeqCst) - before;
                // The relay does keep connections, or nothing could have been poisoned.
                assert!(case.name != "clean" || dialled <= 1, "{dialled} connections");
            }
        }
        eprintln!("{} responses", cases.len());
        assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    });
}
