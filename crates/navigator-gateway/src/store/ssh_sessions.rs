//! Rights to reach sandboxes' SSH servers, in the store.

use uuid::Uuid;

use super::Store;
use super::database::{Statement, damaged, values};
use super::error::StoreError;
use crate::records::{Millis, SshSession};

impl Store {
    /// Adds a right.
    ///
    /// # Errors
    /// [`StoreError::Missing`] without the sandbox, or when the store cannot be written.
    pub async fn add_ssh_session(&self, session: &SshSession) -> Result<(), StoreError> {
        let sql = "INSERT INTO ssh_sessions \
                   (id, sandbox_id, token_hash, created_at, expires_at, revoked, used) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let SshSession { id, sandbox_id, token_hash, created_at, expires_at, revoked, used } =
            session;
        let parameters =
            values![*id, *sandbox_id, token_hash, *created_at, *expires_at, *revoked, *used];
        self.database().change(Statement::new(sql, parameters)).await.map(drop)
    }

    /// The right whose token has this SHA-256, also when it is expired or revoked: who asks decides.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn ssh_session(
        &self,
        token_hash: &[u8; 32],
    ) -> Result<Option<SshSession>, StoreError> {
        let sql = "SELECT id, sandbox_id, token_hash, created_at, expires_at, revoked, used \
                   FROM ssh_sessions WHERE token_hash = $1";
        let mut rows = self.database().query(Statement::new(sql, values![token_hash])).await?;
        let Some(mut row) = rows.pop() else {
            return Ok(None);
        };
        Ok(Some(SshSession {
            id: row.id("ssh_sessions.id")?,
            sandbox_id: row.id("ssh_sessions.sandbox_id")?,
            token_hash: row
                .digest_or_null("ssh_sessions.token_hash")?
                .ok_or_else(|| damaged("ssh_sessions.token_hash"))?,
            created_at: row.integer("ssh_sessions.created_at")?,
            expires_at: row.integer("ssh_sessions.expires_at")?,
            revoked: row.truth("ssh_sessions.revoked")?,
            used: row.truth("ssh_sessions.used")?,
        }))
    }

    /// Uses a right up; whether it was good.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn use_ssh_session(
        &self,
        token_hash: &[u8; 32],
        now: Millis,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE ssh_sessions SET used = 1 \
                   WHERE token_hash = $1 AND revoked = 0 AND used = 0 AND expires_at > $2";
        let used = self.database().change(Statement::new(sql, values![token_hash, now])).await?;
        Ok(used == 1)
    }

    /// Takes a right back and returns its sandbox; `None` when there was none that was still good.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn revoke_ssh_session(
        &self,
        token_hash: &[u8; 32],
    ) -> Result<Option<Uuid>, StoreError> {
        let Some(session) = self.ssh_session(token_hash).await? else {
            return Ok(None);
        };
        let sql = "UPDATE ssh_sessions SET revoked = 1 WHERE token_hash = $1 AND revoked = 0";
        let revoked = self.database().change(Statement::new(sql, values![token_hash])).await?;
        Ok((revoked == 1).then_some(session.sandbox_id))
    }

    /// Forgets rights that are no good any more; returns how many.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn forget_expired_ssh_sessions(&self, now: Millis) -> Result<u64, StoreError> {
        let sql = "DELETE FROM ssh_sessions WHERE expires_at <= $1";
        self.database().change(Statement::new(sql, values![now])).await
    }
}
