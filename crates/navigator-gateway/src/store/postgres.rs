//! The store on a PostgreSQL server, for gateways that are several.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts};
use futures_util::future::try_join_all;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{IsolationLevel, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::database::{Row, Statement, Value, damaged};
use super::error::{Cause, StoreError};
use super::migrations;
use super::url::wants_tls;

/// Connections to the server; it has a hundred for all.
const CONNECTIONS: usize = 8;
/// How long anything may wait for a connection, to be made or to be free.
const CONNECTING: Duration = Duration::from_secs(5);
/// What the server is told at the start of each connection. No statement, lock or idle transaction may last. Plans are
/// made for the page that is asked for: for pages of any size, the server would read whole tables.
const SESSION: &str = "-c statement_timeout=15s -c lock_timeout=10s \
    -c idle_in_transaction_session_timeout=30s -c client_min_messages=warning -c plan_cache_mode=force_custom_plan";

/// Connections to a server.
pub(super) struct Postgres(Pool);

impl Postgres {
    /// Connects and brings the database up to date.
    pub(super) async fn open(config: &tokio_postgres::Config) -> Result<Self, StoreError> {
        let pool = pool(config)?;
        migrations::postgres(&mut *connection(&pool).await?).await?;
        Ok(Self(pool))
    }

    pub(super) async fn read(&self, queries: Vec<Statement>) -> Result<Vec<Vec<Row>>, StoreError> {
        let mut connection = connection(&self.0).await?;
        let moment = connection.build_transaction().read_only(true);
        let moment = moment.isolation_level(IsolationLevel::RepeatableRead);
        let transaction = moment.start().await.map_err(cause)?;
        // All queries are on their way before the first answer is there.
        let answers = try_join_all(queries.iter().map(|query| rows(&transaction, query))).await?;
        transaction.commit().await.map_err(cause)?;
        Ok(answers)
    }

    pub(super) async fn transaction(
        &self,
        statements: Vec<Statement>,
    ) -> Result<Vec<u64>, StoreError> {
        let mut connection = connection(&self.0).await?;
        // It is rolled back when it is dropped before it is committed.
        let transaction = connection.transaction().await.map_err(cause)?;
        let mut changed = vec![];
        for statement in &statements {
            let rows = execute(&transaction, statement).await.map_err(cause)?;
            match statement.one_row_or {
                Some(refusal) if rows != 1 => {
                    transaction.rollback().await.map_err(cause)?;
                    return Err(refusal.into());
                }
                _ => changed.push(rows),
            }
        }
        transaction.commit().await.map_err(cause)?;
        Ok(changed)
    }
}

fn pool(config: &tokio_postgres::Config) -> Result<Pool, StoreError> {
    let mut config = config.clone();
    let options = config.get_options().map_or(String::new(), |options| format!(" {options}"));
    config.options(format!("{SESSION}{options}"));
    config.application_name("navigator").connect_timeout(CONNECTING);
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = if wants_tls(&config) {
        config.ssl_mode(SslMode::Require);
        Manager::from_config(config, MakeRustlsConnect::new(tls()?), recycling)
    } else {
        config.ssl_mode(SslMode::Disable);
        Manager::from_config(config, NoTls, recycling)
    };
    let wait = Some(CONNECTING);
    let pool = Pool::builder(manager)
        .max_size(CONNECTIONS)
        .runtime(Runtime::Tokio1)
        .timeouts(Timeouts { wait, create: wait, recycle: wait })
        .build();
    pool.map_err(|error| StoreError::Unavailable(error.into()))
}

/// TLS with the authorities that the system trusts.
fn tls() -> Result<rustls::ClientConfig, StoreError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| StoreError::Unavailable(error.into()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

async fn connection(pool: &Pool) -> Result<Object, StoreError> {
    pool.get().await.map_err(|error| StoreError::Unavailable(error.into()))
}

async fn rows(
    transaction: &deadpool_postgres::Transaction<'_>,
    query: &Statement,
) -> Result<Vec<Row>, StoreError> {
    let prepared = transaction.prepare_cached(&query.sql).await.map_err(cause)?;
    let found = transaction.query(&prepared, &parameters(query)).await.map_err(cause)?;
    found.iter().map(row).collect()
}

fn row(row: &tokio_postgres::Row) -> Result<Row, StoreError> {
    let value = |(at, column): (usize, &tokio_postgres::Column)| {
        let value = match *column.type_() {
            Type::TEXT => row.try_get::<_, Option<&str>>(at).map(|text| text.map(from_text).into()),
            Type::INT8 => row.try_get::<_, Option<i64>>(at).map(Value::from),
            Type::BYTEA => row.try_get::<_, Option<&[u8]>>(at).map(Value::from),
            _ => return Err(damaged(column.name())),
        };
        value.map_err(cause)
    };
    row.columns().iter().enumerate().map(value).collect::<Result<_, _>>().map(Row::new)
}

async fn execute(
    transaction: &deadpool_postgres::Transaction<'_>,
    statement: &Statement,
) -> Result<u64, tokio_postgres::Error> {
    let prepared = if statement.repeats {
        transaction.prepare_cached(&statement.sql).await?
    } else {
        transaction.prepare(&statement.sql).await?
    };
    transaction.execute(&prepared, &parameters(statement)).await
}

fn parameters(statement: &Statement) -> Vec<&(dyn ToSql + Sync)> {
    statement.parameters.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

/// PostgreSQL's text has no character 0. This one stands for it when `0` follows, and for itself when it is twice.
const SUBSTITUTE: char = '\u{1a}';

fn to_text(text: &str) -> Cow<'_, str> {
    if text.contains(['\0', SUBSTITUTE]) {
        text.replace(SUBSTITUTE, "\u{1a}\u{1a}").replace('\0', "\u{1a}0").into()
    } else {
        text.into()
    }
}

fn from_text(text: &str) -> Cow<'_, str> {
    if !text.contains(SUBSTITUTE) {
        return text.into();
    }
    let mut characters = text.chars();
    let mut plain = String::with_capacity(text.len());
    while let Some(character) = characters.next() {
        match (character == SUBSTITUTE).then(|| characters.next()).flatten() {
            Some('0') => plain.push('\0'),
            Some(other) => plain.push(other),
            None => plain.push(character),
        }
    }
    plain.into()
}

impl ToSql for Value {
    fn to_sql(&self, to: &Type, out: &mut BytesMut) -> Result<IsNull, Cause> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Text(text) if *to == Type::TEXT => to_text(text).as_ref().to_sql(to, out),
            Self::Integer(number) if *to == Type::INT8 => number.to_sql(to, out),
            Self::Bytes(bytes) if *to == Type::BYTEA => bytes.to_sql(to, out),
            _ => Err(format!("{} is no {to}", self.kind()).into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        // Each value says so itself.
        true
    }

    to_sql_checked!();
}

impl std::fmt::Debug for Value {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.kind())
    }
}

/// What an error of the server means.
pub(super) fn cause(error: tokio_postgres::Error) -> StoreError {
    let Some(state) = error.code() else {
        return StoreError::Unavailable(error.into());
    };
    match state {
        state if *state == SqlState::DISK_FULL => StoreError::Full(error.into()),
        state if *state == SqlState::READ_ONLY_SQL_TRANSACTION => {
            StoreError::ReadOnly(error.into())
        }
        state if *state == SqlState::FOREIGN_KEY_VIOLATION => StoreError::Missing,
        state
            if *state == SqlState::T_R_SERIALIZATION_FAILURE
                || *state == SqlState::T_R_DEADLOCK_DETECTED =>
        {
            StoreError::Conflict
        }
        _ => StoreError::Unavailable(error.into()),
    }
}
