//! The store keeps the same promises on SQLite and on PostgreSQL.

mod bed;
mod faults;
mod files;
mod lists;
mod providers;
mod revisions;
mod routes;
mod samples;
mod sandboxes;
mod schema;
mod sessions;

/// Makes two tests of each promise, one on each database.
macro_rules! on_both {
    ($($promise:ident),* $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $promise() {
                crate::store::bed::on_sqlite(super::$promise);
            })*
        }
        mod postgres {
            $(#[test]
            fn $promise() {
                crate::store::bed::on_postgres(super::$promise);
            })*
        }
    };
}
use on_both;
