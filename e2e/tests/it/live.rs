//! A policy that changes while its sandbox runs: new rights hold at once, lost ones end open connections, and a
//! file with errors changes nothing.

use std::path::Path;
use std::process::Output;

use navigator_testkit::{FakeInternet, Origin};

use crate::harness::{Case, as_everyone, code, eventually, stderr, stdout};

/// Python that tells the test how far it is by files, and waits for what the test does.
const STEPS: &str = r#"
import os, socket, sys, time, urllib.error, urllib.request
def step(name): open("/sandbox/steps/" + name, "w").close()
def until(what, holds):
    for _ in range(1000):
        if holds(): return
        time.sleep(0.01)
    sys.exit("not within ten seconds: " + what)
def status(url):
    try: return urllib.request.urlopen(url, timeout=10).status
    except urllib.error.HTTPError as error: return error.code
def tunnel(host, port):
    s = socket.create_connection(("10.200.0.1", 3128), 10)
    s.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    assert b" 200 " in s.recv(4096)[:20]
    return s
def closed(s):
    try: return s.recv(1) == b""
    except ConnectionResetError: return True
"#;

fn internet() -> FakeInternet {
    FakeInternet::new()
        .name("a.example.net", &["203.0.113.10"])
        .name("b.example.net", &["203.0.113.10"])
        .origin("203.0.113.10:80", Origin::Http)
        .origin("203.0.113.10:7", Origin::Echo)
}

fn policy(case: &Case, endpoints: &str) -> String {
    case.policy(&format!(
        "network_policies:\n  p:\n    endpoints: [{endpoints}]\n    binaries: [{{ path: \"/usr/bin/python3*\" }}]\n"
    ))
}

/// Runs a program with a policy that the test changes in `meanwhile`, which gets the directory of its steps.
fn changing(
    case: &Case,
    endpoints: &str,
    program: &str,
    meanwhile: impl FnOnce(&Path) + Send,
) -> Output {
    let policy = policy(case, endpoints);
    let (dir, steps) = (case.directory("internet"), case.directory("steps"));
    let mount = format!("{}:/sandbox/steps", steps.display());
    let audit = case.path("audit.jsonl");
    let program = format!("{STEPS}\n{program}");
    let args = [
        ["run", "--watch-policy", "--policy", &policy, "--mount", &mount],
        ["--audit", audit.to_str().unwrap(), "--", "/usr/bin/python3", "-c", &program],
    ];
    let internet = internet();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| case.inside(&internet, &dir, &args.concat()));
        meanwhile(&steps);
        running.join().unwrap()
    })
}

const A: &str = "{ host: a.example.net, port: 80 }";
const B: &str = "{ host: b.example.net, port: 80 }";
const ECHO: &str = "{ host: a.example.net, port: 7 }";

#[test]
fn a_new_right_holds_and_a_lost_one_ends_its_connection() {
    as_everyone(|case| {
        let program = "\
            assert status('http://b.example.net/') == 403\n\
            open_tunnel = tunnel('a.example.net', 7)\n\
            open_tunnel.sendall(b'x'); assert open_tunnel.recv(1) == b'x'\n\
            step('ready')\n\
            until('b allowed', lambda: status('http://b.example.net/') == 200)\n\
            open_tunnel.settimeout(10)\n\
            assert closed(open_tunnel)\n\
            assert status('http://a.example.net/') == 200\n\
            print('done')";
        let output = changing(case, &[A, ECHO].join(", "), program, |steps| {
            eventually("ready", || steps.join("ready").exists());
            policy(case, &[A, B].join(", "));
        });
        assert_eq!(stdout(&output), "done\n", "{}", stderr(&output));
        assert!(stderr(&output).contains("changed and is in force"), "{}", stderr(&output));
    });
}

#[test]
fn a_change_that_cannot_be_leaves_the_policy_as_it_is() {
    as_everyone(|case| {
        let program = "\
            step('ready')\n\
            until('go', lambda: os.path.exists('/sandbox/steps/go'))\n\
            print(status('http://a.example.net/'), status('http://b.example.net/'))";
        let output = changing(case, A, program, |steps| {
            eventually("ready", || steps.join("ready").exists());
            let said = |times: usize| {
                let refused =
                    || case.events("policy").iter().filter(|e| !e["refused"].is_null()).count();
                eventually("the refusal is recorded", || refused() == times);
            };
            policy(case, "{ host: b.example.net, port: 80, nonsense: true }");
            said(1);
            case.policy("");
            said(2);
            let text = "version: 1\nfilesystem_policy: { read_only: [/usr] }\nnetwork_policies:\n  p:\n    \
                        endpoints: [{ host: b.example.net, port: 80 }]\n    binaries: [{ path: /** }]\n";
            case.file("policy.yaml", text);
            said(3);
            std::fs::write(steps.join("go"), "").unwrap();
        });
        assert_eq!(stdout(&output), "200 403\n", "{}", stderr(&output));
        let said = stderr(&output);
        for reason in
            ["unknown key", "network cannot be changed", "`filesystem_policy` cannot be changed"]
        {
            assert!(said.contains(reason), "{reason}: {said}");
        }
        assert_eq!(code(&output), 0);
    });
}

const INSPECTED: &str = "{ host: a.example.net, port: 80, protocol: rest, access: read-only }";

#[test]
fn no_request_is_lost_while_revisions_change() {
    as_everyone(|case| {
        let program = "\
            import http.client, threading\n\
            lost, asked, done = [], [0], threading.Event()\n\
            def ask():\n\
            \x20   kept = http.client.HTTPConnection('a.example.net', 80, timeout=10)\n\
            \x20   while not done.is_set():\n\
            \x20       try:\n\
            \x20           kept.request('GET', '/kept'); answer = kept.getresponse(); answer.read()\n\
            \x20           fresh = urllib.request.urlopen('http://a.example.net/fresh', timeout=10)\n\
            \x20           asked[0] += 2\n\
            \x20           if answer.status != 200 or fresh.status != 200: lost.append(answer.status)\n\
            \x20       except Exception as error: lost.append(repr(error))\n\
            threads = [threading.Thread(target=ask) for _ in range(4)]\n\
            for thread in threads: thread.start()\n\
            step('ready')\n\
            until('over', lambda: os.path.exists('/sandbox/steps/over'))\n\
            done.set()\n\
            for thread in threads: thread.join()\n\
            print(asked[0] > 20, lost)";
        let output = changing(case, INSPECTED, program, |steps| {
            eventually("ready", || steps.join("ready").exists());
            for number in 1..=8 {
                let other = format!("{{ host: other{number}.example.net, port: 80 }}");
                policy(case, &[INSPECTED, &other].join(", "));
                eventually("it is in force", || case.events("policy").len() == number);
            }
            std::fs::write(steps.join("over"), "").unwrap();
        });
        assert_eq!(stdout(&output), "True []\n", "{}", stderr(&output));
        assert!(case.events("policy").iter().all(|event| event["refused"].is_null()));
    });
}
