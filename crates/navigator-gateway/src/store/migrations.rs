//! Brings a database's schema up to what this program knows, and refuses what is newer.

use refinery::error::Kind;
use refinery::{Migration, Runner};

use super::error::StoreError;

/// Every step there ever was, oldest first. A step that was released is never changed.
const STEPS: [(&str, &str); 2] = [
    ("V1__initial", include_str!("../../migrations/V1__initial.sql")),
    ("V2__one_time_ssh_sessions", include_str!("../../migrations/V2__one_time_ssh_sessions.sql")),
];
/// The server's lock on which gateways that start together wait for each other: `navigate` in bytes.
const LOCK: i64 = i64::from_be_bytes(*b"navigate");

/// Migrates a file. Nobody else has it.
pub(super) fn sqlite(connection: &mut rusqlite::Connection) -> Result<(), StoreError> {
    let runner = runner()?;
    runner.run(connection).map(drop).map_err(|error| refused(error, &runner))
}

/// Migrates a server's database, one gateway after the other.
pub(super) async fn postgres(client: &mut tokio_postgres::Client) -> Result<(), StoreError> {
    let unavailable = |error: tokio_postgres::Error| StoreError::Unavailable(error.into());
    let runner = runner()?;
    // A server that can only be read, and needs nothing, is not asked to change anything.
    if let Ok(applied) = runner.get_applied_migrations_async(client).await
        && applied == *runner.get_migrations()
    {
        return Ok(());
    }
    client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await.map_err(unavailable)?;
    let done = runner.run_async(client).await.map_err(|error| refused(error, &runner));
    client.execute("SELECT pg_advisory_unlock($1)", &[&LOCK]).await.map_err(unavailable)?;
    done.map(drop)
}

fn runner() -> Result<Runner, StoreError> {
    let steps = STEPS.iter().map(|(name, sql)| Migration::unapplied(name, sql));
    let steps = steps.collect::<Result<Vec<_>, _>>();
    Ok(Runner::new(&steps.map_err(|error| StoreError::Unavailable(error.into()))?))
}

fn refused(error: refinery::Error, runner: &Runner) -> StoreError {
    let newest = runner.get_migrations().iter().map(Migration::version).max();
    let known = i64::from(newest.unwrap_or_default());
    match error.kind() {
        Kind::MissingVersion(step) if i64::from(step.version()) > known => {
            StoreError::Newer { found: step.version().into(), known }
        }
        Kind::MissingVersion(_) | Kind::DivergentVersion(..) => {
            StoreError::Corrupt("the schema's history".into())
        }
        _ => cause(error),
    }
}

/// What the database said, when it is the database's fault.
fn cause(error: refinery::Error) -> StoreError {
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        if let Some(rusqlite::Error::SqliteFailure(failure, message)) = inner.downcast_ref() {
            let again = rusqlite::Error::SqliteFailure(*failure, message.clone());
            return super::sqlite::cause(again);
        }
        source = inner.source();
    }
    StoreError::Unavailable(error.into())
}
