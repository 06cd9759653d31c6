//! What a sandbox reaches and does not reach in a fake internet: DNS answers that lie, private networks, origins
//! that misbehave (lines 6–8). Asserted on what the origins and name servers saw.

use navigator_testkit::{FakeInternet, Origin, Seen};

use crate::harness::{Case, as_everyone, code, stderr, stdout};

/// Runs a Python program in a sandbox inside a fake internet.
fn inside(
    case: &Case,
    internet: &FakeInternet,
    endpoints: &str,
    program: &str,
) -> (std::process::Output, Vec<Seen>) {
    let policy = case.policy(&format!(
        "network_policies:\n  p:\n    endpoints: [{endpoints}]\n    binaries: [{{ path: \"/usr/bin/python3*\" }}]\n"
    ));
    let audit = case.path("audit.jsonl");
    let options = ["run", "-q", "--audit", audit.to_str().unwrap(), "--policy", &policy, "--"];
    let mut args = options.to_vec();
    args.extend(["/usr/bin/python3", "-c", program]);
    let dir = case.directory("internet");
    let launched = case.inside(internet, &dir, &args);
    let text = std::fs::read_to_string(dir.join("seen.jsonl")).unwrap_or_default();
    let seen = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    std::fs::remove_dir_all(&dir).unwrap();
    (launched, seen)
}

/// Python that prints what came of a CONNECT and of the first bytes through it.
const CONNECT: &str = r#"
import socket, sys
def connect(host, port, say=b"GET / HTTP/1.0\r\n\r\n"):
    s = socket.create_connection(("10.200.0.1", 3128), 10)
    s.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    head = s.recv(4096)
    if b" 200 " not in head[:20]: return head.split(b" ")[1].decode()
    s.sendall(say)
    s.shutdown(socket.SHUT_WR)
    # A server that speaks first may have spoken already.
    data = head.split(b"\r\n\r\n", 1)[1]
    while chunk := s.recv(65536): data += chunk
    return data
"#;

fn connections(seen: &[Seen]) -> Vec<&str> {
    seen.iter().filter(|seen| seen.kind == "connection").map(|seen| seen.what.as_str()).collect()
}

#[test]
fn an_allowed_host_is_reached_by_every_adapter() {
    as_everyone(|case| {
        let internet = FakeInternet::new()
            .name("a.example.net", &["203.0.113.10"])
            .origin("203.0.113.10:80", Origin::Http);
        let program = format!(
            "{CONNECT}\nimport urllib.request, os\nprint(b'200 OK' in connect('a.example.net', 80))\n\
             print(urllib.request.urlopen('http://a.example.net/p').read().decode())\n\
             os.environ.clear()\nurllib.request.install_opener(urllib.request.build_opener(urllib.request.ProxyHandler({{}})))\n\
             print(urllib.request.urlopen('http://a.example.net/q').read().decode())"
        );
        let (output, seen) = inside(case, &internet, "{ host: a.example.net, port: 80 }", &program);
        assert_eq!(
            stdout(&output),
            "True\nGET /p HTTP/1.1\nGET /q HTTP/1.1\n",
            "{}",
            stderr(&output)
        );
        assert_eq!(connections(&seen), ["203.0.113.10:80"; 3]);
    });
}

#[test]
fn one_bad_address_in_an_answer_denies_the_connection() {
    as_everyone(|case| {
        for bad in ["127.0.0.1", "169.254.169.254", "10.0.0.5", "::1", "fd00::5", "64:ff9b::7f00:1"]
        {
            let internet = FakeInternet::new()
                .name("a.example.net", &["203.0.113.10", bad])
                .origin("203.0.113.10:80", Origin::Http)
                .origin("169.254.169.254:80", Origin::Http)
                .origin("10.0.0.5:80", Origin::Http);
            let program = format!("{CONNECT}\nprint(connect('a.example.net', 80))");
            let (output, seen) =
                inside(case, &internet, "{ host: a.example.net, port: 80 }", &program);
            assert_eq!(stdout(&output), "403\n", "{bad}: {}", stderr(&output));
            assert!(connections(&seen).is_empty(), "{bad}: {seen:?}");
        }
    });
}

