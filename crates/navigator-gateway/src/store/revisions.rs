//! Revisions of sandboxes' policies in the store.

use uuid::Uuid;

use super::Store;
use super::database::{Refusal, Row, Statement, Value, damaged, values};
use super::error::StoreError;
use crate::records::{Millis, Page, Revision, RevisionStatus};

const COLUMNS: &str = "version, hash, policy, status, failure, created_at, loaded_at";

/// Inserts a revision if the newest one is the expected one.
pub(super) fn insert(
    sandbox: Uuid,
    revision: &Revision,
    expected_newest: u32,
) -> Result<Statement, StoreError> {
    if Some(revision.version) != expected_newest.checked_add(1) {
        return Err(StoreError::Conflict);
    }
    let policy = revision.policy.to_yaml();
    match navigator_policy::load("", &policy) {
        Ok(again) if again.policy == revision.policy => {}
        _ => return Err(StoreError::Unstorable("the policy")),
    }
    // PostgreSQL knows the types of what is inserted as VALUES, and not of what is selected.
    let sql = "INSERT INTO policy_revisions \
               (sandbox_id, version, hash, policy, status, failure, created_at, loaded_at) \
               SELECT CAST($1 AS TEXT), CAST($2 AS BIGINT), CAST($3 AS TEXT), CAST($4 AS TEXT), \
               CAST($5 AS TEXT), CAST($6 AS TEXT), CAST($7 AS BIGINT), CAST($8 AS BIGINT) \
               WHERE $9 = (SELECT COALESCE(MAX(version), 0) FROM policy_revisions \
               WHERE sandbox_id = $1) ON CONFLICT (sandbox_id, version) DO NOTHING";
    let (status, failure) = status_columns(&revision.status);
    let parameters = values![
        sandbox,
        revision.version,
        &revision.hash,
        &policy,
        status,
        failure,
        revision.created_at,
        revision.loaded_at,
        expected_newest,
    ];
    Ok(Statement::new(sql, parameters).one_row_or(Refusal::Conflict))
}

impl Store {
    /// Adds a revision. Older ones that are pending are superseded at the same moment.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the newest revision is not `expected_newest` or `revision` does not follow it,
    /// [`StoreError::Missing`] without the sandbox, [`StoreError::Unstorable`], or when the store cannot be written.
    pub async fn add_revision(
        &self,
        sandbox: Uuid,
        revision: &Revision,
        expected_newest: u32,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE policy_revisions SET status = 'superseded' \
                   WHERE sandbox_id = $1 AND version < $2 AND status = 'pending'";
        let statements = vec![
            insert(sandbox, revision, expected_newest)?,
            Statement::new(sql, values![sandbox, revision.version]),
        ];
        let added = self.database().transaction(statements).await;
        self.missing_or("sandboxes", sandbox, added).await.map(drop)
    }

    /// One revision.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn revision(
        &self,
        sandbox: Uuid,
        version: u32,
    ) -> Result<Option<Revision>, StoreError> {
        let condition = "AND version = $2";
        Ok(self.revisions_where(condition, values![sandbox, version]).await?.pop())
    }

    /// The newest revision.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn newest_revision(&self, sandbox: Uuid) -> Result<Option<Revision>, StoreError> {
        let condition = "ORDER BY version DESC LIMIT 1";
        Ok(self.revisions_where(condition, values![sandbox]).await?.pop())
    }

    /// The newest of the revisions that came into force.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn last_loaded_revision(
        &self,
        sandbox: Uuid,
    ) -> Result<Option<Revision>, StoreError> {
        let condition = "AND status = 'loaded' ORDER BY version DESC LIMIT 1";
        Ok(self.revisions_where(condition, values![sandbox]).await?.pop())
    }

    /// Revisions, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn revisions(&self, sandbox: Uuid, page: Page) -> Result<Vec<Revision>, StoreError> {
        let condition = "ORDER BY version DESC LIMIT $2 OFFSET $3";
        self.revisions_where(condition, values![sandbox, page.limit, page.offset]).await
    }

    /// Notes what became of a revision. What is settled stays: `false` when it was not pending any more, or never was.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn settle_revision(
        &self,
        sandbox: Uuid,
        version: u32,
        status: &RevisionStatus,
        at: Millis,
    ) -> Result<bool, StoreError> {
        let loaded_at = match status {
            RevisionStatus::Pending => return Ok(false),
            RevisionStatus::Loaded => Some(at),
            RevisionStatus::Failed(_) | RevisionStatus::Superseded => None,
        };
        let sql = "UPDATE policy_revisions SET status = $1, failure = $2, loaded_at = $3 \
                   WHERE sandbox_id = $4 AND version = $5 AND status = 'pending'";
        let (status, failure) = status_columns(status);
        let parameters = values![status, failure, loaded_at, sandbox, version];
        Ok(self.database().change(Statement::new(sql, parameters)).await? == 1)
    }

    async fn revisions_where(
        &self,
        condition: &'static str,
        parameters: Vec<Value>,
    ) -> Result<Vec<Revision>, StoreError> {
        let sql =
            format!("SELECT {COLUMNS} FROM policy_revisions WHERE sandbox_id = $1 {condition}");
        let rows = self.database().query(Statement::new(sql, parameters)).await?;
        rows.into_iter().map(read).collect()
    }
}

fn read(mut row: Row) -> Result<Revision, StoreError> {
    let version = row.count("policy_revisions.version")?;
    let hash = row.text("policy_revisions.hash")?;
    let policy = navigator_policy::load("", &row.text("policy_revisions.policy")?);
    let policy = policy.map_err(|_| damaged("policy_revisions.policy"))?.policy;
    let status = row.text("policy_revisions.status")?;
    let failure = row.text_or_null("policy_revisions.failure")?;
    Ok(Revision {
        version,
        hash,
        policy,
        status: read_status(&status, failure)?,
        created_at: row.integer("policy_revisions.created_at")?,
        loaded_at: row.integer_or_null("policy_revisions.loaded_at")?,
    })
}

fn status_columns(status: &RevisionStatus) -> (&'static str, Option<&String>) {
    match status {
        RevisionStatus::Pending => ("pending", None),
        RevisionStatus::Loaded => ("loaded", None),
        RevisionStatus::Failed(why) => ("failed", Some(why)),
        RevisionStatus::Superseded => ("superseded", None),
    }
}

fn read_status(status: &str, failure: Option<String>) -> Result<RevisionStatus, StoreError> {
    match (status, failure) {
        ("pending", None) => Ok(RevisionStatus::Pending),
        ("loaded", None) => Ok(RevisionStatus::Loaded),
        ("failed", Some(why)) => Ok(RevisionStatus::Failed(why)),
        ("superseded", None) => Ok(RevisionStatus::Superseded),
        _ => Err(damaged("policy_revisions.status")),
    }
}
