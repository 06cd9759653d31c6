//! WebSockets through the relay are what they are without it: the Autobahn cases, against one echo.

use std::process::{Command, Output};

use navigator_testkit::{FakeInternet, Origin};
use serde_json::Value;

use crate::harness::{as_everyone, stderr, stdout};

const ADDRESS: &str = "ws.example.net:80";

fn verdicts(output: &Output) -> Value {
    serde_json::from_str(&stdout(output))
        .unwrap_or_else(|error| panic!("{error}: {}", stderr(output)))
}

#[test]
fn the_relay_fails_no_case_that_passes_without_it() {
    as_everyone(|case| {
        let internet = FakeInternet::new()
            .name("ws.example.net", &["203.0.113.30"])
            .origin("203.0.113.30:80", Origin::Web);
        let policy = case.policy(
            "network_policies:\n  p:\n    endpoints: [{ host: ws.example.net, port: 80, protocol: websocket, access: full }]\n    \
             binaries: [{ path: \"/usr/bin/python3*\" }]\n",
        );
        let inside = ["/sandbox/clients/bin/python", "/sandbox/programs/conformance.py", ADDRESS];
        let (relayed, seen) = case.client(&internet, &["--policy", &policy], &inside);
        let relayed = verdicts(&relayed);
        assert!(seen.iter().filter(|seen| seen.kind == "request").count() > 200);
        let mut python = Command::new(case.path("clients/bin/python"));
        python.arg(case.path("programs/conformance.py")).arg(ADDRESS);
        let direct = verdicts(&case.in_internet(&internet, &case.path("internet"), &python));
        let mut passed = 0;
        for (name, verdict) in direct.as_object().unwrap() {
            if verdict[0] == true {
                passed += 1;
                assert_eq!(
                    relayed[name][0], true,
                    "case {name} as {:?}: {}",
                    case.who, relayed[name]
                );
            }
        }
        let all = direct.as_object().unwrap().len();
        println!(
            "as {:?}: {passed} of {all} cases pass without the relay, and all of these with it",
            case.who
        );
        assert!(all > 200 && passed * 10 > all * 9, "{direct}");
    });
}
