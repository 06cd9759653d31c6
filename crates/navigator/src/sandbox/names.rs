//! Names of sandboxes for the shell's completion: quickly or not at all, and never by starting a gateway.

use std::ffi::OsStr;
use std::time::Duration;

use clap_complete::{ArgValueCompleter, CompletionCandidate};
use navigator_proto::v1::ListSandboxesRequest;

use super::error::SandboxError;
use super::session::{Session, block_on};

/// How long somebody who presses Tab waits without wondering.
const LIMIT: Duration = Duration::from_millis(250);
/// Most names that are worth showing.
const NAMES: u32 = 1000;

/// Completes names of sandboxes.
pub fn completer() -> ArgValueCompleter {
    ArgValueCompleter::new(|typed: &OsStr| candidates(&typed.to_string_lossy()))
}

fn candidates(typed: &str) -> Vec<CompletionCandidate> {
    let listed = block_on(async {
        // Silence is the answer when there is no gateway: a completion has no place for an error.
        Ok(tokio::time::timeout(LIMIT, names()).await.unwrap_or_else(|_| Ok(vec![])))
    });
    let names = listed.and_then(|names| names).unwrap_or_default();
    let names = names.into_iter().filter(|name| name.starts_with(typed));
    // The shell gets them as they are: only what is a name may reach it.
    names
        .filter(|name| navigator_client::check_name(name).is_ok())
        .map(CompletionCandidate::new)
        .collect()
}

async fn names() -> Result<Vec<String>, SandboxError> {
    let mut session = Session::open_running().await?;
    let request = ListSandboxesRequest { limit: NAMES, offset: 0 };
    let answer = session.api.list_sandboxes(request).await;
    let answer = answer.map_err(SandboxError::refused("list sandboxes"))?;
    Ok(answer.into_inner().sandboxes.into_iter().map(|sandbox| sandbox.name).collect())
}
