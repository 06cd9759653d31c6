//! The gateway's API: each call reads its request, has it done, and shows the result.

mod inference;

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use navigator_policy::Policy;
use navigator_proto::sandbox::v1 as policy_proto;
use navigator_proto::v1 as proto;
use navigator_proto::v1::navigator_server::Navigator;
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use crate::access::{Principal, still_good};
use crate::execs::{Events, interactive_input, whole_input};
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::live::log::LINES;
use crate::records::{Revision, Sandbox};
use crate::{spec, wire};

pub(crate) use inference::InferenceApi;

/// Serves the `Navigator` service.
pub(crate) struct NavigatorApi(pub(crate) Arc<Gateway>);

type Answer<T> = Result<Response<T>, Status>;

/// Who calls; the guard has found out.
fn principal<T>(request: &Request<T>) -> Result<Arc<Principal>, Failure> {
    let found = request.extensions().get::<Arc<Principal>>().cloned();
    found.ok_or(Failure::Denied("nobody is known to call"))
}

/// The sandbox that calls, if it asks about itself.
fn own<T>(request: &Request<T>, id: &str) -> Result<Uuid, Failure> {
    principal(request)?.only(id)
}

fn policy(message: Option<&policy_proto::SandboxPolicy>) -> Result<Option<Policy>, Failure> {
    let read = message.map(Policy::try_from).transpose();
    read.map_err(|error| Failure::Invalid(error.to_string()))
}

impl Gateway {
    /// A sandbox as clients see it, with the policy that it has.
    pub(crate) async fn show(
        &self,
        sandbox: &Sandbox,
    ) -> Result<navigator_proto::datamodel::v1::Sandbox, Failure> {
        let newest = self.store.newest_revision(sandbox.id).await?;
        let policy = match self.policy_in_force(sandbox.id).await? {
            Some(revision) => Some(revision.policy),
            None => newest.map(|revision| revision.policy),
        };
        Ok(wire::sandbox(sandbox, policy.as_ref()))
    }

    /// The revision that is in force.
    pub(crate) async fn policy_in_force(&self, id: Uuid) -> Result<Option<Revision>, Failure> {
        Ok(self.store.last_loaded_revision(id).await?)
    }

    async fn answer(&self, sandbox: &Sandbox) -> Answer<proto::SandboxResponse> {
        let sandbox = Some(self.show(sandbox).await?);
        Ok(Response::new(proto::SandboxResponse { sandbox }))
    }
}

#[tonic::async_trait]
impl Navigator for NavigatorApi {
    async fn health(
        &self,
        _request: Request<proto::HealthRequest>,
    ) -> Answer<proto::HealthResponse> {
        let status = match self.0.store.ping().await {
            Ok(()) => proto::ServiceStatus::Healthy,
            Err(_) => proto::ServiceStatus::Unhealthy,
        };
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Ok(Response::new(proto::HealthResponse { status: status.into(), version }))
    }

    async fn create_sandbox(
        &self,
        request: Request<proto::CreateSandboxRequest>,
    ) -> Answer<proto::SandboxResponse> {
        let owner = *principal(&request)? == Principal::Owner;
        let proto::CreateSandboxRequest { spec, name } = request.into_inner();
        let message = spec.unwrap_or_default();
        let policy = policy(message.policy.as_ref())?;
        let spec = self.0.resolve_places(owner, spec::read(message)?)?;
        let spec = self.0.resolve_image(spec).await?;
        let sandbox = self.0.create(&name, spec, policy, None).await?;
        self.0.answer(&sandbox).await
    }

    async fn get_sandbox(
        &self,
        request: Request<proto::GetSandboxRequest>,
    ) -> Answer<proto::SandboxResponse> {
        let sandbox = self.0.named(&request.get_ref().name).await?;
        self.0.answer(&sandbox).await
    }

    async fn list_sandboxes(
        &self,
        request: Request<proto::ListSandboxesRequest>,
    ) -> Answer<proto::ListSandboxesResponse> {
        let proto::ListSandboxesRequest { limit, offset } = *request.get_ref();
        let found =
            self.0.store.sandboxes(wire::page(limit, offset)).await.map_err(Failure::from)?;
        // Without policies: a list is for finding, and policies are long.
        let sandboxes = found.iter().map(|sandbox| wire::sandbox(sandbox, None)).collect();
        Ok(Response::new(proto::ListSandboxesResponse { sandboxes }))
    }

