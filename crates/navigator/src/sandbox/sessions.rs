//! `navigator sandbox sessions`: the terminal sessions of a sandbox, and their end.

use navigator_proto::v1::{EndTerminalRequest, ListTerminalsRequest, TerminalState};
use serde::Serialize;

use super::error::SandboxError;
use super::listing::{Listed, Listing, print_all};
use super::names;
use super::session::Session;
use crate::output::{line, say};
use crate::run::arguments;

/// Arguments of `navigator sandbox sessions`.
#[derive(clap::Args, Debug)]
pub struct SessionsArgs {
    /// Look at this sandbox [default: the one that was used last]
    #[arg(add = names::completer())]
    name: Option<String>,
    /// End this session: kill its program and what that started
    #[arg(long, value_name = "SESSION", value_parser = arguments::name)]
    kill: Option<String>,
    /// Choose how to print
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "table")]
    output: Listing,
}

/// A session as it is printed.
#[derive(Serialize)]
struct View {
    name: String,
    command: Vec<String>,
    title: String,
    clients: u32,
    rows: u32,
    columns: u32,
    recorded: bool,
    started_at_ms: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
}

impl From<TerminalState> for View {
    fn from(state: TerminalState) -> Self {
        let size = state.size.unwrap_or_default();
        Self {
            name: state.name,
            command: state.command,
            title: state.title,
            clients: state.clients,
            rows: size.rows,
            columns: size.columns,
            recorded: state.recorded,
            started_at_ms: state.started_at_ms,
            exit_code: state.exit_code,
        }
    }
}

impl Listed for View {
    const COLUMNS: &'static [&'static str] = &["NAME", "STATE", "CLIENTS", "SIZE", "COMMAND"];

    fn cells(&self) -> Vec<String> {
        let state = match (self.exit_code, self.recorded) {
            (Some(code), _) => format!("ended ({code})"),
            (None, true) => "recorded".to_owned(),
            (None, false) => "runs".to_owned(),
        };
        let size = format!("{}x{}", self.columns, self.rows);
        let command = self.command.join(" ");
        vec![line(&self.name), state, self.clients.to_string(), size, line(&command)]
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// Lists, or ends one.
pub async fn run(session: &mut Session, args: &SessionsArgs) -> Result<u8, SandboxError> {
    let sandbox = session.meant(args.name.as_ref()).await?;
    if let Some(name) = &args.kill {
        let request = EndTerminalRequest { sandbox_id: sandbox.id, name: name.clone() };
        let answer = session.api.end_terminal(request).await;
        let answer = answer.map_err(SandboxError::refused(format!("end session `{name}`")))?;
        return match answer.into_inner().ended {
            true => Ok(0),
            false => Err(SandboxError::NoSuchSession(name.clone())),
        };
    }
    let answer = session.api.list_terminals(ListTerminalsRequest { sandbox_id: sandbox.id }).await;
    let answer = answer.map_err(SandboxError::refused("list sessions"))?.into_inner();
    let all: Vec<_> = answer.terminals.into_iter().map(View::from).collect();
    print_all(&all, args.output)?;
    if all.is_empty() && args.output == Listing::Table {
        say("navigator: no sessions; start one with `navigator sandbox connect`");
    }
    Ok(0)
}
