//! A connection to the gateway that is meant, and the sandbox that is meant there.

use std::ffi::OsString;
use std::path::PathBuf;

use navigator_client::{
    Api, ConnectError, Gateway, Gateways, LastUsed, Launcher, Places, Reach, connect,
    ensure_running,
};
use navigator_proto::datamodel::v1::Sandbox;
use navigator_proto::v1::GetSandboxRequest;

use super::error::SandboxError;
use crate::output::{line, say};

/// Names the gateway that is meant.
const GATEWAY: &str = "NAVIGATOR_GATEWAY";

/// A connection to a gateway.
pub struct Session {
    /// The gateway's API.
    pub api: Api,
    /// The gateway.
    pub gateway: Gateway,
    last: LastUsed,
}

impl Session {
    /// Connects to the gateway that is meant; a local one is started when none answers.
    pub async fn open() -> Result<Self, SandboxError> {
        let places = Places::of_this_user();
        let gateway = meant(&places)?;
        let api = match &gateway.reach {
            Reach::Local(_) => ensure_running(&gateway, &places, &launcher()?).await?,
            Reach::Unix(_) | Reach::Tls { .. } => connect(&gateway).await?,
        };
        Ok(Self::new(api, gateway, &places))
    }

    /// Connects without starting anything.
    pub async fn open_running() -> Result<Self, SandboxError> {
        let places = Places::of_this_user();
        let gateway = meant(&places)?;
        let api = connect(&gateway).await?;
        Ok(Self::new(api, gateway, &places))
    }

    fn new(api: Api, gateway: Gateway, places: &Places) -> Self {
        let last = LastUsed::of(places, &gateway);
        Self { api, gateway, last }
    }

    /// The name that was given, or that of the sandbox that was used last, which is said.
    pub fn name(&self, given: Option<&String>) -> Result<String, SandboxError> {
        if let Some(name) = given {
            navigator_client::check_name(name)?;
            return Ok(name.clone());
        }
        let name = self.last.get().ok_or(SandboxError::NoName)?;
        say(&format!("navigator: using `{name}`, the sandbox that was used last"));
        Ok(name)
    }

    /// Remembers that a sandbox was used. Not to remember is no reason to fail.
    pub fn used(&self, name: &str) {
        if let Err(error) = self.last.set(name) {
            tracing::info!(%error, "failed to remember the sandbox that was used last");
        }
    }

    /// Forgets a sandbox that is gone.
    pub fn gone(&self, name: &str) {
        if let Err(error) = self.last.forget(name) {
            tracing::info!(%error, "failed to forget the sandbox that was used last");
        }
    }

    /// A sandbox by its name.
    pub async fn get(&mut self, name: &str) -> Result<Sandbox, SandboxError> {
        let request = GetSandboxRequest { name: name.to_owned() };
        let answer = self.api.get_sandbox(request).await;
        let answer = answer.map_err(SandboxError::refused(format!("get `{}`", line(name))))?;
        answer.into_inner().sandbox.ok_or(SandboxError::Incomplete("sandbox"))
    }

    /// The sandbox that is meant; it is now the one that was used last.
    pub async fn meant(&mut self, given: Option<&String>) -> Result<Sandbox, SandboxError> {
        let name = self.name(given)?;
        let sandbox = self.get(&name).await.inspect_err(|error| {
            if error.is_not_found() {
                self.gone(&name);
            }
        })?;
        self.used(&name);
        Ok(sandbox)
    }
}

/// The gateway that the environment or the configuration names.
pub fn meant(places: &Places) -> Result<Gateway, SandboxError> {
    let chosen = std::env::var(GATEWAY).ok();
    Ok(Gateways::new(places.clone()).meant(chosen.as_deref())?)
}

/// This program, made a gateway in a session of its own.
pub fn launcher() -> Result<Launcher, SandboxError> {
    let arguments = ["gateway", "run-detached"].map(OsString::from).to_vec();
    Ok(Launcher { program: this_program()?, arguments })
}

/// The file of this program.
pub fn this_program() -> Result<PathBuf, SandboxError> {
    std::env::current_exe()
        .map_err(|source| SandboxError::System { action: "find this program", source })
}

/// Whether a gateway that is only asked for is not there.
pub fn is_not_running(error: &SandboxError) -> bool {
    matches!(error, SandboxError::Connect(ConnectError::NotRunning { .. }))
}

/// Runs one command's conversation with a gateway. Threads that read standard input do not hold up its end.
pub fn block_on<T>(work: impl Future<Output = Result<T, SandboxError>>) -> Result<T, SandboxError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| SandboxError::System { action: "start the event loop", source })?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    result
}