    async fn delete_sandbox(
        &self,
        request: Request<proto::DeleteSandboxRequest>,
    ) -> Answer<proto::DeleteSandboxResponse> {
        self.0.delete(&request.get_ref().name).await?;
        Ok(Response::new(proto::DeleteSandboxResponse { deleted: true }))
    }

    async fn stop_sandbox(
        &self,
        request: Request<proto::StopSandboxRequest>,
    ) -> Answer<proto::SandboxResponse> {
        let sandbox = self.0.stop(&request.get_ref().name).await?;
        self.0.answer(&sandbox).await
    }

    async fn start_sandbox(
        &self,
        request: Request<proto::StartSandboxRequest>,
    ) -> Answer<proto::SandboxResponse> {
        let sandbox = self.0.start(&request.get_ref().name).await?;
        self.0.answer(&sandbox).await
    }

    type ListSandboxChangesStream = crate::snapshots::Changes;

    async fn list_sandbox_changes(
        &self,
        request: Request<proto::ListSandboxChangesRequest>,
    ) -> Answer<Self::ListSandboxChangesStream> {
        Ok(Response::new(self.0.changes(&request.get_ref().name).await?))
    }

    async fn snapshot_sandbox(
        &self,
        request: Request<proto::SnapshotSandboxRequest>,
    ) -> Answer<proto::SnapshotSandboxResponse> {
        let proto::SnapshotSandboxRequest { name, tag } = request.into_inner();
        let image = self.0.snapshot(&name, &tag).await?;
        Ok(Response::new(proto::SnapshotSandboxResponse { image }))
    }

    async fn fork_sandbox(
        &self,
        request: Request<proto::ForkSandboxRequest>,
    ) -> Answer<proto::SandboxResponse> {
        let proto::ForkSandboxRequest { name, new_name } = request.into_inner();
        let sandbox = self.0.fork(&name, &new_name).await?;
        self.0.answer(&sandbox).await
    }

    type WatchSandboxStream =
        Pin<Box<dyn Stream<Item = Result<proto::SandboxStreamEvent, Status>> + Send>>;

    async fn watch_sandbox(
        &self,
        request: Request<proto::WatchSandboxRequest>,
    ) -> Answer<Self::WatchSandboxStream> {
        let events = self.0.watch(request.into_inner()).await?;
        Ok(Response::new(Box::pin(events)))
    }

    async fn create_ssh_session(
        &self,
        request: Request<proto::CreateSshSessionRequest>,
    ) -> Answer<proto::CreateSshSessionResponse> {
        Ok(Response::new(self.0.create_ssh_session(&request.get_ref().sandbox_id).await?))
    }

    async fn revoke_ssh_session(
        &self,
        request: Request<proto::RevokeSshSessionRequest>,
    ) -> Answer<proto::RevokeSshSessionResponse> {
        let revoked = self.0.revoke_ssh_session(&request.get_ref().token).await?;
        Ok(Response::new(proto::RevokeSshSessionResponse { revoked }))
    }

    type ExecSandboxStream = Events;

    async fn exec_sandbox(
        &self,
        request: Request<proto::ExecSandboxRequest>,
    ) -> Answer<Self::ExecSandboxStream> {
        let request = request.into_inner();
        let start = proto::ExecStart {
            sandbox_id: request.sandbox_id,
            command: request.command,
            workdir: request.workdir,
            environment: request.environment,
            timeout_seconds: request.timeout_seconds,
            ..Default::default()
        };
        Ok(Response::new(self.0.exec(start, whole_input(request.stdin)).await?))
    }

    type ExecInteractiveStream = Events;

    async fn exec_interactive(
        &self,
        request: Request<Streaming<proto::ExecInteractiveRequest>>,
    ) -> Answer<Self::ExecInteractiveStream> {
        let mut requests = request.into_inner();
        let first = requests.message().await?.and_then(|first| first.payload);
        let Some(proto::exec_interactive_request::Payload::Start(start)) = first else {
            return Err(Status::invalid_argument("the first message must be a start"));
        };
        Ok(Response::new(self.0.exec(start, interactive_input(requests)).await?))
    }

