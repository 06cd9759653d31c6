//! What the gateway costs: from a call to a command's end, many at once, and lists of many.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use navigator_client::{Api, Gateway, Reach, connect};
use navigator_gateway::records::{Desired, Name, Phase, Sandbox, Spec};
use navigator_gateway::store::{SealingKey, Store, StoreUrl};
use navigator_proto::v1::{
    CreateSandboxRequest, DeleteSandboxRequest, ExecSandboxRequest, ListSandboxesRequest,
    WatchSandboxRequest, exec_sandbox_event::Payload,
};

use super::row::{Check, Kind, Row, Summary};
use super::start::memory;

/// Sandboxes that are made one after the other.
const CREATES: usize = 50;
/// Commands in one sandbox.
const EXECS: usize = 300;
/// Sandboxes that are made at once.
const AT_ONCE: usize = 100;
/// Records of a long list, and how often a page of it is read.
const RECORDS: usize = 10_000;
const PAGES: usize = 200;

/// A gateway with a state directory of its own.
pub(super) struct Running {
    process: Child,
    dir: tempfile::TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.process);
        if rustix::process::kill_process(pid, rustix::process::Signal::TERM).is_ok() {
            // What it has not ended by then stays; the figures are taken.
            let _ended = self.process.wait();
        }
    }
}

impl Running {
    pub(super) fn start(release: &Path, dir: tempfile::TempDir) -> Result<Self> {
        let mut command = Command::new(release.join("navigator"));
        command.args(["gateway", "run", "--log-level", "error"]);
        for (name, below) in [("STATE", "s"), ("RUNTIME", "r"), ("CONFIG", "c")] {
            command.env(format!("NAVIGATOR_{name}_DIR"), dir.path().join(below));
        }
        let process =
            command.stdin(Stdio::null()).spawn().context("failed to start the gateway")?;
        Ok(Self { process, dir })
    }

