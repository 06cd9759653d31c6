//! What the gateway keeps, in a SQLite file or on a PostgreSQL server: typed records, each change whole or not at all.

mod children;
mod database;
mod error;
mod events;
mod migrations;
mod postgres;
mod providers;
mod revisions;
mod routes;
mod sandbox_rows;
mod sandboxes;
mod seal;
mod sqlite;
mod ssh_sessions;
mod url;
mod words;

use std::fmt;
use std::sync::Arc;

use database::{Database, Statement, values};
use seal::{KEY_ID, Place};

pub use error::StoreError;
pub use sandboxes::Standing;
pub use seal::{SealingKey, SealingKeyError};
pub use url::{StoreUrl, StoreUrlError};

/// The store. Clones are the same store.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    database: Database,
    key: SealingKey,
}

/// Where the proof of the key is kept.
const PROOF: Place<'static> = Place { table: "sealing", row: "", name: "proof" };
/// What is sealed as proof that a key is the right one.
const PROVEN: &str = "navigator";

impl Store {
    /// Opens a store, makes it when there is none, and brings its schema up to date.
    ///
    /// # Errors
    /// When it cannot be reached, is in use, is newer than this program, or was sealed with another key.
    pub async fn open(url: &StoreUrl, key: SealingKey) -> Result<Self, StoreError> {
        let database = match url.0.clone() {
            url::Kind::Sqlite(path) => {
                let opened = tokio::task::spawn_blocking(move || sqlite::Sqlite::open(&path)).await;
                Database::Sqlite(opened.map_err(|error| StoreError::Unavailable(error.into()))??)
            }
            url::Kind::Postgres(config) => {
                Database::Postgres(postgres::Postgres::open(&config).await?)
            }
        };
        let store = Self(Arc::new(Inner { database, key }));
        store.prove_key().await?;
        Ok(store)
    }

    /// Whether the store answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.database().query(Statement::new("SELECT COUNT(*) FROM sealing", vec![])).await?;
        Ok(())
    }

    fn database(&self) -> &Database {
        &self.0.database
    }

    fn key(&self) -> &SealingKey {
        &self.0.key
    }

    /// Seals something on first use, and from then on checks that the key unseals it.
    async fn prove_key(&self) -> Result<(), StoreError> {
        if let Some(proven) = self.key_is_proven().await? {
            return proven;
        }
        let proof = self.key().seal(PROVEN.as_bytes(), PROOF);
        let sql =
            "INSERT INTO sealing (key_id, proof) VALUES ($1, $2) ON CONFLICT (key_id) DO NOTHING";
        let parameters = values![u32::from(KEY_ID), proof.as_slice()];
        self.database().change(Statement::new(sql, parameters)).await?;
        // Another gateway may have been faster, with another key.
        self.key_is_proven().await?.unwrap_or(Err(StoreError::WrongKey))
    }

    async fn key_is_proven(&self) -> Result<Option<Result<(), StoreError>>, StoreError> {
        let sql = "SELECT proof FROM sealing WHERE key_id = $1";
        let query = Statement::new(sql, values![u32::from(KEY_ID)]);
        let Some(mut row) = self.database().query(query).await?.pop() else {
            return Ok(None);
        };
        let unsealed = self.key().unseal(&row.bytes("sealing.proof")?, PROOF);
        Ok(Some(unsealed.map(drop).map_err(|_| StoreError::WrongKey)))
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.database() {
            Database::Sqlite(_) => "Store(sqlite)",
            Database::Postgres(_) => "Store(postgres)",
        })
    }
}
