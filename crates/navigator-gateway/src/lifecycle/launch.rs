//! What a supervisor is told when it is started.

use std::collections::BTreeMap;

use navigator_drivers::Workload;
use navigator_policy::Policy;
use navigator_proto::session::v1::Launch;
use prost::Message;
use zeroize::Zeroizing;

use crate::access::new_token;
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::records::{Name, RevisionStatus, Sandbox};
use crate::wire;

impl Gateway {
    /// What the driver needs to start a sandbox, and what is kept of the credential in it.
    pub(crate) async fn workload(
        &self,
        sandbox: &Sandbox,
    ) -> Result<(Workload, [u8; 32]), Failure> {
        let policy = self.policy_to_start_with(sandbox).await?;
        let (token, token_hash) = new_token();
        let directory = self.driver.directory(sandbox.id);
        let launch = Launch {
            sandbox_id: sandbox.id.to_string(),
            sandbox_name: sandbox.name.to_string(),
            token: token.to_string(),
            gateway_socket: self.socket.to_string_lossy().into_owned(),
            directory: directory.to_string_lossy().into_owned(),
            image_store: self.driver.image_store().to_string_lossy().into_owned(),
            policy_version: policy.as_ref().map_or(0, |(version, _)| *version),
            spec: Some(wire::spec(&sandbox.spec, policy.as_ref().map(|(_, policy)| policy))),
            provider_environment: self.provider_environment(&sandbox.spec.providers).await?,
            complete: true,
        };
        let launch = Zeroizing::new(launch.encode_to_vec());
        let name = sandbox.name.to_string();
        let image = sandbox.spec.template.image_name().map(str::to_owned);
        Ok((Workload { id: sandbox.id, name, image, launch }, token_hash))
    }

    /// The last policy that was in force; for a new sandbox the one that it was made with, if any.
    pub(crate) async fn policy_to_start_with(
        &self,
        sandbox: &Sandbox,
    ) -> Result<Option<(u32, Policy)>, Failure> {
        if let Some(revision) = self.store.last_loaded_revision(sandbox.id).await? {
            return Ok(Some((revision.version, revision.policy)));
        }
        let first = self.store.revision(sandbox.id, 1).await?;
        // One that could not be loaded is not tried again.
        match first {
            Some(revision) => match revision.status {
                RevisionStatus::Failed(reason) => {
                    Err(Failure::Precondition(format!("its policy could not be loaded: {reason}")))
                }
                RevisionStatus::Pending | RevisionStatus::Loaded | RevisionStatus::Superseded => {
                    Ok(Some((revision.version, revision.policy)))
                }
            },
            None => Ok(None),
        }
    }

    /// The environment that providers give; the first wins.
    pub(crate) async fn provider_environment(
        &self,
        names: &[Name],
    ) -> Result<BTreeMap<String, String>, Failure> {
        let mut environment = BTreeMap::new();
        for provider in self.store.providers_by_name(names).await? {
            for (name, secret) in &provider.credentials {
                environment.entry(name.clone()).or_insert_with(|| secret.expose().to_owned());
            }
        }
        Ok(environment)
    }
}