    async fn list_terminals(
        &self,
        request: Request<proto::ListTerminalsRequest>,
    ) -> Answer<proto::ListTerminalsResponse> {
        Ok(Response::new(self.0.terminals(request.into_inner()).await?))
    }

    async fn end_terminal(
        &self,
        request: Request<proto::EndTerminalRequest>,
    ) -> Answer<proto::EndTerminalResponse> {
        Ok(Response::new(self.0.end_terminal(request.into_inner()).await?))
    }

    async fn list_recordings(
        &self,
        request: Request<proto::ListRecordingsRequest>,
    ) -> Answer<proto::ListRecordingsResponse> {
        Ok(Response::new(self.0.recordings(request.into_inner()).await?))
    }

    type ReadRecordingStream = Events;

    async fn read_recording(
        &self,
        request: Request<proto::ReadRecordingRequest>,
    ) -> Answer<Self::ReadRecordingStream> {
        Ok(Response::new(self.0.read_recording(request.into_inner()).await?))
    }

    async fn create_provider(
        &self,
        request: Request<proto::CreateProviderRequest>,
    ) -> Answer<proto::ProviderResponse> {
        let message = request.into_inner().provider.unwrap_or_default();
        let provider = self.0.create_provider(message).await?;
        Ok(Response::new(proto::ProviderResponse { provider: Some(wire::provider(&provider)) }))
    }

    async fn update_provider(
        &self,
        request: Request<proto::UpdateProviderRequest>,
    ) -> Answer<proto::ProviderResponse> {
        let message = request.into_inner().provider.unwrap_or_default();
        let provider = self.0.update_provider(message).await?;
        Ok(Response::new(proto::ProviderResponse { provider: Some(wire::provider(&provider)) }))
    }

    async fn get_provider(
        &self,
        request: Request<proto::GetProviderRequest>,
    ) -> Answer<proto::ProviderResponse> {
        let provider = self.0.provider(&request.get_ref().name).await?;
        Ok(Response::new(proto::ProviderResponse { provider: Some(wire::provider(&provider)) }))
    }

    async fn delete_provider(
        &self,
        request: Request<proto::DeleteProviderRequest>,
    ) -> Answer<proto::DeleteProviderResponse> {
        let deleted = self.0.delete_provider(&request.get_ref().name).await?;
        Ok(Response::new(proto::DeleteProviderResponse { deleted }))
    }

    async fn list_providers(
        &self,
        request: Request<proto::ListProvidersRequest>,
    ) -> Answer<proto::ListProvidersResponse> {
        let proto::ListProvidersRequest { limit, offset } = *request.get_ref();
        let found =
            self.0.store.providers(wire::page(limit, offset)).await.map_err(Failure::from)?;
        let providers = found.iter().map(wire::provider).collect();
        Ok(Response::new(proto::ListProvidersResponse { providers }))
    }

    async fn get_sandbox_policy(
        &self,
        request: Request<policy_proto::GetSandboxPolicyRequest>,
    ) -> Answer<policy_proto::GetSandboxPolicyResponse> {
        let id = own(&request, &request.get_ref().sandbox_id)?;
        let newest = self.0.policy_to_deliver(id).await?;
        let revision = newest.ok_or_else(|| Failure::missing("policy of sandbox", id))?;
        Ok(Response::new(policy_proto::GetSandboxPolicyResponse {
            policy: Some((&revision.policy).into()),
            version: revision.version,
            policy_hash: revision.hash,
        }))
    }

    async fn update_sandbox_policy(
        &self,
        request: Request<proto::UpdateSandboxPolicyRequest>,
    ) -> Answer<proto::UpdateSandboxPolicyResponse> {
        let request = request.into_inner();
        let policy = policy(request.policy.as_ref())?
            .ok_or_else(|| Failure::Invalid("an update needs a policy".into()))?;
        let updated = self.0.update_policy(&request.name, policy, request.expected_version).await?;
        let (version, policy_hash) = updated;
        Ok(Response::new(proto::UpdateSandboxPolicyResponse { version, policy_hash }))
    }