#[test]
fn private_networks_are_reached_only_where_they_are_listed() {
    as_everyone(|case| {
        let internet = FakeInternet::new()
            .name("db.example.net", &["10.0.0.5"])
            .origin("10.0.0.5:5432", Origin::Echo)
            .origin("10.9.0.5:5432", Origin::Echo);
        let program = format!(
            "{CONNECT}\nprint(connect('db.example.net', 5432, b'hello'), connect('10.9.0.5', 5432, b'hello'))"
        );
        let endpoint = "{ host: db.example.net, port: 5432, allowed_ips: [10.0.0.0/24] }";
        let (output, seen) = inside(case, &internet, endpoint, &program);
        assert_eq!(stdout(&output), "b'hello' 403\n", "{}", stderr(&output));
        assert_eq!(connections(&seen), ["10.0.0.5:5432"]);
        let (output, seen) =
            inside(case, &internet, "{ host: db.example.net, port: 5432 }", &program);
        assert_eq!(stdout(&output), "403 403\n", "{}", stderr(&output));
        assert!(connections(&seen).is_empty());
    });
}

#[test]
fn no_query_leaves_for_a_name_that_is_not_allowed() {
    as_everyone(|case| {
        let internet = FakeInternet::new().name("a.example.net", &["203.0.113.10"]);
        let program = format!(
            "{CONNECT}\nimport socket\nfor name in ('secret.evil.example', 'x.a.example.net'):\n  \
             try: socket.getaddrinfo(name, 80)\n  except OSError: pass\n  connect(name, 80)"
        );
        let (output, seen) = inside(case, &internet, "{ host: a.example.net, port: 80 }", &program);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        assert!(seen.is_empty(), "{seen:?}");
    });
}

#[test]
fn a_tunnel_keeps_half_closed_connections_and_every_byte() {
    as_everyone(|case| {
        let internet = FakeInternet::new()
            .name("a.example.net", &["203.0.113.10"])
            .origin("203.0.113.10:7", Origin::Echo);
        let program = r#"
import hashlib, os, socket, threading
s = socket.create_connection(("10.200.0.1", 3128), 10)
s.sendall(b"CONNECT a.example.net:7 HTTP/1.1\r\nHost: a.example.net:7\r\n\r\n")
assert b" 200 " in s.recv(4096)[:20]
sent = os.urandom(1 << 20) * 20
def send():
    s.sendall(sent)
    s.shutdown(socket.SHUT_WR)
threading.Thread(target=send).start()
got = b"".join(iter(lambda: s.recv(1 << 20), b""))
print(len(got), got == sent)
"#;
        let (output, _) = inside(case, &internet, "{ host: a.example.net, port: 7 }", program);
        assert_eq!(stdout(&output), "20971520 True\n", "{}", stderr(&output));
    });
}

#[test]
fn misbehaving_origins_and_names_get_a_clear_answer() {
    as_everyone(|case| {
        let internet = FakeInternet::new()
            .name("a.example.net", &["203.0.113.10"])
            .origin("203.0.113.10:1", Origin::Reset)
            .origin("203.0.113.10:2", Origin::Garbage);
        let program = format!(
            "{CONNECT}\ndef attempt(*a):\n  try: return connect(*a)\n  except OSError as e: return type(e).__name__\n\
             print(attempt('a.example.net', 3), attempt('b.example.net', 1), attempt('a.example.net', 2)[:2])"
        );
        let endpoints =
            "{ host: a.example.net, ports: [1, 2, 3] }, { host: b.example.net, port: 1 }";
        let (output, _) = inside(case, &internet, endpoints, &program);
        assert_eq!(stdout(&output), "502 502 b'\\x00\\xff'\n", "{}", stderr(&output));
    });
}
