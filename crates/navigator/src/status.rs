//! `navigator status`: the gateway, its sandboxes and this machine at a glance. It starts nothing but one trial.

use std::collections::BTreeMap;
use std::error::Error;

use navigator_client::Places;
use serde::Serialize;

use crate::doctor;
use crate::gateway::known::{HealthView, address, health};
use crate::output::{self, Format, neutral};
use crate::sandbox::error::SandboxError;
use crate::sandbox::session::{Session, block_on, is_not_running, meant};
use crate::sandbox::view::phase;

/// Sandboxes of one answer.
const PAGE: u32 = 100;

/// Arguments of `navigator status`.
#[derive(clap::Args, Debug)]
pub struct StatusArgs {
    /// Choose how to print
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "text")]
    output: Format,
}

#[derive(Serialize)]
struct Report {
    gateway: HealthView,
    /// Why the gateway does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    sandboxes: BTreeMap<&'static str, u32>,
    can_start: bool,
    trial: String,
}

/// Looks, tells; the exit code is 1 when no gateway answers or no sandbox could start.
pub fn run(args: &StatusArgs) -> Result<u8, SandboxError> {
    let gateway = meant(&Places::of_this_user())?;
    let (can_start, trial) = doctor::summary();
    let asked = block_on(async {
        let health = health(&gateway).await?;
        Ok((health, by_phase(&mut Session::open_running().await?).await?))
    });
    let report = match asked {
        Ok((gateway, sandboxes)) => Report { gateway, error: None, sandboxes, can_start, trial },
        Err(error) => {
            let (name, address) = (gateway.name.clone(), address(&gateway));
            let version = String::new();
            let gateway =
                HealthView { name, address, reachable: false, health: "unreachable", version };
            let error = Some(reason(&error));
            Report { gateway, error, sandboxes: BTreeMap::new(), can_start, trial }
        }
    };
    match args.output {
        Format::Json => output::print_json(&report)?,
        Format::Text => output::print(&neutral(&text(&report)))?,
    }
    Ok(u8::from(!report.gateway.reachable || !report.can_start))
}

async fn by_phase(session: &mut Session) -> Result<BTreeMap<&'static str, u32>, SandboxError> {
    let mut phases = BTreeMap::new();
    let mut offset = 0;
    loop {
        let request = navigator_proto::v1::ListSandboxesRequest { limit: PAGE, offset };
        let answer = session.api.list_sandboxes(request).await;
        let page = answer.map_err(SandboxError::refused("list sandboxes"))?.into_inner().sandboxes;
        for sandbox in &page {
            *phases.entry(phase(sandbox)).or_default() += 1;
        }
        offset += PAGE;
        if page.len() < PAGE as usize {
            return Ok(phases);
        }
    }
}

/// Everything that is known about a failure, in one line.
fn reason(error: &SandboxError) -> String {
    if is_not_running(error) {
        return "none runs; the next `navigator sandbox` command starts one".into();
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

fn text(report: &Report) -> String {
    let gateway = &report.gateway;
    let mut lines = match &report.error {
        None => vec![gateway.text()],
        Some(error) => {
            let HealthView { name, address, .. } = gateway;
            vec![format!("gateway   {name}\naddress   {address}\nhealth    unreachable: {error}")]
        }
    };
    let counts = report.sandboxes.iter().map(|(phase, count)| format!("{count} {phase}"));
    let counts = counts.collect::<Vec<_>>().join(", ");
    if gateway.reachable {
        let counts = if counts.is_empty() { "none".to_owned() } else { counts };
        lines.push(format!("sandboxes {counts}"));
    }
    let verdict = if report.can_start { "ok" } else { "failed" };
    lines.push(format!("machine   {verdict}: {}", report.trial));
    lines.join("\n")
}
