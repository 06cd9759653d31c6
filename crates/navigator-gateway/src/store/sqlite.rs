//! The store in a file: one thread writes, two read, and each waits for work at a bounded channel.

mod writer;

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql, ffi};
use tokio::sync::{mpsc, oneshot};

use super::database::{Row, Statement, Value};
use super::error::StoreError;
use super::migrations;
use writer::Change;

/// Work that waits for a thread; who brings more waits too.
const WAITING: usize = 256;
/// Connections that read. Two, so that a long list does not hold up a look at one record.
const READERS: usize = 2;
/// Statements that each connection keeps prepared; there are fewer.
const PREPARED: usize = 128;
/// How long a connection waits for another process, such as a backup, to let go of the file.
const BUSY: Duration = Duration::from_secs(5);

/// Permissions of anybody but the owner.
const OTHERS: u32 = 0o077;

/// A database file and the threads that use it.
pub(super) struct Sqlite {
    writer: Option<mpsc::Sender<Change>>,
    readers: Option<mpsc::Sender<Queries>>,
    threads: Vec<JoinHandle<()>>,
    /// Held while the file is in use: two gateways would not know of each other's sandboxes.
    _lock: File,
}

/// Queries, and who waits for what they find.
struct Queries {
    queries: Vec<Statement>,
    answer: oneshot::Sender<Result<Vec<Vec<Row>>, StoreError>>,
}

impl Sqlite {
    /// Opens the file, which is made when it is not there, and brings it up to date. Blocks.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Path { path: path.into(), source };
        prepare(path).map_err(failed)?;
        let lock = lock(path)?;
        let mut writer = connect(path)?;
        migrations::sqlite(&mut writer)?;
        let mut threads = vec![];
        let (to_writer, work) = mpsc::channel(WAITING);
        threads.push(thread(move || writer::serve(writer, work)).map_err(failed)?);
        let (to_readers, work) = mpsc::channel(WAITING);
        let work = Arc::new(Mutex::new(work));
        for _ in 0..READERS {
            let reader = connect(path)?;
            reader.pragma_update(None, "query_only", true).map_err(cause)?;
            let work = Arc::clone(&work);
            threads.push(thread(move || serve(reader, &work)).map_err(failed)?);
        }
        Ok(Self { writer: Some(to_writer), readers: Some(to_readers), threads, _lock: lock })
    }

    pub(super) async fn read(&self, queries: Vec<Statement>) -> Result<Vec<Vec<Row>>, StoreError> {
        let (answer, answered) = oneshot::channel();
        submit(self.readers.as_ref(), Queries { queries, answer }).await?;
        answered.await.map_err(|error| StoreError::Unavailable(error.into()))?
    }

    pub(super) async fn transaction(
        &self,
        statements: Vec<Statement>,
    ) -> Result<Vec<u64>, StoreError> {
        let (answer, answered) = oneshot::channel();
        submit(self.writer.as_ref(), Change { statements, answer }).await?;
        answered.await.map_err(|error| StoreError::Unavailable(error.into()))?
    }
}

impl Drop for Sqlite {
    /// The file is closed when this returns: what is still waiting is done first, and nobody waits for it.
    fn drop(&mut self) {
        self.writer.take();
        self.readers.take();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

async fn submit<W>(to: Option<&mpsc::Sender<W>>, work: W) -> Result<(), StoreError> {
    let to = to.ok_or_else(|| StoreError::Unavailable("the store is closed".into()))?;
    to.send(work).await.map_err(|_| StoreError::Unavailable("the store's thread has ended".into()))
}

fn thread(work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("store".into()).spawn(work)
}

/// Reads until nobody can ask for more.
fn serve(mut connection: Connection, work: &Mutex<mpsc::Receiver<Queries>>) {
    let next = || work.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
    while let Some(Queries { queries, answer }) = next() {
        // Who asked may have gone meanwhile.
        drop(answer.send(read(&mut connection, &queries)));
    }
}

fn read(connection: &mut Connection, queries: &[Statement]) -> Result<Vec<Vec<Row>>, StoreError> {
    let transaction = connection.transaction().map_err(cause)?;
    let found = queries.iter().map(|query| rows(&transaction, query).map_err(cause)).collect();
    transaction.commit().map_err(cause)?;
    found
}

fn rows(connection: &Connection, query: &Statement) -> rusqlite::Result<Vec<Row>> {
    let mut prepared = connection.prepare_cached(&query.sql)?;
    let columns = prepared.column_count();
    let mut rows = prepared.query(rusqlite::params_from_iter(&query.parameters))?;
    let mut found = vec![];
    while let Some(row) = rows.next()? {
        let values = (0..columns).map(|column| Ok(value(row.get_ref(column)?)));
        found.push(Row::new(values.collect::<rusqlite::Result<_>>()?));
    }
    Ok(found)
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        // No column holds such numbers; who asks for something else says that it is damaged.
        ValueRef::Real(_) => Value::Null,
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => text.into(),
            Err(_) => text.into(),
        },
        ValueRef::Blob(bytes) => bytes.into(),
    }
}

fn execute(connection: &Connection, statement: &Statement) -> rusqlite::Result<usize> {
    let parameters = rusqlite::params_from_iter(&statement.parameters);
    if statement.repeats {
        connection.prepare_cached(&statement.sql)?.execute(parameters)
    } else {
        connection.execute(&statement.sql, parameters)
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => rusqlite::types::Null.into(),
            Self::Text(text) => ToSqlOutput::Borrowed(text.as_str().into()),
            Self::Integer(number) => (*number).into(),
            Self::Bytes(bytes) => ToSqlOutput::Borrowed(bytes.as_slice().into()),
        })
    }
}

/// Makes the directory and the file for their owner only, and an older file too. SQLite gives its other files the same
/// permissions.
fn prepare(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Err(_) => {}
    }
    let mode = std::fs::metadata(path)?.mode();
    if mode & OTHERS == 0 {
        return Ok(());
    }
    std::fs::set_permissions(path, Permissions::from_mode(mode & 0o700))
}

/// A lock beside the file: SQLite has locks of its own on the file itself.
fn lock(path: &Path) -> Result<File, StoreError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let beside = PathBuf::from(beside);
    let opened =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&beside);
    let file = opened.map_err(|source| StoreError::Path { path: beside.clone(), source })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(path.into())),
        Err(TryLockError::Error(source)) => Err(StoreError::Path { path: beside, source }),
    }
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(cause)?;
    configure(&connection).map_err(cause)?;
    Ok(connection)
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // What was committed survives a power cut.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // Nothing of it in files that others may find.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // A damaged file must not run functions by its schema.
    connection.pragma_update(None, "trusted_schema", false)
}

/// What an error of SQLite means.
pub(super) fn cause(error: rusqlite::Error) -> StoreError {
    let (code, extended) = match &error {
        rusqlite::Error::SqliteFailure(failure, _) => (failure.code, failure.extended_code),
        _ => return StoreError::Unavailable(error.into()),
    };
    match code {
        ErrorCode::DiskFull => StoreError::Full(error.into()),
        ErrorCode::ReadOnly => StoreError::ReadOnly(error.into()),
        ErrorCode::DatabaseCorrupt => StoreError::Corrupt("the database file".into()),
        ErrorCode::NotADatabase => StoreError::Corrupt("the database file, which is none,".into()),
        _ if extended == ffi::SQLITE_CONSTRAINT_FOREIGNKEY => StoreError::Missing,
        _ => StoreError::Unavailable(error.into()),
    }
}
