//! The same over HTTP/2: to an origin that speaks HTTP/1.1, and to one made of another HTTP/2 library.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::frames::{self, Case};
use crate::internet::{After, By, Dialler, PATIENCE, origins, policy};
use crate::python;
use crate::sandbox::{Sandbox, in_namespaces};
use crate::smuggling::{allowed, judge};

const CASES: &str = include_str!("../corpus/http2.txt");

fn send(sandbox: &Sandbox, dialler: &Dialler, case: &Case, by: By) {
    let scheme = if by == By::Tls { "https" } else { "http" };
    let (bytes, streams) = case.bytes(scheme);
    let dialler = dialler.clone();
    sandbox.inside(move || frames::exchange(&mut dialler.dial(by), &bytes, streams));
}

/// Path of the request behind each case.
const LAST: &str = "/open/last";

fn is_last(stream: &[u8]) -> bool {
    stream.starts_with(format!("GET {LAST} ").as_bytes())
}

/// Waits until the relay has come to what the case left behind: its connection has ended, and a request that came
/// later was answered.
fn settle(sandbox: &Sandbox, dialler: &Dialler) {
    let since = Instant::now();
    while sandbox.context.open_tunnels() > 0 {
        assert!(since.elapsed() < PATIENCE, "the connection stays open");
        std::thread::yield_now();
    }
    let dialler = dialler.clone();
    let last = format!("GET {LAST} HTTP/1.1\r\nHost: origin.example\r\n\r\n");
    let answer = sandbox.inside(move || dialler.dial(By::Captured).exchange(last.as_bytes()));
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{answer:?}");
}

#[test]
fn nothing_is_smuggled_from_http2_to_http1() {
    in_namespaces("smuggling_http2::nothing_is_smuggled_from_http2_to_http1", || {
        let (arrivals, trust) = origins(After::Close);
        let sandbox = Sandbox::trusting(&policy(), trust);
        let dialler = Dialler::new(&sandbox, "h2");
        let (cases, mut wrong) = (frames::cases(CASES), vec![]);
        for case in &cases {
            sandbox.records.take();
            send(&sandbox, &dialler, case, By::Tls);
            settle(&sandbox, &dialler);
            sandbox.until_quiet();
            let streams: Vec<_> = arrivals.take().into_iter().filter(|s| !is_last(s)).collect();
            let mut records = sandbox.records.take();
            records.retain(|record| {
                record.request.as_ref().is_none_or(|request| request.path != LAST)
            });
            if let Err(why) = judge(&case.expected, &streams, &records) {
                wrong.push(format!("{}: {why}; expected {}", case.name, case.expected));
            }
        }
        eprintln!("{} HTTP/2 requests to HTTP/1.1", cases.len());
        assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    });
}

/// The origin, as a program of its own.
struct Origin(Child);

impl Origin {
    fn start(python: &str) -> Origin {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/h2_origin.py");
        let mut child = Command::new(python)
            .args([script, "203.0.113.7", "80"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        // A byte at a time: what follows stays in the pipe.
        let mut first = BufReader::with_capacity(1, child.stdout.as_mut().unwrap());
        first.read_line(&mut line).unwrap();
        assert_eq!(line, "listening\n");
        Origin(child)
    }

    fn requests(self) -> Vec<Value> {
        TcpStream::connect("203.0.113.7:80").unwrap().write_all(b"END").unwrap();
        let output = self.0.wait_with_output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn field<'a>(request: &'a Value, name: &str) -> Option<&'a str> {
    let fields = request["fields"].as_array().unwrap();
    let mut found = fields.iter().filter(|field| field[0] == name);
    let value = found.next()?;
    assert!(found.next().is_none(), "{name} twice in {request}");
    value[1].as_str()
}

#[test]
fn another_http2_library_reads_what_was_judged() {
    let Some(python) = python::with("h2") else { return };
    in_namespaces("smuggling_http2::another_http2_library_reads_what_was_judged", || {
        let origin = Origin::start(&python);
        let sandbox = Sandbox::start(&policy());
        let dialler = Dialler::new(&sandbox, "h2");
        for case in frames::cases(CASES) {
            send(&sandbox, &dialler, &case, By::Captured);
        }
        let mut allowed = allowed(&sandbox.records.take());
        drop(sandbox);
        let requests = origin.requests();
        eprintln!("{} requests read by h2, {} allowed", requests.len(), allowed.len());
        assert!(requests.len() >= 10, "{requests:?}");
        for request in &requests {
            assert!(request.get("error").is_none(), "{request}");
            assert_eq!(field(request, ":authority"), Some("origin.example"), "{request}");
            assert_eq!(field(request, "host"), None, "{request}");
            let (method, path) = (field(request, ":method"), field(request, ":path"));
            let name = format!("{} {}", method.unwrap(), path.unwrap());
            let at = allowed.iter().position(|allowed| *allowed == name);
            allowed.remove(at.unwrap_or_else(|| panic!("{name} was not allowed")));
        }
    });
}
