//! A client of the gateway.

use std::path::Path;
use std::time::Duration;

use navigator_proto::datamodel::v1::{Sandbox, SandboxPhase, SandboxSpec};
use navigator_proto::sandbox::v1::SandboxPolicy;
use navigator_proto::v1::exec_sandbox_event::Payload;
use navigator_proto::v1::navigator_client::NavigatorClient;
use navigator_proto::v1::{
    CreateSandboxRequest, DeleteSandboxRequest, ExecSandboxRequest, GetSandboxRequest,
    ListSandboxesRequest, SandboxStreamEvent, StartSandboxRequest, StopSandboxRequest,
    UpdateSandboxPolicyRequest, WatchSandboxRequest,
};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection, made when it is needed and made again when it broke.
#[derive(Clone)]
pub(super) struct Api(NavigatorClient<Channel>);

/// What a process printed and how it ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) code: Option<i32>,
}

impl Api {
    pub(super) fn new(socket: &Path) -> Self {
        let endpoint = Endpoint::from_shared(format!("unix:{}", socket.display())).unwrap();
        Self(NavigatorClient::new(endpoint.timeout(PATIENCE).connect_lazy()))
    }

    pub(super) async fn create(
        &mut self,
        name: &str,
        spec: SandboxSpec,
    ) -> Result<Sandbox, Status> {
        let request = CreateSandboxRequest { spec: Some(spec), name: name.into() };
        Ok(self.0.create_sandbox(request).await?.into_inner().sandbox.unwrap())
    }

    pub(super) async fn get(&mut self, name: &str) -> Result<Sandbox, Status> {
        let answer = self.0.get_sandbox(GetSandboxRequest { name: name.into() }).await?;
        Ok(answer.into_inner().sandbox.unwrap())
    }

    /// A page of the list.
    pub(super) async fn page(&mut self, limit: u32, offset: u32) -> Result<Vec<Sandbox>, Status> {
        let request = ListSandboxesRequest { limit, offset };
        Ok(self.0.list_sandboxes(request).await?.into_inner().sandboxes)
    }

    pub(super) async fn stop(&mut self, name: &str) -> Result<Sandbox, Status> {
        let answer = self.0.stop_sandbox(StopSandboxRequest { name: name.into() }).await?;
        Ok(answer.into_inner().sandbox.unwrap())
    }

    pub(super) async fn start(&mut self, name: &str) -> Result<Sandbox, Status> {
        let answer = self.0.start_sandbox(StartSandboxRequest { name: name.into() }).await?;
        Ok(answer.into_inner().sandbox.unwrap())
    }

    pub(super) async fn delete(&mut self, name: &str) -> Result<bool, Status> {
        let request = DeleteSandboxRequest { name: name.into() };
        Ok(self.0.delete_sandbox(request).await?.into_inner().deleted)
    }

    pub(super) async fn update(
        &mut self,
        name: &str,
        policy: SandboxPolicy,
    ) -> Result<u32, Status> {
        let request = UpdateSandboxPolicyRequest {
            name: name.into(),
            policy: Some(policy),
            ..UpdateSandboxPolicyRequest::default()
        };
        Ok(self.0.update_sandbox_policy(request).await?.into_inner().version)
    }

    /// Runs a command to its end.
    pub(super) async fn exec(&mut self, id: &str, command: &[&str]) -> Result<Ended, Status> {
        let request = ExecSandboxRequest {
            sandbox_id: id.into(),
            command: command.iter().map(ToString::to_string).collect(),
            ..ExecSandboxRequest::default()
        };
        let mut events = self.0.exec_sandbox(request).await?.into_inner();
        let mut ended = Ended::default();
        while let Some(event) = events.message().await? {
            match event.payload.unwrap() {
                Payload::Stdout(out) => ended.stdout += &String::from_utf8_lossy(&out.data),
                Payload::Stderr(out) => ended.stderr += &String::from_utf8_lossy(&out.data),
                Payload::Exit(exit) => ended.code = Some(exit.exit_code),
            }
        }
        Ok(ended)
    }

    /// Watches a sandbox's record from now on.
    pub(super) async fn watch(&mut self, id: &str) -> Streaming<SandboxStreamEvent> {
        let request = WatchSandboxRequest {
            id: id.into(),
            follow_status: true,
            ..WatchSandboxRequest::default()
        };
        self.0.watch_sandbox(request).await.unwrap().into_inner()
    }

    /// Waits until a sandbox is in a phase.
    pub(super) async fn is(&mut self, name: &str, phase: SandboxPhase) -> Sandbox {
        let end = std::time::Instant::now() + PATIENCE;
        loop {
            let found = self.get(name).await;
            match found {
                Ok(sandbox) if sandbox.phase() == phase => return sandbox,
                Err(status) if status.code() != Code::Unavailable => panic!("{name}: {status}"),
                Ok(_) | Err(_) => {}
            }
            assert!(std::time::Instant::now() < end, "{name} is not {phase:?}: {found:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Whether the gateway itself answered so, not the broken connection to it.
pub(super) fn is_answer(status: &Status) -> bool {
    std::error::Error::source(status).is_none()
}
