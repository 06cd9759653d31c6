//! Routes of inference in the store, their keys sealed.

use super::Store;
use super::children::{Child, Grouped, Selection, positions};
use super::database::{Refusal, Row, Statement, damaged, values};
use super::error::StoreError;
use super::seal::Place;
use crate::records::{Name, Page, Route};

const PROTOCOLS: Child = Child {
    table: "inference_route_protocols",
    owner: "route_id",
    owners: "inference_routes",
    order: "position",
};

const COLUMNS: &str = "id, name, routing_hint, base_url, sealed_api_key, model_id, enabled, created_at, record_version";

impl Store {
    /// Adds a route.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`], or when the store cannot be written.
    pub async fn create_route(&self, route: &Route) -> Result<(), StoreError> {
        let sql = format!(
            "INSERT INTO inference_routes ({COLUMNS}) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (name) DO NOTHING"
        );
        let parameters = values![
            route.id,
            &route.name,
            &route.routing_hint,
            &route.base_url,
            self.sealed_api_key(route).as_slice(),
            &route.model_id,
            route.enabled,
            route.created_at,
            route.record_version,
        ];
        let mut statements = vec![Statement::new(sql, parameters).one_row_or(Refusal::NameTaken)];
        statements.extend(protocols(route));
        self.database().transaction(statements).await.map(drop)
    }

    /// A route by its name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn route_named(&self, name: &Name) -> Result<Option<Route>, StoreError> {
        Ok(self.routes_of(&Selection::name(name)).await?.pop())
    }

    /// Routes, oldest first and then by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn routes(&self, page: Page) -> Result<Vec<Route>, StoreError> {
        self.routes_of(&Selection::page(page)).await
    }

    /// Enabled routes with one of these hints, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn enabled_routes(&self, hints: &[String]) -> Result<Vec<Route>, StoreError> {
        match Selection::any_of("routing_hint", hints.iter().map(String::as_str)) {
            Some(which) => self.routes_of(&which.and("enabled = 1")).await,
            None => Ok(vec![]),
        }
    }

    /// Saves everything of a route but its name and when it was made, and moves its `record_version` on.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when somebody else has saved it since it was read, [`StoreError::Missing`], or when
    /// the store cannot be written.
    pub async fn save_route(&self, route: &mut Route) -> Result<(), StoreError> {
        let sql = "UPDATE inference_routes SET routing_hint = $1, base_url = $2, sealed_api_key = $3, \
                   model_id = $4, enabled = $5, record_version = record_version + 1 \
                   WHERE id = $6 AND record_version = $7";
        let parameters = values![
            &route.routing_hint,
            &route.base_url,
            self.sealed_api_key(route).as_slice(),
            &route.model_id,
            route.enabled,
            route.id,
            route.record_version,
        ];
        let saved = Statement::new(sql, parameters).one_row_or(Refusal::Conflict);
        let mut statements = vec![saved, PROTOCOLS.clear(route.id)];
        statements.extend(protocols(route));
        let saved = self.database().transaction(statements).await;
        self.missing_or("inference_routes", route.id, saved).await?;
        route.record_version += 1;
        Ok(())
    }

    /// Removes a route; `false` when it was not there.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn remove_route(&self, name: &Name) -> Result<bool, StoreError> {
        let sql = "DELETE FROM inference_routes WHERE name = $1";
        Ok(self.database().change(Statement::new(sql, values![name])).await? == 1)
    }

    fn sealed_api_key(&self, route: &Route) -> Vec<u8> {
        self.key().seal(route.api_key.expose().as_bytes(), api_key(&route.id.to_string()))
    }

    async fn routes_of(&self, which: &Selection) -> Result<Vec<Route>, StoreError> {
        let queries =
            vec![which.rows(COLUMNS, "inference_routes"), which.children("protocol", &PROTOCOLS)];
        let mut answers = self.database().read(queries).await?.into_iter();
        let rows = answers.next().unwrap_or_default();
        let protocol = |row: &mut Row| row.text("inference_route_protocols.protocol");
        let mut protocols = Grouped::read(answers.next().unwrap_or_default(), protocol)?;
        rows.into_iter().map(|row| self.route(row, &mut protocols)).collect()
    }

    fn route(&self, mut row: Row, protocols: &mut Grouped<String>) -> Result<Route, StoreError> {
        let id = row.id("inference_routes.id")?;
        let owner = id.to_string();
        let name = row.name("inference_routes.name")?;
        let routing_hint = row.text("inference_routes.routing_hint")?;
        let base_url = row.text("inference_routes.base_url")?;
        let sealed = row.bytes("inference_routes.sealed_api_key")?;
        let unsealed = self.key().unseal(&sealed, api_key(&owner));
        Ok(Route {
            id,
            name,
            routing_hint,
            base_url,
            protocols: protocols.take(&owner),
            api_key: unsealed.map_err(|_| damaged("inference_routes.sealed_api_key"))?,
            model_id: row.text("inference_routes.model_id")?,
            enabled: row.truth("inference_routes.enabled")?,
            created_at: row.integer("inference_routes.created_at")?,
            record_version: row.integer("inference_routes.record_version")?,
        })
    }
}

fn protocols(route: &Route) -> Vec<Statement> {
    let rows = positions(route.protocols.iter().map(|protocol| values![protocol]));
    let into = "inference_route_protocols (route_id, position, protocol)";
    Statement::insert_all(into, route.id, rows)
}

fn api_key(row: &str) -> Place<'_> {
    Place { table: "inference_routes", row, name: "api_key" }
}
