//! Rows that belong to another row, read for a whole page at once: lists of a hundred take as many queries as one.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use super::database::{Row, Statement, Value, values};
use super::error::StoreError;
use crate::records::Page;

/// Which rows of a table are meant: a condition, and what stands for its `$1`, `$2`, ….
#[derive(Clone)]
pub(super) struct Selection {
    condition: Cow<'static, str>,
    parameters: Vec<Value>,
}

impl Selection {
    pub(super) fn new(condition: impl Into<Cow<'static, str>>, parameters: Vec<Value>) -> Self {
        Self { condition: condition.into(), parameters }
    }

    /// A part of a list in the usual order.
    pub(super) fn page(page: Page) -> Self {
        let parameters = values![page.limit, page.offset];
        Self::new("ORDER BY created_at, name LIMIT $1 OFFSET $2", parameters)
    }

    /// One row by its id.
    pub(super) fn id(id: uuid::Uuid) -> Self {
        Self::new("WHERE id = $1", values![id])
    }

    /// One row by its name.
    pub(super) fn name(name: &crate::records::Name) -> Self {
        Self::new("WHERE name = $1", values![name])
    }

    /// Rows with one of these values in a column; `None` when there are none.
    pub(super) fn any_of<'a>(column: &str, values: impl Iterator<Item = &'a str>) -> Option<Self> {
        let parameters: Vec<_> = values.map(Value::from).collect();
        let places: Vec<_> = (1..=parameters.len()).map(|place| format!("${place}")).collect();
        let condition = format!("WHERE {column} IN ({})", places.join(", "));
        (!parameters.is_empty()).then(|| Self::new(condition, parameters))
    }

    /// Only those of them for which this is true too.
    pub(super) fn and(self, condition: &str) -> Self {
        Self::new(format!("{} AND {condition}", self.condition), self.parameters)
    }

    /// The rows themselves, in the order of the list.
    pub(super) fn rows(&self, columns: &str, table: &str) -> Statement {
        let condition = &self.condition;
        let order = if condition.contains("ORDER BY") { "" } else { " ORDER BY created_at, name" };
        let sql = format!("SELECT {columns} FROM {table} {condition}{order}");
        Statement::new(sql, self.parameters.clone())
    }

    /// Rows of another table that belong to them. The owner's id is the first column.
    pub(super) fn children(&self, columns: &str, table: &Child) -> Statement {
        let Child { table, owner, owners, order } = table;
        let condition = &self.condition;
        let sql = format!(
            "SELECT {owner}, {columns} FROM {table} \
             WHERE {owner} IN (SELECT id FROM {owners} {condition}) ORDER BY {owner}, {order}"
        );
        Statement::new(sql, self.parameters.clone())
    }
}

/// A table whose rows belong to rows of another one.
pub(super) struct Child {
    pub(super) table: &'static str,
    pub(super) owner: &'static str,
    pub(super) owners: &'static str,
    pub(super) order: &'static str,
}

impl Child {
    /// Deletes all rows of one owner.
    pub(super) fn clear(&self, owner: impl Into<Value>) -> Statement {
        let sql = format!("DELETE FROM {} WHERE {} = $1", self.table, self.owner);
        Statement::new(sql, vec![owner.into()])
    }
}

/// What each owner has.
pub(super) struct Grouped<T>(HashMap<String, Vec<T>>);

impl<T> Grouped<T> {
    /// Reads rows that begin with their owner's id.
    pub(super) fn read(
        rows: Vec<Row>,
        read: impl Fn(&mut Row) -> Result<T, StoreError>,
    ) -> Result<Self, StoreError> {
        let mut groups: HashMap<_, Vec<_>> = HashMap::new();
        for mut row in rows {
            let owner = row.text("an owner")?;
            groups.entry(owner).or_default().push(read(&mut row)?);
        }
        Ok(Self(groups))
    }

    /// What an owner has, which is nobody else's.
    pub(super) fn take(&mut self, owner: &str) -> Vec<T> {
        self.0.remove(owner).unwrap_or_default()
    }
}

impl<K: Ord + Hash, V> Grouped<(K, V)> {
    /// The same as a map.
    pub(super) fn take_map(&mut self, owner: &str) -> BTreeMap<K, V> {
        self.take(owner).into_iter().collect()
    }
}

/// Reads a name and what it stands for.
pub(super) fn pair(row: &mut Row) -> Result<(String, String), StoreError> {
    Ok((row.text("a name")?, row.text("a value")?))
}

/// The rows of a map.
pub(super) fn pairs(map: &BTreeMap<String, String>) -> Vec<Vec<Value>> {
    map.iter().map(|(name, value)| values![name, value]).collect()
}

/// The rows of a list, each with its position before it.
pub(super) fn positions(rows: impl Iterator<Item = Vec<Value>>) -> Vec<Vec<Value>> {
    let numbered = (0_i64..).zip(rows);
    numbered.map(|(position, row)| [values![position], row].concat()).collect()
}
