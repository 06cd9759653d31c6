//! Log lines: what was decided, at its level; kept while the gateway is away, and counted when there is no room.

use navigator_proto::v1::SandboxLogLine;

use super::peer::{Joined, Peer, command, shell};
use super::supervisor::{Supervisor, home, launch, network, socket};
use crate::harness::{Case, as_everyone};

const POLICY: &str = "network_policies:\n  p:\n    endpoints: [{ host: a.invalid, port: 443 }]\n    \
                      binaries: [{ path: \"/usr/bin/python3*\" }, { path: /usr/bin/curl }]\n";

/// Lines that one flood makes: with names as long as names can be, more than are kept.
const FLOOD: u64 = 5_000;

fn started(case: &Case, level: &str) -> (Peer, Supervisor, Joined) {
    let peer = Peer::start(&socket(case));
    let mut launch = launch(case);
    let spec = launch.spec.as_mut().unwrap();
    (spec.policy, spec.log_level) = (Some(network(POLICY)), level.to_owned());
    launch.policy_version = 1;
    let (supervisor, joined) = Supervisor::joined(case, &peer, &launch);
    (peer, supervisor, joined)
}

/// The next line about egress.
async fn decision(joined: &mut Joined) -> SandboxLogLine {
    loop {
        let batch = joined.logs().await;
        if let Some(line) = batch.lines.into_iter().find(|line| line.target == "egress") {
            return line;
        }
    }
}

#[test]
fn a_refusal_is_a_warning_with_its_parts() {
    as_everyone(|case| {
        let (peer, _supervisor, mut joined) = started(case, "");
        peer.block_on("curl ends", joined.run(command(&["curl", "-s", "https://b.invalid/"])));
        let line = peer.block_on("a line comes", decision(&mut joined));
        assert_eq!((line.level.as_str(), line.source.as_str()), ("WARN", "sandbox"));
        assert!(line.message.starts_with("denied b.invalid:443"), "{line:?}");
        assert_eq!(line.fields["host"], "b.invalid");
        assert_eq!(line.fields["program"], "/usr/bin/curl");
        assert!(line.timestamp_ms > 0);
    });
}

#[test]
fn lines_below_the_level_of_the_sandbox_are_not_sent() {
    as_everyone(|case| {
        let (peer, _supervisor, mut joined) = started(case, "warn");
        peer.block_on("curl ends", joined.run(command(&["curl", "-s", "https://a.invalid/"])));
        peer.block_on("curl ends", joined.run(command(&["curl", "-s", "https://b.invalid/"])));
        // The first would have been there first.
        let line = peer.block_on("a line comes", joined.logs()).lines.remove(0);
        assert_eq!(line.level, "WARN", "{line:?}");
    });
}

#[test]
fn the_life_of_the_sandbox_is_told() {
    as_everyone(|case| {
        let (peer, _supervisor, mut joined) = started(case, "info");
        let batch = peer.block_on("lines come", joined.logs());
        let said = |words: &str| batch.lines.iter().any(|line| line.message.contains(words));
        assert!(said("is starting") && said("runs"), "{batch:?}");
    });
}

#[test]
fn lines_wait_for_the_gateway_and_what_has_no_room_is_counted() {
    as_everyone(|case| {
        let (peer, _supervisor, joined) = started(case, "warn");
        // It goes on when the session breaks, since nobody asked for it any more.
        let flood = format!(
            "import os, socket, time\nwhile os.path.exists('/sandbox/wait'): time.sleep(0.01)\n\
             name = '.'.join(['b' * 60] * 4).encode()\n\
             for n in range({FLOOD}):\n  s = socket.create_connection(('10.200.0.1', 3128))\n  \
             s.sendall(b'CONNECT %b:443 HTTP/1.1\\r\\nHost: %b:443\\r\\n\\r\\n' % (name, name))\n  \
             s.recv(4096)\n  s.close()\nopen('/sandbox/over', 'w')\n"
        );
        let script = format!("touch wait; setsid python3 -c \"{flood}\" >/dev/null 2>err & ");
        assert_eq!(peer.block_on("it ends", joined.run(shell(&script))).code, 0);
        drop((peer, joined));
        std::fs::remove_file(home(case).join("wait")).unwrap();
        let over = home(case).join("over");
        // Thousands of connections take a while on a busy machine.
        for _ in 0..12_000 {
            if over.exists() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert!(over.exists(), "the flood is not over after two minutes");
        let peer = Peer::start(&socket(case));
        let mut joined = peer.joined();
        let (mut lines, mut lost) = (0, 0);
        peer.block_on("all lines come", async {
            while lines + lost < FLOOD {
                let batch = joined.logs().await;
                lines += batch.lines.iter().filter(|line| line.target == "egress").count() as u64;
                lost += batch.lost;
            }
        });
        assert_eq!(lines + lost, FLOOD);
        assert!(lost > 0 && lines > 1000, "{lines} and {lost}");
    });
}
