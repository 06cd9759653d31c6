//! What happened to sandboxes, in the store: the newest of it.

use uuid::Uuid;

use super::Store;
use super::children::{Grouped, pair, pairs};
use super::database::{Refusal, Row, Statement, values};
use super::error::StoreError;
use super::words::Word as _;
use crate::records::{PlatformEvent, Severity};

/// Events that are kept of each sandbox: what people look at, and no sandbox can fill the disk.
const KEPT: u32 = 200;

impl Store {
    /// Adds an event, and forgets the oldest when there are more than 200 of the sandbox.
    ///
    /// # Errors
    /// [`StoreError::Missing`] without the sandbox, or when the store cannot be written.
    pub async fn add_event(&self, sandbox: Uuid, event: &PlatformEvent) -> Result<(), StoreError> {
        // Who changes the count first comes first; others wait until it is done.
        let count = "UPDATE sandboxes SET event_count = event_count + 1 WHERE id = $1";
        let insert = "INSERT INTO events (sandbox_id, number, at, source, severity, reason, message) \
                      VALUES ($1, (SELECT event_count FROM sandboxes WHERE id = $1), $2, $3, $4, $5, $6)";
        let forget = "DELETE FROM events WHERE sandbox_id = $1 \
                      AND number <= (SELECT event_count FROM sandboxes WHERE id = $1) - $2";
        let PlatformEvent { at, source, severity, reason, message, metadata } = event;
        let event = values![sandbox, *at, source, severity.word(), reason, message];
        let mut statements = vec![
            Statement::new(count, values![sandbox]).one_row_or(Refusal::Missing),
            Statement::new(insert, event),
            Statement::new(forget, values![sandbox, KEPT]),
        ];
        statements.extend(pairs(metadata).into_iter().map(|pair| {
            let insert = "INSERT INTO event_metadata (sandbox_id, number, name, value) \
                          VALUES ($1, (SELECT event_count FROM sandboxes WHERE id = $1), $2, $3)";
            Statement::new(insert, [values![sandbox], pair].concat())
        }));
        self.database().transaction(statements).await.map(drop)
    }

    /// The newest `tail` events of a sandbox, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn events(&self, sandbox: Uuid, tail: u32) -> Result<Vec<PlatformEvent>, StoreError> {
        // In PostgreSQL, `ORDER BY number` would mean the text that is selected.
        let events = "SELECT CAST(number AS TEXT), at, source, severity, reason, message \
                      FROM events WHERE sandbox_id = $1 ORDER BY events.number DESC LIMIT $2";
        let metadata = "SELECT CAST(number AS TEXT), name, value \
                        FROM event_metadata WHERE sandbox_id = $1 AND number IN \
                        (SELECT number FROM events WHERE sandbox_id = $1 ORDER BY number DESC LIMIT $2)";
        let parameters = values![sandbox, tail];
        let queries =
            vec![Statement::new(events, parameters.clone()), Statement::new(metadata, parameters)];
        let mut answers = self.database().read(queries).await?.into_iter();
        let events = answers.next().unwrap_or_default();
        let mut metadata = Grouped::read(answers.next().unwrap_or_default(), pair)?;
        let event = |mut row: Row| {
            let number = row.text("events.number")?;
            Ok(PlatformEvent {
                at: row.integer("events.at")?,
                source: row.text("events.source")?,
                severity: Severity::read(&row.text("events.severity")?, "events.severity")?,
                reason: row.text("events.reason")?,
                message: row.text("events.message")?,
                metadata: metadata.take_map(&number),
            })
        };
        events.into_iter().rev().map(event).collect()
    }
}
