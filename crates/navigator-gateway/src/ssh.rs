//! Rights to reach a sandbox: made, counted and taken back here; the tunnel checks them.

use std::time::Duration;

use navigator_proto::v1 as api;
use uuid::Uuid;

use crate::access::{new_token, token_hash};
use crate::clock::steady;
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::records::{Phase, SshSession};

/// How long such a right is good.
const LIFE: Duration = Duration::from_secs(3600);
/// Where the tunnel is.
const CONNECT_PATH: &str = "/connect/ssh";

impl Gateway {
    /// Makes a right for a sandbox that is ready.
    pub(crate) async fn create_ssh_session(
        &self,
        sandbox_id: &str,
    ) -> Result<api::CreateSshSessionResponse, Failure> {
        let sandbox = self.with_id(sandbox_id).await?;
        if sandbox.phase != Phase::Ready {
            let phase = crate::wire::phase_word(sandbox.phase);
            return Err(Failure::Precondition(format!("the sandbox is {phase}, not ready")));
        }
        let host_key = self.live(sandbox.id).session.reached().await?.host_key;
        let (token, token_hash) = new_token();
        let created_at = steady();
        let life = i64::try_from(LIFE.as_millis()).unwrap_or(i64::MAX);
        self.store.forget_expired_ssh_sessions(created_at).await?;
        let session = SshSession {
            id: Uuid::now_v7(),
            sandbox_id: sandbox.id,
            token_hash,
            created_at,
            expires_at: created_at.saturating_add(life),
            revoked: false,
            used: false,
        };
        self.store.add_ssh_session(&session).await?;
        let (gateway_scheme, gateway_host, gateway_port) = match self.address {
            Some(address) => {
                ("https".to_owned(), address.ip().to_string(), u32::from(address.port()))
            }
            None => ("unix".to_owned(), self.socket.to_string_lossy().into_owned(), 0),
        };
        Ok(api::CreateSshSessionResponse {
            sandbox_id: sandbox.id.to_string(),
            token: token.to_string(),
            gateway_host,
            gateway_port,
            gateway_scheme,
            connect_path: CONNECT_PATH.to_owned(),
            host_key_fingerprint: host_key.fingerprint,
            host_key: host_key.line,
        })
    }

    /// Takes a right back; whether there was one.
    pub(crate) async fn revoke_ssh_session(&self, token: &str) -> Result<bool, Failure> {
        let token_hash = token_hash(token);
        let revoked = self.store.revoke_ssh_session(&token_hash).await?.is_some();
        // One that has expired meanwhile may have a connection still.
        Ok(self.tunnels.cut(&token_hash) || revoked)
    }
}