    /// Where it keeps everything.
    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    async fn connect(&self) -> Result<Api> {
        let reach = Reach::Local(self.dir.path().join("r/gateway.sock"));
        let gateway = Gateway { name: "bench".into(), reach };
        for _ in 0..200 {
            if let Ok(api) = connect(&gateway).await {
                return Ok(api);
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        bail!("the gateway does not answer")
    }
}

/// Every row about the gateway.
pub fn rows(release: &Path) -> Result<Vec<Row>> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let gateway = Running::start(release, tempfile::tempdir()?)?;
    let mut rows = runtime.block_on(async {
        let mut api = gateway.connect().await?;
        let mut rows = vec![creates(&mut api).await?, execs(&mut api).await?];
        rows.extend(many(&mut api, &gateway).await?);
        anyhow::Ok(rows)
    })?;
    drop(gateway);
    rows.extend(runtime.block_on(lists(release))?);
    Ok(rows)
}

async fn create(api: &mut Api, name: String) -> Result<String> {
    let request = CreateSandboxRequest { name, ..Default::default() };
    let sandbox = api.create_sandbox(request).await?.into_inner().sandbox;
    let id = sandbox.context("no sandbox")?.id;
    let watch = WatchSandboxRequest {
        id: id.clone(),
        follow_status: true,
        stop_on_terminal: true,
        ..Default::default()
    };
    let mut events = api.watch_sandbox(watch).await?.into_inner();
    while events.message().await?.is_some() {}
    Ok(id)
}

async fn exec(api: &mut Api, sandbox_id: String) -> Result<()> {
    let command = vec!["/bin/true".to_owned()];
    let request = ExecSandboxRequest { sandbox_id, command, ..Default::default() };
    let mut events = api.exec_sandbox(request).await?.into_inner();
    let mut code = None;
    while let Some(event) = events.message().await? {
        if let Some(Payload::Exit(exit)) = event.payload {
            code = Some(exit.exit_code);
        }
    }
    ensure!(code == Some(0), "`true` ended with {code:?}");
    Ok(())
}

async fn delete(api: &mut Api, name: String) -> Result<()> {
    api.delete_sandbox(DeleteSandboxRequest { name }).await?;
    Ok(())
}

async fn creates(api: &mut Api) -> Result<Row> {
    let mut times = vec![];
    for number in 0..CREATES {
        let begun = Instant::now();
        let id = create(api, format!("one-{number}")).await?;
        exec(api, id).await?;
        times.push(begun.elapsed());
        delete(api, format!("one-{number}")).await?;
    }
    let summary = Summary::of(&times);
    let checks = vec![Check::at_most("p50", summary.p50, Duration::from_millis(40))];
    Ok(Row::times("gateway: create → first command over", summary, Kind::Ours(checks)))
}

async fn execs(api: &mut Api) -> Result<Row> {
    let id = create(api, "execs".into()).await?;
    let mut times = vec![];
    for _ in 0..EXECS {
        let begun = Instant::now();
        exec(api, id.clone()).await?;
        times.push(begun.elapsed());
    }
    delete(api, "execs".into()).await?;
    let summary = Summary::of(&times);
    let checks = vec![Check::at_most("p50", summary.p50, Duration::from_millis(5))];
    Ok(Row::times("gateway: exec in a running sandbox", summary, Kind::Ours(checks)))
}

/// Many at once, and what each takes while all of them do nothing.
async fn many(api: &mut Api, gateway: &Running) -> Result<Vec<Row>> {
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..AT_ONCE {
        let mut api = api.clone();
        tasks.spawn(async move { create(&mut api, format!("many-{number}")).await });
    }
    while let Some(created) = tasks.join_next().await {
        created??;
    }
    let all = begun.elapsed();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let each = supervisors(&gateway.dir.path().join("s/sandboxes"))?;
    for number in 0..AT_ONCE {
        delete(api, format!("many-{number}")).await?;
    }
    let summary = Summary::of(&[all]);
    let in_time = vec![Check::at_most("all", all, Duration::from_secs(3))];
    let small = vec![Check::no_more(each, 6.0 * 1024.0, "KiB")];
    Ok(vec![
        Row::times(format!("gateway: {AT_ONCE} creates at once"), summary, Kind::Ours(in_time)),
        Row::one(
            format!("gateway: idle sandbox, PSS, one of {AT_ONCE}"),
            each,
            "KiB",
            Kind::Ours(small),
        ),
    ])
}

/// KiB that a supervisor and its init take on average.
fn supervisors(sandboxes: &Path) -> Result<f64> {
    let mut sizes = vec![];
    for entry in std::fs::read_dir(sandboxes)? {
        let line = std::fs::read_to_string(entry?.path().join("supervisor"))?;
        let says: serde_json::Value = serde_json::from_str(&line)?;
        sizes.push(memory(
            says["pid"].as_u64().and_then(|pid| pid.try_into().ok()).context("no pid")?,
        )?);
    }
    Ok(sizes.iter().sum::<f64>() / sizes.len() as f64)
}

async fn lists(release: &Path) -> Result<Vec<Row>> {
    let dir = tempfile::tempdir()?;
    fill(&dir.path().join("s")).await?;
    let gateway = Running::start(release, dir)?;
    let mut api = gateway.connect().await?;
    let mut times = vec![];
    for page in 0..PAGES {
        let offset = u32::try_from(page * RECORDS / PAGES)?;
        let begun = Instant::now();
        let listed = api.list_sandboxes(ListSandboxesRequest { limit: 100, offset }).await?;
        times.push(begun.elapsed());
        ensure!(!listed.into_inner().sandboxes.is_empty(), "an empty page");
    }
    let summary = Summary::of(&times);
    let checks = vec![Check::at_most("p99", summary.p99, Duration::from_millis(20))];
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.process.id()))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS line")?;
    let resident: f64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    let small = vec![Check::no_more(resident / 1024.0, 60.0, "MiB")];
    Ok(vec![
        Row::times(
            format!("gateway: page of 100 of {RECORDS} sandboxes"),
            summary,
            Kind::Ours(checks),
        ),
        Row::one("gateway: resident memory", resident / 1024.0, "MiB", Kind::Ours(small)),
    ])
}

/// Records of sandboxes that are stopped.
async fn fill(state: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(state)?;
    let key = SealingKey::load_or_create(&state.join("gateway.key"))?;
    let store = Store::open(&StoreUrl::file(&state.join("gateway.db")), key).await?;
    for number in 0..RECORDS {
        let sandbox = Sandbox {
            id: uuid::Uuid::now_v7(),
            name: Name::parse(&format!("stopped-{number}"))?,
            spec: Spec { log_level: "info".into(), ..Spec::default() },
            desired: Desired::Stopped,
            phase: Phase::Stopped,
            conditions: vec![],
            layers: vec![],
            skipped: vec![],
            restarts: 0,
            created_at: i64::try_from(number)?,
            policy_in_force: 0,
            token_hash: None,
            record_version: 0,
        };
        store.create_sandbox(&sandbox, None).await?;
    }
    Ok(())
}
