//! The gateway of this machine: started, stopped, and made a session of its own.

use std::os::unix::process::CommandExt;
use std::process::Command;

use navigator_client::{Gateway, Places, Reach, ensure_running};
use navigator_proto::v1::HealthRequest;

use crate::output::{self, line, say};
use crate::sandbox::error::SandboxError;
use crate::sandbox::session::{launcher, this_program};

/// Starts it unless it answers.
pub async fn start(places: &Places) -> Result<u8, SandboxError> {
    let local = Gateway { name: "local".into(), reach: Reach::Local(places.socket()) };
    let mut api = ensure_running(&local, places, &launcher()?).await?;
    let answer = api.health(HealthRequest {}).await;
    let version =
        answer.map_err(SandboxError::refused("ask for its version"))?.into_inner().version;
    let socket = places.socket();
    output::print(&line(&format!("gateway {version} answers on {}", socket.display())))?;
    Ok(0)
}

/// Stops it; that none runs is no failure.
pub fn stop(places: &Places) -> Result<u8, SandboxError> {
    match navigator_client::stop(&places.socket(), &this_program()?)? {
        true => say("navigator: the gateway has ended; sandboxes go on"),
        false => say("navigator: no gateway runs"),
    }
    Ok(0)
}

/// Leaves the terminal and the process group of the client that started this, and becomes the gateway.
pub fn run_detached(places: &Places) -> Result<u8, SandboxError> {
    let failed = |action| move |source| SandboxError::System { action, source };
    rustix::process::setsid().map_err(|error| failed("make a session of its own")(error.into()))?;
    // Whatever its settings say: the client waits here.
    let mut gateway = Command::new(this_program()?);
    gateway.args(["gateway", "run", "--socket"]).arg(places.socket());
    let error = gateway.exec();
    Err(failed("become the gateway")(error))
}