    async fn get_sandbox_policy_status(
        &self,
        request: Request<proto::GetSandboxPolicyStatusRequest>,
    ) -> Answer<proto::GetSandboxPolicyStatusResponse> {
        let proto::GetSandboxPolicyStatusRequest { name, version } = request.into_inner();
        let sandbox = self.0.named(&name).await?;
        let found = match version {
            0 => self.0.store.newest_revision(sandbox.id).await,
            version => self.0.store.revision(sandbox.id, version).await,
        };
        let found = found.map_err(Failure::from)?;
        let revision = found.ok_or_else(|| Failure::missing("policy version", version))?;
        Ok(Response::new(proto::GetSandboxPolicyStatusResponse {
            revision: Some(wire::revision(&revision)),
            active_version: sandbox.policy_in_force,
        }))
    }

    async fn list_sandbox_policies(
        &self,
        request: Request<proto::ListSandboxPoliciesRequest>,
    ) -> Answer<proto::ListSandboxPoliciesResponse> {
        let proto::ListSandboxPoliciesRequest { name, limit, offset } = request.into_inner();
        let id = self.0.named(&name).await?.id;
        let found =
            self.0.store.revisions(id, wire::page(limit, offset)).await.map_err(Failure::from)?;
        let revisions = found.iter().map(wire::revision).collect();
        Ok(Response::new(proto::ListSandboxPoliciesResponse { revisions }))
    }

    async fn report_policy_status(
        &self,
        request: Request<proto::ReportPolicyStatusRequest>,
    ) -> Answer<proto::ReportPolicyStatusResponse> {
        let id = own(&request, &request.get_ref().sandbox_id)?;
        let request = request.into_inner();
        let error = match request.status() {
            proto::PolicyStatus::Loaded => String::new(),
            proto::PolicyStatus::Failed if request.load_error.is_empty() => {
                "no reason given".into()
            }
            proto::PolicyStatus::Failed => request.load_error,
            proto::PolicyStatus::Unspecified
            | proto::PolicyStatus::Pending
            | proto::PolicyStatus::Superseded => {
                return Err(Status::invalid_argument("a sandbox reports LOADED or FAILED"));
            }
        };
        self.0.policy_result(&self.0.live(id), request.version, error).await?;
        Ok(Response::new(proto::ReportPolicyStatusResponse {}))
    }

    async fn get_sandbox_provider_environment(
        &self,
        request: Request<proto::GetSandboxProviderEnvironmentRequest>,
    ) -> Answer<proto::GetSandboxProviderEnvironmentResponse> {
        let id = own(&request, &request.get_ref().sandbox_id)?;
        let sandbox = self.0.with_id(&id.to_string()).await?;
        let environment = self.0.provider_environment(&sandbox.spec.providers).await?;
        Ok(Response::new(proto::GetSandboxProviderEnvironmentResponse { environment }))
    }

    async fn get_sandbox_logs(
        &self,
        request: Request<proto::GetSandboxLogsRequest>,
    ) -> Answer<proto::GetSandboxLogsResponse> {
        let request = request.into_inner();
        let wanted = wire::wanted(request.since_ms, &request.sources, &request.min_level)?;
        let id = self.0.with_id(&request.sandbox_id).await?.id;
        let most = match request.lines {
            0 => LINES,
            lines => usize::try_from(lines).unwrap_or(LINES),
        };
        let (lines, total) = self.0.live(id).log.newest(&wanted, most).await;
        Ok(Response::new(proto::GetSandboxLogsResponse {
            logs: lines.iter().map(|line| wire::line(id, line)).collect(),
            buffer_total: u32::try_from(total).unwrap_or(u32::MAX),
        }))
    }

    async fn push_sandbox_logs(
        &self,
        request: Request<Streaming<proto::PushSandboxLogsRequest>>,
    ) -> Answer<proto::PushSandboxLogsResponse> {
        let principal = principal(&request)?;
        let mut batches = request.into_inner();
        while let Some(batch) = batches.next().await.transpose()? {
            let id = principal.only(&batch.sandbox_id)?;
            still_good(&self.0.store, &principal).await?;
            self.0.take_logs(&self.0.live(id), batch.logs, 0).await;
        }
        Ok(Response::new(proto::PushSandboxLogsResponse {}))
    }
}
