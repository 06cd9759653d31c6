//! Stores to test on: empty, and gone afterwards.

use std::future::Future;
use std::path::Path;
use std::sync::OnceLock;

use navigator_gateway::store::{SealingKey, Store, StoreError, StoreUrl};
use navigator_testkit::Postgres;

/// An empty store, and what is needed to open it again.
pub struct Bed {
    pub store: Store,
    pub url: StoreUrl,
    /// The URL as text, for other clients.
    pub text: String,
}

/// The key of all tests.
pub fn key() -> SealingKey {
    SealingKey::from_bytes(&[7; 32])
}

impl Bed {
    pub async fn new(text: String) -> Self {
        let url = StoreUrl::parse(&text).unwrap();
        Self { store: Store::open(&url, key()).await.unwrap(), url, text }
    }

    /// Closes the store and opens it again, with a key.
    pub async fn reopen(self, key: SealingKey) -> Result<Self, StoreError> {
        drop(self.store);
        let store = Store::open(&self.url, key).await?;
        Ok(Self { store, url: self.url, text: self.text })
    }

    /// Runs SQL behind the store's back.
    pub async fn sql(&self, sql: &str) {
        if self.text.starts_with("postgres:") {
            let connecting = tokio_postgres::connect(&self.text, tokio_postgres::NoTls).await;
            let (client, connection) = connecting.unwrap();
            let connection = tokio::spawn(connection);
            client.batch_execute(sql).await.unwrap();
            drop(client);
            connection.await.unwrap().unwrap();
        } else {
            rusqlite::Connection::open(&self.text).unwrap().execute_batch(sql).unwrap();
        }
    }
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all().build().unwrap().block_on(future)
}

pub fn on_sqlite<F: Future<Output = ()>>(promise: impl FnOnce(Bed) -> F) {
    let dir = tempfile::tempdir().unwrap();
    let path = file_in(dir.path());
    block_on(async { promise(Bed::new(path).await).await });
}

pub fn on_postgres<F: Future<Output = ()>>(promise: impl FnOnce(Bed) -> F) {
    // It stops when the process ends.
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    let server = SERVER.get_or_init(|| Postgres::start().unwrap());
    let url = server.database().unwrap();
    block_on(async { promise(Bed::new(url).await).await });
}

pub fn file_in(dir: &Path) -> String {
    dir.join("store/navigator.db").display().to_string()
}
