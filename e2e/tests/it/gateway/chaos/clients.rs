//! Clients that do everything at once, and know which answers are allowed.

use std::collections::BTreeMap;
use std::time::Duration;

use navigator_proto::datamodel::v1::{SandboxPhase, SandboxSpec};
use navigator_proto::sandbox::v1::SandboxPolicy;
use tonic::{Code, Status};

use super::super::api::{Api, is_answer};
use super::super::running::Running;

pub(super) const CLIENTS: u64 = 4;
/// Sandboxes that they share, so that they get in each other's way.
const NAMES: u64 = 8;
/// Start of every sandbox's name.
pub(super) const PREFIX: &str = "chaos-";

pub(super) const READY: SandboxPhase = SandboxPhase::Ready;

/// Numbers that a seed decides (SplitMix64).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// Answers, by call and status.
#[derive(Debug, Default)]
pub(super) struct Done(BTreeMap<(&'static str, String), u64>);

impl Done {
    pub(super) fn add(&mut self, other: Self) {
        for (key, count) in other.0 {
            *self.0.entry(key).or_default() += count;
        }
    }

    pub(super) fn succeeded(&self) -> u64 {
        self.0.iter().filter(|((_, code), _)| code == "Ok").map(|(_, count)| count).sum()
    }

    fn note<T>(&mut self, call: &'static str, result: &Result<T, Status>) {
        let code = match result {
            Ok(_) => "Ok".to_owned(),
            Err(status) if is_answer(status) => {
                let fine = [
                    Code::NotFound,
                    Code::AlreadyExists,
                    Code::FailedPrecondition,
                    Code::Unavailable,
                    Code::Aborted,
                    Code::Cancelled,
                ];
                assert!(fine.contains(&status.code()), "{call}: {status:?}");
                format!("{:?}: {}", status.code(), short(status.message()))
            }
            Err(_) => "connection broke".to_owned(),
        };
        *self.0.entry((call, code)).or_default() += 1;
    }
}

/// The words of a message without the name that it is about.
fn short(message: &str) -> String {
    message.split('`').step_by(2).collect::<Vec<_>>().join("…")
}

/// Works until it is over.
pub(super) fn work(running: &Running<'_>, mut random: Random, over: &dyn Fn() -> bool) -> Done {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut done = Done::default();
    runtime.block_on(async {
        let mut api = running.api();
        while !over() {
            let name = format!("{PREFIX}{}", random.below(NAMES));
            one(&mut api, &mut random, &name, &mut done).await;
            // A gateway that is away is not asked without end.
            tokio::time::sleep(Duration::from_millis(random.below(20))).await;
        }
    });
    done
}

async fn one(api: &mut Api, random: &mut Random, name: &str, done: &mut Done) {
    match random.below(20) {
        0..5 => {
            let policy = Some(policy(random.below(100)));
            let spec = SandboxSpec { policy, ..SandboxSpec::default() };
            done.note("create", &api.create(name, spec).await);
        }
        5..12 => exec(api, random, name, done).await,
        12..14 => done.note("update", &api.update(name, policy(random.below(100))).await),
        14..16 => done.note("stop", &api.stop(name).await),
        16..18 => done.note("start", &api.start(name).await),
        18 => done.note("delete", &api.delete(name).await),
        _ => done.note("list", &api.page(10, 0).await),
    }
}

/// A process that succeeds has printed everything that it printed.
async fn exec(api: &mut Api, random: &mut Random, name: &str, done: &mut Done) {
    let Ok(sandbox) = api.get(name).await else { return };
    let text = random.below(u64::MAX).to_string();
    let pause = format!("0.0{}", random.below(10));
    let script = format!("echo {text}; sleep {pause}; echo {text} >> kept; echo {text}");
    let result = api.exec(&sandbox.id, &["sh", "-c", &script]).await;
    if let Ok(ended) = &result
        && ended.code == Some(0)
    {
        assert_eq!(ended.stdout, format!("{text}\n{text}\n"));
    }
    done.note("exec", &result);
}

fn policy(number: u64) -> SandboxPolicy {
    let text = format!(
        "version: 1\nfilesystem_policy:\n  \
         read_only: [/usr, /bin, /sbin, /lib, /lib64, /etc, /opt, /proc, /dev/urandom]\n  \
         read_write: [/sandbox, /tmp, /dev/null]\nnetwork_policies:\n  p:\n    \
         endpoints: [{{ host: h{number}.invalid, port: 443 }}]\n    \
         binaries: [{{ path: /usr/bin/curl }}]\n"
    );
    (&navigator_policy::load("policy", &text).unwrap().policy).into()
}
