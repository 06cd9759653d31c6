//! Providers in the store, their credentials sealed.

use std::collections::HashMap;

use uuid::Uuid;

use super::Store;
use super::children::{Child, Grouped, Selection, pair, pairs};
use super::database::{Refusal, Row, Statement, damaged, values};
use super::error::StoreError;
use super::seal::Place;
use crate::records::{Name, Page, Provider};

const fn of_provider(table: &'static str) -> Child {
    Child { table, owner: "provider_id", owners: "providers", order: "name" }
}

const CREDENTIALS: Child = of_provider("provider_credentials");
const CONFIG: Child = of_provider("provider_config");

impl Store {
    /// Adds a provider.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`], or when the store cannot be written.
    pub async fn create_provider(&self, provider: &Provider) -> Result<(), StoreError> {
        let sql = "INSERT INTO providers (id, name, kind, created_at, record_version) \
                   VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) DO NOTHING";
        let Provider { id, name, kind, created_at, record_version, .. } = provider;
        let parameters = values![*id, name, kind, *created_at, *record_version];
        let mut statements = vec![Statement::new(sql, parameters).one_row_or(Refusal::NameTaken)];
        statements.extend(self.parts(provider));
        self.database().transaction(statements).await.map(drop)
    }

    /// A provider by its name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn provider_named(&self, name: &Name) -> Result<Option<Provider>, StoreError> {
        Ok(self.providers_of(&Selection::name(name)).await?.pop())
    }

    /// Providers, oldest first and then by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn providers(&self, page: Page) -> Result<Vec<Provider>, StoreError> {
        self.providers_of(&Selection::page(page)).await
    }

    /// The providers with these names, in this order. Names that no provider has are left out.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn providers_by_name(&self, names: &[Name]) -> Result<Vec<Provider>, StoreError> {
        let mut providers = vec![];
        if let Some(which) = Selection::any_of("name", names.iter().map(Name::as_str)) {
            providers = self.providers_of(&which).await?;
        }
        let named = providers.into_iter().map(|provider| (provider.name.clone(), provider));
        let mut named: HashMap<_, _> = named.collect();
        Ok(names.iter().filter_map(|name| named.remove(name)).collect())
    }

    /// Saves a provider's kind, credentials and settings, and moves its `record_version` on.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when somebody else has saved it since it was read, [`StoreError::Missing`], or when
    /// the store cannot be written.
    pub async fn save_provider(&self, provider: &mut Provider) -> Result<(), StoreError> {
        let sql = "UPDATE providers SET kind = $1, record_version = record_version + 1 \
                   WHERE id = $2 AND record_version = $3";
        let parameters = values![&provider.kind, provider.id, provider.record_version];
        let mut statements = vec![
            Statement::new(sql, parameters).one_row_or(Refusal::Conflict),
            CREDENTIALS.clear(provider.id),
            CONFIG.clear(provider.id),
        ];
        statements.extend(self.parts(provider));
        let saved = self.database().transaction(statements).await;
        self.missing_or("providers", provider.id, saved).await?;
        provider.record_version += 1;
        Ok(())
    }

    /// Removes a provider; `false` when it was not there. Sandboxes go on naming it.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn remove_provider(&self, name: &Name) -> Result<bool, StoreError> {
        let sql = "DELETE FROM providers WHERE name = $1";
        Ok(self.database().change(Statement::new(sql, values![name])).await? == 1)
    }

    fn parts(&self, provider: &Provider) -> Vec<Statement> {
        let owner = provider.id;
        let row = provider.id.to_string();
        let sealed = provider.credentials.iter().map(|(name, secret)| {
            let sealed = self.key().seal(secret.expose().as_bytes(), credential(&row, name));
            values![name, sealed.as_slice()]
        });
        let credentials = "provider_credentials (provider_id, name, sealed)";
        let config = "provider_config (provider_id, name, value)";
        let sealed = Statement::insert_all(credentials, owner, sealed.collect());
        [sealed, Statement::insert_all(config, owner, pairs(&provider.config))].concat()
    }

    async fn providers_of(&self, which: &Selection) -> Result<Vec<Provider>, StoreError> {
        let queries = vec![
            which.rows("id, name, kind, created_at, record_version", "providers"),
            which.children("name, sealed", &CREDENTIALS),
            which.children("name, value", &CONFIG),
        ];
        let mut answers = self.database().read(queries).await?.into_iter();
        let mut next = || answers.next().unwrap_or_default();
        let rows = next();
        let sealed = |row: &mut Row| {
            Ok((row.text("provider_credentials.name")?, row.bytes("provider_credentials.sealed")?))
        };
        let mut sealed = Grouped::read(next(), sealed)?;
        let mut config = Grouped::read(next(), pair)?;
        let provider = |mut row: Row| {
            let id = row.id("providers.id")?;
            let owner = id.to_string();
            Ok(Provider {
                id,
                name: row.name("providers.name")?,
                kind: row.text("providers.kind")?,
                credentials: self.unsealed(id, sealed.take(&owner))?,
                config: config.take_map(&owner),
                created_at: row.integer("providers.created_at")?,
                record_version: row.integer("providers.record_version")?,
            })
        };
        rows.into_iter().map(provider).collect()
    }

    fn unsealed<M: FromIterator<(String, crate::records::Secret)>>(
        &self,
        id: Uuid,
        sealed: Vec<(String, Vec<u8>)>,
    ) -> Result<M, StoreError> {
        let row = id.to_string();
        let unseal = |(name, sealed): (String, Vec<u8>)| {
            let secret = self.key().unseal(&sealed, credential(&row, &name));
            Ok((name, secret.map_err(|_| damaged("provider_credentials.sealed"))?))
        };
        sealed.into_iter().map(unseal).collect()
    }
}

fn credential<'a>(row: &'a str, name: &'a str) -> Place<'a> {
    Place { table: "provider_credentials", row, name }
}
