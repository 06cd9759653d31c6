//! Sandboxes in the store.

use uuid::Uuid;

use super::children::Selection;
use super::database::{Refusal, Row, Statement, values};
use super::error::StoreError;
use super::words::Word as _;
use super::{Store, revisions, sandbox_rows};
use crate::records::{Desired, Name, Page, Phase, Revision, Sandbox};

/// What reconciliation looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The sandbox.
    pub id: Uuid,
    /// Whether it should run.
    pub desired: Desired,
    /// Where it was last known to be.
    pub phase: Phase,
}

impl Store {
    /// Adds a sandbox, with the first revision of its policy when there is one.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`], [`StoreError::Unstorable`], or when the store cannot be written.
    pub async fn create_sandbox(
        &self,
        sandbox: &Sandbox,
        first: Option<&Revision>,
    ) -> Result<(), StoreError> {
        let row = sandbox_rows::row(sandbox)?.one_row_or(Refusal::NameTaken);
        let mut statements = vec![row];
        statements.extend(sandbox_rows::asked_for(sandbox));
        statements.extend(sandbox_rows::known(sandbox));
        if let Some(first) = first {
            statements.push(revisions::insert(sandbox.id, first, 0)?);
        }
        self.database().transaction(statements).await.map(drop)
    }

    /// A sandbox by its id.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn sandbox(&self, id: Uuid) -> Result<Option<Sandbox>, StoreError> {
        Ok(self.sandboxes_of(&Selection::id(id)).await?.pop())
    }

    /// A sandbox by its name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn sandbox_named(&self, name: &Name) -> Result<Option<Sandbox>, StoreError> {
        Ok(self.sandboxes_of(&Selection::name(name)).await?.pop())
    }

    /// Sandboxes, oldest first and then by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn sandboxes(&self, page: Page) -> Result<Vec<Sandbox>, StoreError> {
        self.sandboxes_of(&Selection::page(page)).await
    }

    /// Every sandbox's id and state.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn all_sandboxes(&self) -> Result<Vec<Standing>, StoreError> {
        let sql = "SELECT id, desired, phase FROM sandboxes ORDER BY created_at, name";
        let rows = self.database().query(Statement::new(sql, vec![])).await?;
        let standing = |mut row: Row| {
            Ok(Standing {
                id: row.id("sandboxes.id")?,
                desired: Desired::read(&row.text("sandboxes.desired")?, "sandboxes.desired")?,
                phase: Phase::read(&row.text("sandboxes.phase")?, "sandboxes.phase")?,
            })
        };
        rows.into_iter().map(standing).collect()
    }

    /// How many sandboxes there are.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn count_sandboxes(&self) -> Result<u32, StoreError> {
        let query = Statement::new("SELECT COUNT(*) FROM sandboxes", vec![]);
        match self.database().query(query).await?.pop() {
            Some(mut row) => row.count("the number of sandboxes"),
            None => Ok(0),
        }
    }

    /// Saves what can change of a sandbox, and moves its `record_version` on: what is desired, where it is, its
    /// conditions, layers and skipped paths, restarts, the policy in force and its credential's hash.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when somebody else has saved it since it was read, [`StoreError::Missing`], or when
    /// the store cannot be written.
    pub async fn save_sandbox(&self, sandbox: &mut Sandbox) -> Result<(), StoreError> {
        let sql = "UPDATE sandboxes SET desired = $1, phase = $2, restarts = $3, policy_in_force = $4, \
                   token_hash = $5, record_version = record_version + 1 \
                   WHERE id = $6 AND record_version = $7";
        let parameters = values![
            sandbox.desired.word(),
            sandbox.phase.word(),
            sandbox.restarts,
            sandbox.policy_in_force,
            sandbox.token_hash.as_ref(),
            sandbox.id,
            sandbox.record_version,
        ];
        let mut statements = vec![Statement::new(sql, parameters).one_row_or(Refusal::Conflict)];
        statements.extend(sandbox_rows::forget_known(sandbox));
        statements.extend(sandbox_rows::known(sandbox));
        let saved = self.database().transaction(statements).await;
        self.missing_or("sandboxes", sandbox.id, saved).await?;
        sandbox.record_version += 1;
        Ok(())
    }

    /// Removes everything of a sandbox; `false` when it was not there.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn remove_sandbox(&self, id: Uuid) -> Result<bool, StoreError> {
        let sql = "DELETE FROM sandboxes WHERE id = $1";
        Ok(self.database().change(Statement::new(sql, values![id])).await? == 1)
    }

    /// The sandbox whose supervisor's credential has this SHA-256.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn sandbox_with_token(&self, hash: &[u8; 32]) -> Result<Option<Uuid>, StoreError> {
        let sql = "SELECT id FROM sandboxes WHERE token_hash = $1";
        let mut rows = self.database().query(Statement::new(sql, values![hash])).await?;
        rows.pop().map(|mut row| row.id("sandboxes.id")).transpose()
    }

    /// Sandboxes that name a provider, whether it exists or not.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn sandboxes_with_provider(&self, name: &Name) -> Result<Vec<Uuid>, StoreError> {
        let sql = "SELECT DISTINCT sandbox_id FROM sandbox_providers WHERE provider = $1";
        let rows = self.database().query(Statement::new(sql, values![name])).await?;
        rows.into_iter().map(|mut row| row.id("sandbox_providers.sandbox_id")).collect()
    }

    async fn sandboxes_of(&self, which: &Selection) -> Result<Vec<Sandbox>, StoreError> {
        sandbox_rows::read(self.database().read(sandbox_rows::queries(which)).await?)
    }

    /// Tells a conflict over a record that is there from one that is not.
    pub(super) async fn missing_or<T>(
        &self,
        table: &str,
        id: Uuid,
        done: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if let Err(StoreError::Conflict) = done {
            let sql = format!("SELECT id FROM {table} WHERE id = $1");
            if self.database().query(Statement::new(sql, values![id])).await?.is_empty() {
                return Err(StoreError::Missing);
            }
        }
        done
    }
}
