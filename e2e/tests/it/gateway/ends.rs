//! Supervisors that end, halt, or are left alone: what is started again, what is not, and what goes on being enforced.

use std::time::Duration;

use navigator_proto::datamodel::v1::{Sandbox, SandboxPhase, SandboxSpec};
use tonic::Code;

use super::api::Api;
use super::machine::{kill, signal};
use super::running::Running;
use crate::harness::{as_everyone, as_root, eventually, processes_with};

/// Starts in a row after which a sandbox is given up.
const STARTS: u32 = 6;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

async fn created(api: &mut Api, name: &str) -> Sandbox {
    api.create(name, SandboxSpec::default()).await.unwrap();
    api.is(name, SandboxPhase::Ready).await
}

fn supervisor(running: &Running<'_>, sandbox: &Sandbox) -> u32 {
    running.machine.supervisors()[&sandbox.id].pid
}

/// What is said of whether it is ready: the reason and the message.
fn said(sandbox: &Sandbox) -> (String, String) {
    let conditions = &sandbox.status.as_ref().unwrap().conditions;
    let ready = conditions.iter().find(|condition| condition.r#type == "Ready").unwrap();
    (ready.reason.clone(), ready.message.clone())
}

#[test]
fn a_stop_keeps_the_home_and_ends_everything_else() {
    as_everyone(|case| {
        let running = Running::start(case);
        let marker = format!("77{}", std::process::id());
        running.succeeds(&["sandbox", "create", "kept", "--", "sh", "-c", "echo 1 > /sandbox/f"]);
        let script = format!("echo 1 > /tmp/f; setsid sleep {marker} >/dev/null 2>&1 &");
        running.succeeds(&["sandbox", "exec", "kept", "--", "sh", "-c", &script]);
        eventually("it sleeps", || !processes_with(&format!("sleep {marker}")).is_empty());
        running.succeeds(&["sandbox", "stop", "kept"]);
        assert_eq!(processes_with(&format!("sleep {marker}")), Vec::<String>::new());
        running.succeeds(&["sandbox", "start", "kept"]);
        running.succeeds(&["sandbox", "wait", "kept"]);
        let listed = ["sandbox", "exec", "kept", "--", "sh", "-c", "ls /sandbox/f /tmp"];
        assert_eq!(running.succeeds(&listed).trim(), "/sandbox/f\n\n/tmp:".trim_end());
        running.succeeds(&["sandbox", "delete", "kept"]);
        running.nothing_is_left();
    });
}

/// One host for curl, so that there is a network in which everything else is denied.
const ONLINE: &str = "version: 1\n\
    filesystem_policy: { read_only: [/usr, /bin, /lib, /lib64, /etc], read_write: [/sandbox, /tmp, /dev/null] }\n\
    network_policies: { one: { endpoints: [{ host: one.example, port: 443 }], \
    binaries: [{ path: /usr/bin/curl }] } }\n";

#[test]
fn what_is_denied_stays_denied_while_the_gateway_is_dead() {
    as_everyone(|case| {
        let running = Running::start(case);
        let policy = case.path("online.yaml");
        std::fs::write(&policy, ONLINE).unwrap();
        let policy = policy.to_str().unwrap();
        // It asks when it finds the file `go`, which is there when the gateway is not.
        let script = "setsid sh -c 'until test -e go; do sleep 0.05; done; \
            curl -s -o answer -w %{http_connect} https://denied.example > code; mv code answered' \
            > /dev/null 2>&1 < /dev/null &";
        let create = ["sandbox", "create", "alone", "-p", policy, "--", "sh", "-c", script];
        running.succeeds(&create);
        running.kill();
        let sandboxes = std::fs::read_dir(case.path("state/sandboxes")).unwrap();
        let home = sandboxes.map(|entry| entry.unwrap().path().join("home")).next().unwrap();
        std::fs::write(home.join("go"), "").unwrap();
        eventually("it was answered", || home.join("answered").exists());
        assert!(!running.answers(), "the gateway is dead");
        assert_eq!(std::fs::read_to_string(home.join("answered")).unwrap(), "403");
        running.start_again();
        running.succeeds(&["sandbox", "exec", "alone", "--", "true"]);
        running.succeeds(&["sandbox", "delete", "alone"]);
        running.nothing_is_left();
    });
}

#[test]
fn a_sandbox_that_ends_again_and_again_is_given_up_until_somebody_starts_it() {
    as_root(|case| {
        let running = Running::start(case);
        block_on(async {
            let mut api = running.api();
            let mut sandbox = created(&mut api, "dies").await;
            for restarts in 1..=STARTS {
                kill(supervisor(&running, &sandbox));
                sandbox = restarted(&mut api, "dies", restarts).await;
            }
            kill(supervisor(&running, &sandbox));
            let given_up = loop {
                let sandbox = api.get("dies").await.unwrap();
                if said(&sandbox).0 == "GivenUp" {
                    break sandbox;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            };
            assert_eq!(given_up.phase(), SandboxPhase::Error);
            assert_eq!(given_up.status.as_ref().unwrap().restarts, STARTS + 1);
            assert!(said(&given_up).1.contains("7 times in a row"), "{:?}", said(&given_up));
            assert!(running.machine.supervisors().is_empty());
            // A person's start counts from the beginning.
            api.start("dies").await.unwrap();
            sandbox = api.is("dies", SandboxPhase::Ready).await;
            kill(supervisor(&running, &sandbox));
            restarted(&mut api, "dies", STARTS + 2).await;
            api.delete("dies").await.unwrap();
        });
        running.nothing_is_left();
    });
}

/// Waits until a sandbox is ready after so many restarts.
async fn restarted(api: &mut Api, name: &str, restarts: u32) -> Sandbox {
    loop {
        let sandbox = api.is(name, SandboxPhase::Ready).await;
        if sandbox.status.as_ref().unwrap().restarts == restarts {
            return sandbox;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn a_halted_supervisor_is_not_replaced() {
    as_root(|case| {
        let running = Running::start(case);
        block_on(async {
            let mut api = running.api();
            let sandbox = created(&mut api, "halted").await;
            let pid = supervisor(&running, &sandbox);
            signal(pid, rustix::process::Signal::STOP);
            // As long as a process may take to be opened.
            let refused = api.exec(&sandbox.id, &["true"]).await.unwrap_err();
            assert_eq!(refused.code(), Code::Unavailable, "{refused}");
            let others = running.machine.supervisors();
            assert_eq!(others.values().map(|one| one.pid).collect::<Vec<_>>(), [pid]);
            signal(pid, rustix::process::Signal::CONT);
            let sandbox = api.is("halted", SandboxPhase::Ready).await;
            assert_eq!(sandbox.status.as_ref().unwrap().restarts, 0);
            assert_eq!(api.exec(&sandbox.id, &["true"]).await.unwrap().code, Some(0));
            // One that does not react is ended with force.
            signal(pid, rustix::process::Signal::STOP);
            api.delete("halted").await.unwrap();
        });
        running.nothing_is_left();
    });
}
