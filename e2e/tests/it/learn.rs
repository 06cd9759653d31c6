//! A watched run, and the policy that it leaves: the same run passes under it, and another one does not.

use std::process::Output;

use navigator_testkit::{FakeInternet, Origin};

use crate::harness::{Case, as_everyone, code, stderr, stdout};

fn internet() -> FakeInternet {
    FakeInternet::new()
        .name("a.example.net", &["203.0.113.10"])
        .name("private.example.net", &["10.1.2.3"])
        .origin("203.0.113.10:80", Origin::Http)
        .origin("203.0.113.10:443", Origin::Tls { name: "a.example.net".into() })
        .origin("203.0.113.10:22", Origin::Echo)
        .origin("10.1.2.3:80", Origin::Http)
}

fn run(case: &Case, options: &[&str], program: &str) -> Output {
    let dir = case.directory("internet");
    let ca = dir.join("ca.pem");
    let audit = case.path("audit.jsonl");
    let mut args = vec!["run", "--upstream-ca", ca.to_str().unwrap()];
    args.extend(["--audit", audit.to_str().unwrap()]);
    args.extend(options);
    args.extend(["--", "/usr/bin/python3", "-c", program]);
    let output = case.inside(&internet(), &dir, &args);
    std::fs::remove_dir_all(&dir).unwrap();
    output
}

/// Requests in clear text and inside TLS, by the proxy and without, and bytes that are no HTTP.
const PROGRAM: &str = "\
import os, socket, urllib.request as u, urllib.error
print(u.urlopen('http://a.example.net/plain?secret=1').read().decode())
print(u.urlopen('https://a.example.net/inside').read().decode())
direct = u.build_opener(u.ProxyHandler({}))
print(direct.open('https://a.example.net/direct').read().decode())
s = socket.create_connection(('a.example.net', 22), 10)
s.sendall(b'SSH-2.0-test'); print(s.recv(100))
try: print(u.urlopen('http://private.example.net/').status)
except urllib.error.HTTPError as error: print(error.code)
";
const SEEN: &str = "GET /plain?secret=1 HTTP/1.1\nGET /inside HTTP/1.1\nGET /direct HTTP/1.1\n\
                    b'SSH-2.0-test'\n403\n";

#[test]
fn the_same_run_passes_under_the_learned_policy_and_another_does_not() {
    as_everyone(|case| {
        // The ordinary user writes into a directory of its own.
        let place = case.directory("learned");
        let out = place.join("policy.yaml");
        let out = out.to_str().unwrap();
        let learned = run(case, &["--learn", out], PROGRAM);
        assert_eq!(stdout(&learned), SEEN, "{}", stderr(&learned));
        let policy = std::fs::read_to_string(out).unwrap();
        assert!(!policy.contains('*') && !policy.contains("private"), "{policy}");
        assert!(!policy.contains("secret"), "{policy}");

        // Of the files only those that were used: neither the whole of a directory, nor what lies beside them.
        assert!(
            !policy.lines().any(|line| ["  - /usr", "  - /usr/bin"].contains(&line)),
            "{policy}"
        );
        let beside = run(case, &["--policy", out], "open('/usr/bin/env')");
        assert!(stderr(&beside).contains("FileNotFoundError"), "{}\n{policy}", stderr(&beside));

        let again = run(case, &["--policy", out], PROGRAM);
        assert_eq!(stdout(&again), SEEN, "{}\n{policy}", stderr(&again));

        let other = run(case, &["--policy", out], &PROGRAM.replace("/inside", "/other"));
        assert_eq!(code(&other), 1, "{}", stdout(&other));
        assert!(stderr(&other).contains("allows GET /other"), "{}", stderr(&other));
    });
}

#[test]
fn a_place_that_cannot_be_written_stops_the_run_before_it_starts() {
    as_everyone(|case| {
        let output = case.run(&["--learn", "/nonexistent/policy.yaml"], &["touch", "/tmp/x"]);
        assert_eq!(code(&output), 2);
        assert!(stderr(&output).contains("/nonexistent/policy.yaml"), "{}", stderr(&output));
        assert!(case.decisions().is_empty());
    });
}
