//! The fake internet itself: real clients in it see what was described, and nothing else.

mod postgres;
mod web;

use std::process::Command;

use navigator_testkit::{FakeInternet, Origin};

fn python(code: &str) -> Command {
    let mut command = Command::new("python3");
    command.args(["-c", code]);
    command
}

fn run(internet: &FakeInternet, code: &str) -> (String, Vec<navigator_testkit::Seen>) {
    let (output, seen) = internet.run(&python(code)).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (String::from_utf8(output.stdout).unwrap(), seen)
}

#[test]
fn names_resolve_to_their_addresses_and_others_do_not() {
    let internet = FakeInternet::new().name("a.example.net", &["203.0.113.1", "2001:db8::1"]);
    let code = "import socket\nprint(sorted({a[4][0] for a in socket.getaddrinfo('a.example.net', 1)}))\n\
                try: socket.getaddrinfo('b.example.net', 1)\nexcept OSError: print('unknown')";
    let (output, seen) = run(&internet, code);
    assert_eq!(output, "['2001:db8::1', '203.0.113.1']\nunknown\n");
    assert!(seen.iter().any(|seen| seen.kind == "dns" && seen.what == "b.example.net"));
}

#[test]
fn http_and_tls_origins_answer() {
    let internet = FakeInternet::new()
        .name("a.example.net", &["203.0.113.1"])
        .origin("203.0.113.1:80", Origin::Http)
        .origin("203.0.113.1:443", Origin::Tls { name: "a.example.net".into() });
    let dir = tempfile::tempdir().unwrap();
    let code = format!(
        "import urllib.request, ssl\nprint(urllib.request.urlopen('http://a.example.net/x').read().decode())\n\
         c = ssl.create_default_context(cafile='{}/ca.pem')\n\
         print(urllib.request.urlopen('https://a.example.net/y', context=c).read().decode())",
        dir.path().display()
    );
    let output = internet.launcher(dir.path(), &python(&code)).unwrap().output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        text,
        "GET /x HTTP/1.1\nGET /y HTTP/1.1\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn bad_origins_behave_badly() {
    let internet = FakeInternet::new()
        .origin("203.0.113.1:1", Origin::Reset)
        .origin("203.0.113.1:2", Origin::Garbage)
        .origin("203.0.113.1:3", Origin::Silent)
        .origin("203.0.113.1:4", Origin::Echo)
        .origin("203.0.113.1:5", Origin::Slow { pause_ms: 1 });
    let code = "import socket\ndef ask(port):\n  \n  try:\n    s = socket.create_connection(('203.0.113.1', port), 5); s.settimeout(0.5)\n    s.sendall(b'hi'); s.shutdown(1); return s.recv(100)[:8]\n  except OSError as e: return type(e).__name__\n\
                print([ask(p) for p in (1, 2, 3, 4)] + [ask(5)[:1]])";
    let (output, _) = run(&internet, code);
    assert_eq!(output, "['ConnectionResetError', b'\\x00\\xff\\r\\nnons', b'', b'hi', b'H']\n");
}

#[test]
fn nothing_outside_can_be_reached() {
    let (output, _) = run(
        &FakeInternet::new(),
        "import socket\ntry: socket.create_connection(('8.8.8.8', 53), 2)\nexcept OSError as e: print(e.errno)",
    );
    assert_eq!(output, "101\n");
}
