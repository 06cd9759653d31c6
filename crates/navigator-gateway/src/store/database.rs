//! The few things that the store needs of a database, in the SQL that both databases understand.

use std::borrow::Cow;

use uuid::Uuid;

use super::error::StoreError;
use super::postgres::Postgres;
use super::sqlite::Sqlite;
use crate::records::Name;

/// Parameters of one statement; both databases take more.
const PARAMETERS: usize = 10_000;

/// A database.
pub(super) enum Database {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Database {
    /// The rows that one query finds.
    pub(super) async fn query(&self, query: Statement) -> Result<Vec<Row>, StoreError> {
        let mut answers = self.read(vec![query]).await?;
        Ok(answers.pop().unwrap_or_default())
    }

    /// The rows that each query finds, all at the same moment.
    pub(super) async fn read(&self, queries: Vec<Statement>) -> Result<Vec<Vec<Row>>, StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.read(queries).await,
            Self::Postgres(postgres) => postgres.read(queries).await,
        }
    }

    /// Runs all statements or none; returns how many rows each has changed. It is durable when this returns.
    pub(super) async fn transaction(
        &self,
        statements: Vec<Statement>,
    ) -> Result<Vec<u64>, StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.transaction(statements).await,
            Self::Postgres(postgres) => postgres.transaction(statements).await,
        }
    }

    /// Runs one statement; returns how many rows it has changed.
    pub(super) async fn change(&self, statement: Statement) -> Result<u64, StoreError> {
        let changed = self.transaction(vec![statement]).await?;
        Ok(changed.iter().sum())
    }
}

/// A statement with `$1`, `$2`, … and what stands for them.
#[derive(Clone)]
pub(super) struct Statement {
    pub(super) sql: Cow<'static, str>,
    pub(super) parameters: Vec<Value>,
    /// When it does not change exactly one row, everything is taken back and this is why.
    pub(super) one_row_or: Option<Refusal>,
    /// Whether the same words come again and are worth to be kept prepared.
    pub(super) repeats: bool,
}

/// Why a transaction was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    NameTaken,
    Conflict,
    Missing,
}

impl From<Refusal> for StoreError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NameTaken => Self::NameTaken,
            Refusal::Conflict => Self::Conflict,
            Refusal::Missing => Self::Missing,
        }
    }
}

impl Statement {
    pub(super) fn new(sql: impl Into<Cow<'static, str>>, parameters: Vec<Value>) -> Self {
        Self { sql: sql.into(), parameters, one_row_or: None, repeats: true }
    }

    /// Demands that it changes exactly one row.
    pub(super) fn one_row_or(mut self, refusal: Refusal) -> Self {
        self.one_row_or = Some(refusal);
        self
    }

    /// Statements that insert rows. `into` is the table with its columns; every row begins with `owner`.
    pub(super) fn insert_all(
        into: &str,
        owner: impl Into<Value>,
        rows: Vec<Vec<Value>>,
    ) -> Vec<Self> {
        let Some(width) = rows.first().map(|row| row.len() + 1) else {
            return vec![];
        };
        let owner = owner.into();
        let chunks = rows.chunks(PARAMETERS / width);
        let statements = chunks.map(|rows| {
            let parameters =
                rows.iter().flat_map(|row| [&owner].into_iter().chain(row)).cloned().collect();
            let places = (0..rows.len()).map(|row| {
                let places = (1..=width).map(|column| format!("${}", row * width + column));
                format!("({})", places.collect::<Vec<_>>().join(", "))
            });
            let places = places.collect::<Vec<_>>().join(", ");
            let statement = Self::new(format!("INSERT INTO {into} VALUES {places}"), parameters);
            // How many rows there are differs from time to time, and so would what is kept.
            Self { repeats: false, ..statement }
        });
        statements.collect()
    }
}

/// A value in a database. Not printed: it may be somebody's environment.
#[derive(Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Text(String),
    Integer(i64),
    Bytes(Vec<u8>),
}

impl Value {
    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Text(_) => "text",
            Self::Integer(_) => "a number",
            Self::Bytes(_) => "bytes",
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<Cow<'_, str>> for Value {
    fn from(text: Cow<'_, str>) -> Self {
        Self::Text(text.into_owned())
    }
}

impl From<&Name> for Value {
    fn from(name: &Name) -> Self {
        name.as_str().into()
    }
}

impl From<Uuid> for Value {
    fn from(id: Uuid) -> Self {
        Self::Text(id.to_string())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Integer(truth.into())
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl From<&[u8; 32]> for Value {
    fn from(bytes: &[u8; 32]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The values of a list of things.
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::database::Value::from($value)),*] };
}
pub(super) use values;

/// A row, whose columns are taken one after the other.
pub(super) struct Row(std::vec::IntoIter<Value>);

impl Row {
    pub(super) fn new(values: Vec<Value>) -> Self {
        Self(values.into_iter())
    }

    pub(super) fn text(&mut self, what: &str) -> Result<String, StoreError> {
        match self.value(what)? {
            Value::Text(text) => Ok(text),
            other => Err(unexpected(what, &other)),
        }
    }

    pub(super) fn text_or_null(&mut self, what: &str) -> Result<Option<String>, StoreError> {
        match self.value(what)? {
            Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text)),
            other => Err(unexpected(what, &other)),
        }
    }

    pub(super) fn integer(&mut self, what: &str) -> Result<i64, StoreError> {
        match self.value(what)? {
            Value::Integer(number) => Ok(number),
            other => Err(unexpected(what, &other)),
        }
    }

    pub(super) fn integer_or_null(&mut self, what: &str) -> Result<Option<i64>, StoreError> {
        match self.value(what)? {
            Value::Null => Ok(None),
            Value::Integer(number) => Ok(Some(number)),
            other => Err(unexpected(what, &other)),
        }
    }

    pub(super) fn bytes(&mut self, what: &str) -> Result<Vec<u8>, StoreError> {
        match self.value(what)? {
            Value::Bytes(bytes) => Ok(bytes),
            other => Err(unexpected(what, &other)),
        }
    }

    /// SHA-256 of something.
    pub(super) fn digest_or_null(&mut self, what: &str) -> Result<Option<[u8; 32]>, StoreError> {
        let bytes = match self.value(what)? {
            Value::Null => return Ok(None),
            Value::Bytes(bytes) => bytes,
            other => return Err(unexpected(what, &other)),
        };
        bytes.try_into().map(Some).map_err(|_| damaged(what))
    }

    pub(super) fn count(&mut self, what: &str) -> Result<u32, StoreError> {
        self.integer(what)?.try_into().map_err(|_| damaged(what))
    }

    pub(super) fn truth(&mut self, what: &str) -> Result<bool, StoreError> {
        match self.integer(what)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(damaged(what)),
        }
    }

    pub(super) fn id(&mut self, what: &str) -> Result<Uuid, StoreError> {
        Uuid::parse_str(&self.text(what)?).map_err(|_| damaged(what))
    }

    pub(super) fn name(&mut self, what: &str) -> Result<Name, StoreError> {
        Name::parse(&self.text(what)?).map_err(|_| damaged(what))
    }

    fn value(&mut self, what: &str) -> Result<Value, StoreError> {
        self.0.next().ok_or_else(|| damaged(what))
    }
}

/// Something is not as it was written.
pub(super) fn damaged(what: &str) -> StoreError {
    StoreError::Corrupt(what.to_owned())
}

fn unexpected(what: &str, found: &Value) -> StoreError {
    StoreError::Corrupt(format!("{what}, which is {},", found.kind()))
}
