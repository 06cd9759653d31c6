//! The web servers of the fake internet, seen by real clients.

use std::process::Command;

use navigator_testkit::{Certificate, FakeInternet, Origin, Seen};

fn internet() -> FakeInternet {
    let good = Certificate::Good { name: "a.example.net".into() };
    FakeInternet::new()
        .name("a.example.net", &["203.0.113.1"])
        .origin("203.0.113.1:80", Origin::Web)
        .origin("203.0.113.1:443", Origin::WebTls(good))
}

/// Runs a shell script whose `$DIR` is where `ca.pem` is.
fn run(internet: &FakeInternet, script: &str) -> (String, Vec<Seen>) {
    let dir = tempfile::tempdir().unwrap();
    let mut shell = Command::new("bash");
    shell.args(["-ec", script]).env("DIR", dir.path());
    let output = internet.launcher(dir.path(), &shell).unwrap().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen = std::fs::read_to_string(dir.path().join("seen.jsonl")).unwrap();
    let seen = seen.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (String::from_utf8(output.stdout).unwrap(), seen)
}

#[test]
fn both_versions_are_spoken_with_and_without_tls() {
    let script = "c() { curl -sS --cacert $DIR/ca.pem -w '%{http_version} %{http_code}\\n' -o /dev/null \"$@\"; }\n\
                  c --http1.1 http://a.example.net/mirror; c --http2-prior-knowledge http://a.example.net/mirror\n\
                  c --http1.1 https://a.example.net/status/418; c --http2 https://a.example.net/mirror";
    let (output, seen) = run(&internet(), script);
    assert_eq!(output, "1.1 200\n2 200\n1.1 418\n2 200\n");
    let requests: Vec<_> = seen.iter().filter_map(Seen::web_request).collect();
    assert_eq!(requests.len(), 4);
    assert_eq!(requests[2]["target"], "/status/418");
    assert_eq!(requests[3]["version"], "HTTP/2.0");
    assert_eq!(requests[3]["authority"], "a.example.net");
}

#[test]
fn bodies_come_back_as_they_were_sent() {
    let script = "curl -sS -d 'some text' -H 'X-Own: 1' http://a.example.net/mirror?q=1\necho\n\
                  curl -sS 'http://a.example.net/big?n=200000' | wc -c\n\
                  curl -sS 'http://a.example.net/stream?n=2' | grep -c data:";
    let (output, _) = run(&internet(), script);
    let mut lines = output.lines();
    let saw: serde_json::Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    assert_eq!((saw["body"].as_str(), saw["method"].as_str()), (Some("some text"), Some("POST")));
    assert!(saw["fields"].as_array().unwrap().contains(&serde_json::json!(["x-own", "1"])));
    assert_eq!(lines.collect::<Vec<_>>(), ["200000", "2"]);
}

#[test]
fn bad_certificates_are_bad() {
    let internet = FakeInternet::new()
        .name("a.example.net", &["203.0.113.1"])
        .origin(
            "203.0.113.1:1",
            Origin::WebTls(Certificate::Expired { name: "a.example.net".into() }),
        )
        .origin("203.0.113.1:2", Origin::WebTls(Certificate::Good { name: "b.example.net".into() }))
        .origin(
            "203.0.113.1:3",
            Origin::WebTls(Certificate::SelfSigned { name: "a.example.net".into() }),
        )
        .origin("203.0.113.1:4", Origin::BreaksTls);
    let script = "for port in 1 2 3 4; do curl -sS --cacert $DIR/ca.pem https://a.example.net:$port/ 2>&1 | head -1 || true; done";
    let (output, seen) = run(&internet, script);
    let words = ["expired", "no alternative certificate", "self-signed", "curl: (35)"];
    for (line, word) in output.lines().zip(words) {
        assert!(line.contains(word), "{line}");
    }
    assert_eq!(output.lines().count(), 4, "{output}");
    assert!(!seen.iter().any(|seen| seen.kind == "request"));
}

#[test]
fn a_repository_can_be_cloned_and_pushed_to() {
    let script = "mkdir $DIR/git && git init -q --bare $DIR/git/a.git && cd $DIR\n\
                  export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.net GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.net\n\
                  git clone -q http://a.example.net/git/a.git one && cd one && echo x > file && git add file && git commit -qm first && git push -q origin HEAD\n\
                  cd .. && git clone -q http://a.example.net/git/a.git two && cat two/file";
    let (output, _) = run(&internet(), script);
    assert_eq!(output, "x\n");
}

#[test]
fn raw_answers_are_sent_as_they_are() {
    let internet = FakeInternet::new()
        .origin("203.0.113.1:80", Origin::Raw { answer: "HTTP/1.1 299 Odd\r\n\r\nx".into() });
    let (output, _) = run(&internet, "curl -sS -w ' %{http_code}\\n' http://203.0.113.1/");
    assert_eq!(output, "x 299\n");
}
