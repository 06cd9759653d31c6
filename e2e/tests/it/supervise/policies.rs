//! Policy revisions: one that comes into force, and those that cannot.

use navigator_proto::sandbox::v1::SandboxPolicy;
use navigator_proto::session::v1::{PolicyResult, PolicyRevision, to_supervisor};

use super::peer::{Joined, Peer, command};
use super::supervisor::{Supervisor, launch, network, policy, socket};
use crate::harness::{Case, as_everyone};

/// Names that no resolver knows: what is allowed fails there, what is not is refused before.
fn endpoint(host: &str) -> String {
    format!(
        "network_policies:\n  p:\n    endpoints: [{{ host: {host}, port: 443 }}]\n    \
         binaries: [{{ path: /usr/bin/curl }}]\n"
    )
}

fn started(case: &Case) -> (Peer, Supervisor, Joined) {
    let peer = Peer::start(&socket(case));
    let mut launch = launch(case);
    launch.spec.as_mut().unwrap().policy = Some(network(&endpoint("a.invalid")));
    launch.policy_version = 4;
    let (supervisor, joined) = Supervisor::joined(case, &peer, &launch);
    (peer, supervisor, joined)
}

fn push(peer: &Peer, joined: &mut Joined, version: u32, policy: SandboxPolicy) -> PolicyResult {
    let revision = PolicyRevision { version, policy: Some(policy) };
    peer.block_on("a revision is answered", async {
        joined.tell(to_supervisor::Message::Policy(revision)).await;
        joined.policy_result().await
    })
}

/// How the proxy answered.
fn answer(peer: &Peer, joined: &Joined, host: &str) -> String {
    let url = format!("https://{host}/");
    let start = command(&["curl", "-s", "-o", "/dev/null", "-w", "%{http_connect}", &url]);
    peer.block_on("curl ends", joined.run(start)).stdout
}

#[test]
fn a_revision_holds_when_it_is_answered() {
    as_everyone(|case| {
        let (peer, _supervisor, mut joined) = started(case);
        assert_eq!(joined.hello.policy_version, 4);
        assert_eq!(joined.hello.discovered_policy, None);
        assert_eq!(answer(&peer, &joined, "b.invalid"), "403");
        assert_ne!(answer(&peer, &joined, "a.invalid"), "403");
        let result = push(&peer, &mut joined, 5, network(&endpoint("b.invalid")));
        assert_eq!(result, PolicyResult { version: 5, load_error: String::new() });
        assert_ne!(answer(&peer, &joined, "b.invalid"), "403");
        assert_eq!(answer(&peer, &joined, "a.invalid"), "403");
        drop((peer, joined));
        assert_eq!(Peer::start(&socket(case)).joined().hello.policy_version, 5);
    });
}

#[test]
fn a_revision_that_cannot_be_leaves_the_old_one_in_force() {
    as_everyone(|case| {
        let (peer, _supervisor, mut joined) = started(case);
        let mut refused = |version, policy, words: &str| {
            let result = push(&peer, &mut joined, version, policy);
            assert_eq!(result.version, version);
            assert!(result.load_error.contains(words), "{}", result.load_error);
        };
        let mut files = network(&endpoint("b.invalid"));
        files.filesystem.as_mut().unwrap().read_only.push("/srv".into());
        refused(5, files, "cannot be changed");
        refused(6, policy("version: 1\n"), "cannot be changed");
        let mut invalid = network(&endpoint("b.invalid"));
        invalid.network_policies.get_mut("p").unwrap().endpoints[0].port = 70_000;
        refused(7, invalid, "port");
        let block =
            SandboxPolicy { network_policies: [].into(), ..network(&endpoint("x.invalid")) };
        refused(8, block, "network");
        assert_ne!(answer(&peer, &joined, "a.invalid"), "403");
        assert_eq!(answer(&peer, &joined, "b.invalid"), "403");
        drop((peer, joined));
        assert_eq!(Peer::start(&socket(case)).joined().hello.policy_version, 4);
    });
}
