//! The thread that writes. Changes that wait together are committed together: the disk is waited for once, not once for
//! each, and each is whole or not at all all the same.

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::super::database::Statement;
use super::super::error::StoreError;
use super::{cause, execute};

/// Most changes of one commit: a few milliseconds of work.
const TOGETHER: usize = 64;

/// The rows that each statement of a change has changed.
type Changed = Result<Vec<u64>, StoreError>;

/// A change, and who waits for it.
pub(super) struct Change {
    pub(super) statements: Vec<Statement>,
    pub(super) answer: oneshot::Sender<Changed>,
}

/// Writes until nobody can ask for more.
pub(super) fn serve(mut connection: Connection, mut work: mpsc::Receiver<Change>) {
    while let Some(first) = work.blocking_recv() {
        let mut group = vec![first];
        while group.len() < TOGETHER
            && let Ok(next) = work.try_recv()
        {
            group.push(next);
        }
        let changed = match together(&mut connection, &group) {
            Ok(changed) => changed,
            // Something is wrong with the file or the disk: each is told on its own, and the small ones may still fit.
            Err(_) if group.len() > 1 => {
                group.iter().map(|change| alone(&mut connection, change)).collect()
            }
            Err(error) => vec![Err(error)],
        };
        for (change, changed) in group.into_iter().zip(changed) {
            // Who asked may have gone meanwhile.
            drop(change.answer.send(changed));
        }
    }
}

fn alone(connection: &mut Connection, change: &Change) -> Changed {
    let changed = together(connection, std::slice::from_ref(change))?.pop();
    changed.unwrap_or_else(|| Err(StoreError::Unavailable("nothing was changed".into())))
}

/// Carries out changes in one transaction. One that is refused is taken back alone; when the database itself fails, all
/// are.
fn together(connection: &mut Connection, group: &[Change]) -> Result<Vec<Changed>, StoreError> {
    let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
    // It is rolled back when it is dropped before it is committed.
    let mut transaction = begun.map_err(cause)?;
    let mut changed = vec![];
    for change in group {
        changed.push(one(&mut transaction, &change.statements)?);
    }
    transaction.commit().map_err(cause)?;
    Ok(changed)
}

fn one(transaction: &mut Transaction<'_>, statements: &[Statement]) -> Result<Changed, StoreError> {
    // The same for a part of the transaction.
    let part = transaction.savepoint().map_err(cause)?;
    let mut changed = vec![];
    for statement in statements {
        let rows = match execute(&part, statement).map_err(cause) {
            Ok(rows) => rows,
            // What the change itself cannot have is no failure of the others.
            Err(StoreError::Missing) => return Ok(Err(StoreError::Missing)),
            Err(error) => return Err(error),
        };
        match statement.one_row_or {
            Some(refusal) if rows != 1 => return Ok(Err(refusal.into())),
            _ => changed.push(rows as u64),
        }
    }
    part.commit().map_err(cause)?;
    Ok(Ok(changed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::database::{Refusal, values};

    fn change(statements: Vec<Statement>) -> (Change, oneshot::Receiver<Changed>) {
        let (answer, answered) = oneshot::channel();
        (Change { statements, answer }, answered)
    }

    fn insert(number: i64) -> Statement {
        Statement::new("INSERT INTO t VALUES ($1) ON CONFLICT DO NOTHING", values![number])
            .one_row_or(Refusal::NameTaken)
    }

    #[test]
    fn a_change_that_is_refused_takes_back_itself_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let connection = Connection::open(dir.path().join("db")).unwrap();
        connection.execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY)").unwrap();
        let (to_writer, work) = mpsc::channel(8);
        let mut answers = vec![];
        // The third has a part that could be done.
        for numbers in [&[1_i64][..], &[2, 3], &[4, 2], &[5]] {
            let (change, answered) = change(numbers.iter().map(|number| insert(*number)).collect());
            assert!(to_writer.try_send(change).is_ok());
            answers.push(answered);
        }
        drop(to_writer);
        let path = dir.path().join("db");
        serve(connection, work);
        let refused: Vec<_> =
            answers.iter_mut().map(|answer| answer.try_recv().unwrap().is_err()).collect();
        assert_eq!(refused, [false, false, true, false]);
        let left = Connection::open(path).unwrap();
        let sum: i64 = left.query_row("SELECT SUM(n) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(sum, 1 + 2 + 3 + 5);
    }

    #[test]
    fn a_database_that_fails_is_told_to_each() {
        let (to_writer, work) = mpsc::channel(8);
        let mut answers = vec![];
        for number in 0..3 {
            let (change, answered) = change(vec![insert(number)]);
            assert!(to_writer.try_send(change).is_ok());
            answers.push(answered);
        }
        drop(to_writer);
        // It has no such table.
        serve(Connection::open_in_memory().unwrap(), work);
        for answer in &mut answers {
            assert!(matches!(answer.try_recv(), Ok(Err(StoreError::Unavailable(_)))));
        }
    }
}
